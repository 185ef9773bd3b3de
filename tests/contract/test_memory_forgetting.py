"""Forgetting: what is selected and what was derived from it is nowhere afterwards, and nothing else is touched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from forgetting_house import SECRET, fill, told
from memory_house import START, House, episode, ledger_of, opened, uid
from personaagent.errors import InputError, LedgerUnavailable
from personaagent.ledger.candidates import Candidates
from personaagent.ledger.database import Database
from personaagent.ledger.users import Users
from personaagent.memory.forgetting import Selection
from personaagent.memory.portability import export_user
from personaagent.ports import Where
from personaagent.types import Clause, FactOperation, Section

DAY_5 = START + timedelta(days=5)


@pytest.fixture
async def house(tmp_path: Path, database: Database) -> AsyncIterator[House]:
    async with opened(tmp_path / "home", ledger_of(database)) as made:
        for user, first in (("ann", 0), ("bob", 100)):
            await fill(made, user, first)
        yield made


def bytes_on_disk(home: Path) -> bytes:
    return b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())


async def test_a_forgotten_interaction_goes_with_what_stood_on_it_alone(house: House) -> None:
    report = await house.forgetter.forget("ann", Selection(ids=(uid(3),)))
    assert (report.interactions, report.unknown, report.threads) == ((uid(3),), (), ("ann-thread-3",))
    assert len(report.facts_trimmed) >= 2
    assert report.persona_rebuilt is None
    assert report.candidates == 1
    assert await house.episodic.count("ann") == 9
    assert uid(3) not in await house.found("ann", SECRET)
    facts = {fact.text: fact.evidence for fact in await house.semantic.history("ann")}
    assert facts[f"Plays the {SECRET}."] == (uid(7),)
    assert facts["Likes music and plain things."] == (uid(1),)


async def test_a_forgotten_task_leaves_no_word_of_it(house: House) -> None:
    before = await told(house, "bob")
    report = await house.forgetter.forget("ann", Selection(where=Where(task="music")))
    assert set(report.interactions) == {uid(3), uid(7)}
    assert len(report.facts_deleted) >= 1
    assert report.persona_rebuilt == 1
    persona = await house.personas.current("ann")
    assert persona is not None
    assert [c.text for clauses in persona.sections.values() for c in clauses] == ["Be precise.", "Plain things."]
    assert persona.origin == "rebuilt"
    left = await told(house, "ann")
    assert SECRET not in left.replace(f"mention the {SECRET}", "")  # the pin is the user's own instruction
    assert any(fact.text.startswith("Answers in") for fact in await house.semantic.history("ann"))
    assert await told(house, "bob") == before


async def test_a_time_range_is_forgotten_from_its_first_moment_to_before_its_last(house: House) -> None:
    where = Where(since=START + timedelta(days=2), before=START + timedelta(days=5))
    report = await house.forgetter.forget("ann", Selection(where=where))
    assert set(report.interactions) == {uid(2), uid(3), uid(4)}
    assert await house.index.count("ann") == 7


async def test_a_forgotten_user_is_nowhere_and_the_other_stays(house: House) -> None:
    await house.episodic.append("ann", episode(50, query=f"one more {SECRET}", task="music"))
    for number in (103, 107):  # the other user shall not tell the secret, so that its bytes can be looked for
        await house.forgetter.forget("bob", Selection(ids=(uid(number),)))
    await house.personas.unpin("bob", (await house.personas.pins("bob"))[0].id)
    report = await house.forgetter.forget("ann", Selection(everything=True))
    assert len(report.interactions) == 11
    assert (report.personas_deleted, report.pins, report.jobs, report.candidates) == (1, 1, 1, 1)
    assert len(report.facts_deleted) == 4
    assert (report.index_pending, len(report.threads)) == (0, 10)
    assert len(report.remains) == 1
    empty = await export_user(house.database, "ann")
    assert [empty[part] for part in ("interactions", "facts", "personas", "pins", "grants")] == [[]] * 5
    assert await house.found("ann", SECRET) == []
    assert (await house.index.count("ann"), await house.indexer.depth()) == (0, 0)
    assert await house.episodic.count("bob") == 8
    await house.close()
    assert SECRET.encode() not in bytes_on_disk(house.home)  # Postgres's own files are its own matter
    if house.database.dialect == "sqlite":
        assert b"plain thing" in bytes_on_disk(house.home)


async def test_what_waits_in_outbox_and_spool_is_forgotten_too(house: House) -> None:
    house.index_down()
    await house.episodic.append("ann", episode(60, query=f"waiting {SECRET}", task="music"))
    house.ledger_down()
    await house.episodic.append("ann", episode(61, query=f"spooled {SECRET}", task="music"))
    await house.episodic.append("bob", episode(161, "bob", query="spooled too", task="music"))
    house.ledger_up()
    report = await house.forgetter.forget("ann", Selection(where=Where(task="music")))
    assert set(report.interactions) == {uid(3), uid(7), uid(60), uid(61)}
    assert report.index_pending > 0
    assert "until the index answers" in report.remains[0]
    house.index_up()
    await house.indexer.close()
    await house.indexer.flush()
    assert await house.index.count("ann") == 8
    await house.episodic.drain_spool()
    assert await house.episodic.count("ann") == 8
    assert (await house.episodic.get("bob", uid(161))).query == "spooled too"


async def test_forgetting_again_or_of_another_user_changes_nothing(house: House) -> None:
    await house.forgetter.forget("ann", Selection(ids=(uid(3), uid(7))))
    before = await told(house, "ann"), await told(house, "bob")
    report = await house.forgetter.forget("ann", Selection(ids=(uid(3), uid(103), "no id")))
    assert (report.interactions, report.unknown) == ((), (uid(3), uid(103), "no id"))
    assert (await told(house, "ann"), await told(house, "bob")) == before


@pytest.mark.parametrize("nothing", [Selection(), Selection(where=Where())])
async def test_an_empty_selection_never_means_everything(house: House, nothing: Selection) -> None:
    with pytest.raises(InputError, match="nothing is selected"):
        await house.forgetter.forget("ann", nothing)
    assert await house.episodic.count("ann") == 10


async def test_a_failure_at_any_step_of_it_has_forgotten_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    stores = (type(house.facts), type(house.personas), Candidates, type(house.interactions), Users)
    before = await told(house, "ann")
    for selection, names in (
        (Selection(where=Where(task="music")), ("drop_evidence", "delete")),
        (Selection(everything=True), ("delete_user",)),
    ):
        for owner, name in [(owner, name) for owner in stores for name in names if hasattr(owner, name)]:
            if (owner, name) == (type(house.facts), "delete"):
                continue  # of one fact: no part of it

            async def fail(*args: object) -> None:
                raise LedgerUnavailable("the ledger is down")

            with monkeypatch.context() as patch:
                patch.setattr(owner, name, fail)
                with pytest.raises(LedgerUnavailable):
                    await house.forgetter.forget("ann", selection)
            assert await told(house, "ann") == before
            assert await house.indexer.depth() == 0
    await house.forgetter.forget("ann", Selection(everything=True))
    assert SECRET not in await told(house, "ann")


async def test_forgetting_while_others_append_and_search_leaves_no_ghost(house: House) -> None:
    async def write() -> None:
        for number in range(200, 230):
            await house.episodic.append("ann", episode(number, query=f"thing {number}", task="gone"))

    async def forget() -> None:
        for _ in range(10):
            await house.forgetter.forget("ann", Selection(where=Where(task="gone")))
            await house.found("ann", "thing")

    await asyncio.gather(write(), forget())
    await house.forgetter.forget("ann", Selection(where=Where(task="gone")))
    assert (await house.episodic.count("ann"), await house.index.count("ann")) == (10, 10)


async def test_a_matter_goes_with_all_that_speaks_of_it_and_nothing_else(house: House) -> None:
    before = datetime(2025, 12, 31, tzinfo=UTC)
    rows = [
        episode(20, query="Which capital is on the Xylophone coast?", created_at=before),
        episode(21, query="A town?", response="A xylophone town.", created_at=before - timedelta(days=1)),
        episode(30, query="What suits me?", response="Two xylophones.", thread_id="echo"),
        episode(31, query="Which instrument?", choices=("xylophone", "drum"), ground_truth="drum"),
        episode(32, query="She left me."),
    ]
    await house.episodic.append_many("ann", rows)
    alone = FactOperation(kind="add", text="The user is good at xylophones.", evidence=(uid(32),))
    await house.semantic.apply("ann", [alone], through=rows[-1].created_at)
    clause = Clause(text="The xylophone is theirs.", evidence=(uid(32),))
    await house.personas.append("ann", {Section.WHO: (clause,)}, "aligned", expected_parent=0)
    selection, others = Selection(about="my xylophones"), await told(house, "bob")
    seen = await house.forgetter.preview("ann", selection)
    assert (seen.memories, seen.trimmed, seen.clauses) == (4, 1, ("The xylophone is theirs.",))
    assert seen.first[0] == f"{SECRET} lesson of ann b"  # what the user said comes before what repeats it
    assert seen.first[-1] == "What suits me?"
    assert "The user is good at xylophones." in seen.facts
    report = await house.forgetter.forget("ann", selection)
    assert set(report.interactions) == {uid(3), uid(7), uid(20), uid(30)}
    assert len(report.facts_deleted) == len(seen.facts)
    left = await told(house, "ann")
    kept = {"mention the xylophone", "A xylophone town.", '["xylophone", "drum"]'}
    assert SECRET not in _without(left, kept).casefold()
    assert await told(house, "bob") == others
    assert (await house.forgetter.forget("ann", selection)).interactions == ()


def _without(text: str, parts: set[str]) -> str:
    for part in parts:
        text = text.replace(part, "")
    return text


async def test_a_matter_can_be_narrowed_and_what_is_only_near_to_it_is_shown_and_stays(house: House) -> None:
    assert {i.id for i in await house.forgetter.chosen("ann", Selection(about=SECRET, where=Where(before=DAY_5)))} == {
        uid(3)
    }
    assert await house.forgetter.chosen("ann", Selection(about=SECRET, where=Where(task="other"))) == []
    seen = await house.forgetter.preview("ann", Selection(about="plain lesson"))
    assert seen.memories == 0
    assert seen.near  # shares words, which is what the embedder of tests takes for meaning
    with pytest.raises(InputError, match="no word"):
        await house.forgetter.forget("ann", Selection(about="it"))
