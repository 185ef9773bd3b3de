"""The persona store: append-only, one winner, a way back, and no word of what was forgotten."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from memory_house import happened
from personaagent.errors import InvalidPersona, PersonaConflict, UnknownPin, UnknownVersion
from personaagent.ledger.database import Database
from personaagent.ledger.interactions import Interactions
from personaagent.ledger.tables import personas, pins
from personaagent.persona.store import MAX_PINS, LedgerPersonaStore
from personaagent.ports import PersonaStore
from personaagent.types import Clause, Persona, Section, Sections

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def sections(*clauses: Clause | str, section: Section = Section.WHO) -> Sections:
    return {section: tuple(Clause(text=c) if isinstance(c, str) else c for c in clauses)}


@pytest.fixture
def store(database: Database) -> LedgerPersonaStore:
    port: PersonaStore = LedgerPersonaStore(database)  # mypy holds the store to its port
    assert isinstance(port, LedgerPersonaStore)
    return port


async def test_the_first_version_is_zero_and_has_no_parent(store: LedgerPersonaStore) -> None:
    assert await store.current("ann") is None
    seed = await store.append("ann", sections("seeded"), "seed", expected_parent=None, proposer="template")
    assert (seed.version, seed.parent, seed.origin, seed.proposer) == (0, None, "seed", "template")
    assert await store.current("ann") == seed
    assert await store.get("ann", 0) == seed


async def test_a_version_comes_back_with_every_field_as_it_was_returned(
    store: LedgerPersonaStore, database: Database
) -> None:
    await happened(database, "i1", "i2", "i3")
    await store.append("ann", {}, "seed", expected_parent=None)
    told: Sections = {
        Section.WHO: (Clause(text="é \" ' 🎉", evidence=("i1", "i2")), Clause(text="two")),
        Section.TOOLING: (),
        Section.INTERESTS: (Clause(text="three", evidence=("i3",)),),
    }
    made = await store.append(
        "ann",
        told,
        "aligned",
        expected_parent=0,
        proposer="gradient",
        reason="won 4 of 6",
        loss_before=0.5,
        loss_after=0.25,
        aligned_through=NOON + timedelta(microseconds=3),
    )
    assert await store.current("ann") == made
    assert made.sections == {section: clauses for section, clauses in told.items() if clauses}
    assert made.evidence == ("i1", "i2", "i3")
    assert (made.version, made.parent, made.loss_before, made.loss_after) == (1, 0, 0.5, 0.25)


async def test_what_was_aligned_through_is_inherited(store: LedgerPersonaStore) -> None:
    await store.append("ann", sections("a"), "seed", expected_parent=None)
    await store.append("ann", sections("b"), "aligned", expected_parent=0, aligned_through=NOON)
    assert (await store.append("ann", sections("c"), "manual", expected_parent=1)).aligned_through == NOON
    assert (await store.rollback("ann", 0)).aligned_through == NOON


@pytest.mark.parametrize("expected", [None, 1, 7])
async def test_another_parent_than_the_current_one_is_a_conflict(
    store: LedgerPersonaStore, expected: int | None
) -> None:
    seed = await store.append("ann", sections("seeded"), "seed", expected_parent=None)
    with pytest.raises(PersonaConflict, match="version 0"):
        await store.append("ann", sections("late"), "aligned", expected_parent=expected)
    assert await store.history("ann") == [seed]


async def test_a_first_version_on_top_of_nothing_is_a_conflict(store: LedgerPersonaStore) -> None:
    with pytest.raises(PersonaConflict):
        await store.append("ann", sections("x"), "aligned", expected_parent=0)


@pytest.mark.parametrize("parent", [None, 0])
async def test_of_ten_at_once_exactly_one_wins(store: LedgerPersonaStore, parent: int | None) -> None:
    if parent is not None:
        await store.append("ann", sections("seeded"), "seed", expected_parent=None)
    calls = [store.append("ann", sections(f"by {n}"), "aligned", expected_parent=parent) for n in range(10)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    won = [result for result in results if isinstance(result, Persona)]
    assert len(won) == 1
    assert sum(isinstance(result, PersonaConflict) for result in results) == 9
    assert await store.current("ann") == won[0]


async def test_a_rollback_is_a_new_version_that_copies_an_old_one(store: LedgerPersonaStore) -> None:
    seed = await store.append("ann", sections("first"), "seed", expected_parent=None)
    await store.append("ann", sections("second"), "aligned", expected_parent=0)
    back = await store.rollback("ann", 0, reason="it did worse")
    assert (back.version, back.parent, back.origin, back.reason) == (2, 1, "rollback", "it did worse")
    assert back.sections == seed.sections
    assert [p.version for p in await store.history("ann")] == [0, 1, 2]
    with pytest.raises(UnknownVersion, match="9"):
        await store.rollback("ann", 9)


async def test_concurrent_rollbacks_are_all_kept_in_a_line(store: LedgerPersonaStore) -> None:
    await store.append("ann", sections("first"), "seed", expected_parent=None)
    await asyncio.gather(*(store.rollback("ann", 0) for _ in range(5)))
    assert [(p.version, p.parent) for p in await store.history("ann")] == [
        (0, None),
        *((n, n - 1) for n in range(1, 6)),
    ]


async def test_pins_are_cleaned_kept_in_order_and_taken_out(store: LedgerPersonaStore) -> None:
    french = await store.pin("ann", "  always answer\n in French ")
    short = await store.pin("ann", "be short")
    assert french.text == "always answer in French"
    assert await store.pins("ann") == [french, short]
    await store.unpin("ann", french.id)
    await store.unpin("ann", "unknown")
    assert await store.pins("ann") == [short]


async def test_a_pin_takes_the_place_of_others_and_is_put_in_other_words(store: LedgerPersonaStore) -> None:
    old = await store.pin("ann", "answer in one sentence", origin="wish", said_in="i1")
    kept = await store.pin("ann", "be kind")
    theirs = await store.pin("bob", "be kind")
    new = await store.pin("ann", "answer in two", origin="wish", said_in="i2", replaces=[old.id, theirs.id])
    assert await store.pins("ann") == [kept, new]
    await store.reword("ann", new.id, " answer in\n three ")
    (_, reworded) = await store.pins("ann")
    assert (reworded.text, reworded.said_in, reworded.created_at) == ("answer in three", "i2", new.created_at)
    for user, pin_id in (("ann", old.id), ("ann", theirs.id)):
        with pytest.raises(UnknownPin):
            await store.reword(user, pin_id, "mine")
    with pytest.raises(InvalidPersona):
        await store.reword("ann", new.id, " ")
    assert await store.pins("bob") == [theirs]


async def test_a_wish_goes_with_where_it_was_said(store: LedgerPersonaStore) -> None:
    await store.pin("ann", "call me Ann", origin="wish", said_in="gone")
    kept = await store.pin("ann", "be kind", origin="wish", said_in="stays")
    theirs = await store.pin("bob", "call me Bob", origin="wish", said_in="gone")
    await store.drop_evidence("ann", ["gone"])
    assert await store.pins("ann") == [kept]
    assert await store.pins("bob") == [theirs]


@pytest.mark.parametrize("text", ["", " \n", "\u200b", "x" * 501])
async def test_an_empty_or_overlong_pin_is_refused(store: LedgerPersonaStore, text: str) -> None:
    with pytest.raises(InvalidPersona, match="500"):
        await store.pin("ann", text)
    assert await store.pins("ann") == []


async def test_what_stands_in_every_prompt_has_an_end(store: LedgerPersonaStore) -> None:
    made = [await store.pin("ann", f"say {n}") for n in range(MAX_PINS)]
    with pytest.raises(InvalidPersona, match="unpin one"):
        await store.pin("ann", "one more")
    await store.pin("ann", "a wish", origin="wish")
    await store.pin("ann", "in its place", replaces=[made[0].id])
    assert len(await store.pins("ann")) == MAX_PINS + 1


async def test_forgotten_evidence_leaves_no_word_in_any_version(store: LedgerPersonaStore, database: Database) -> None:
    await happened(database, "gone", "stays")
    secret, half, kept = (
        Clause(text="secret taste", evidence=("gone",)),
        Clause(text="half known", evidence=("gone", "stays")),
        Clause(text="from the template"),
    )
    await store.append("ann", sections(secret, kept), "seed", expected_parent=None)
    await store.append("ann", sections(secret, half, kept), "aligned", expected_parent=0, aligned_through=NOON)
    rebuilt = await store.drop_evidence("ann", ["gone"])
    assert rebuilt is not None
    assert (rebuilt.version, rebuilt.parent, rebuilt.origin, rebuilt.aligned_through) == (2, 1, "rebuilt", NOON)
    assert rebuilt == await store.current("ann")
    assert rebuilt.sections == sections(Clause(text="half known", evidence=("stays",)), kept)
    rows = str(await database.run_read(lambda connection: connection.execute(select(personas)).all()))
    assert "secret" not in rows
    assert "gone" not in rows
    assert await store.drop_evidence("ann", ["gone"]) is None


async def test_what_was_forgotten_while_a_version_was_written_takes_its_clauses_along(
    store: LedgerPersonaStore, database: Database
) -> None:
    await happened(database, "gone", "stays")
    await Interactions(database).delete("ann", ["gone"])
    secret, half = Clause(text="secret taste", evidence=("gone",)), Clause(text="known", evidence=("gone", "stays"))
    kept = (Clause(text="known", evidence=("stays",)), Clause(text="of nothing"))
    made = await store.append("ann", sections(secret, half, "of nothing"), "aligned", expected_parent=None)
    assert made.sections == sections(*kept)
    assert await store.current("ann") == made


async def test_what_only_old_versions_said_is_scrubbed_without_a_new_version(
    store: LedgerPersonaStore, database: Database
) -> None:
    await happened(database, "gone")
    await store.append("ann", sections(Clause(text="secret", evidence=("gone",))), "seed", expected_parent=None)
    now = await store.append("ann", sections("other"), "aligned", expected_parent=0)
    assert await store.drop_evidence("ann", ["gone"]) is None
    assert await store.current("ann") == now
    assert (await store.get("ann", 0)).sections == {}


async def test_what_was_exported_can_be_put_back_into_an_empty_user_only(store: LedgerPersonaStore) -> None:
    await store.append("ann", sections("a"), "seed", expected_parent=None)
    await store.append("ann", sections("b"), "aligned", expected_parent=0, aligned_through=NOON)
    await store.pin("ann", "be short")
    versions, pinned = await store.history("ann"), await store.pins("ann")
    with pytest.raises(PersonaConflict):
        await store.restore("ann", versions, pinned)
    assert await store.pins("ann") == pinned
    assert await store.delete_user("ann") == 2
    await store.restore("ann", versions, pinned)
    assert await store.history("ann") == versions
    assert await store.pins("ann") == pinned


async def test_a_deleted_user_leaves_no_row(store: LedgerPersonaStore, database: Database) -> None:
    for user in ("ann", "bob"):
        await store.append(user, sections("a"), "seed", expected_parent=None)
        await store.pin(user, "be short")
    await store.delete_user("ann")
    for table in (personas, pins):
        query = select(table.c.user_id)
        assert await database.run_read(lambda connection, query=query: connection.scalars(query).all()) == ["bob"]


async def test_a_second_user_finds_and_changes_nothing(store: LedgerPersonaStore) -> None:
    mine = await store.append("ann", sections(Clause(text="a", evidence=("i1",))), "seed", expected_parent=None)
    pin = await store.pin("ann", "be short")
    assert await store.current("bob") is None
    assert await store.history("bob") == []
    assert await store.pins("bob") == []
    for refused in (store.get("bob", 0), store.rollback("bob", 0)):
        with pytest.raises(UnknownVersion):
            await refused
    await store.unpin("bob", pin.id)
    assert await store.drop_evidence("bob", ["i1"]) is None
    assert await store.delete_user("bob") == 0
    assert (await store.append("bob", sections("b"), "seed", expected_parent=None)).version == 0
    assert await store.history("ann") == [mine]
    assert await store.pins("ann") == [pin]
