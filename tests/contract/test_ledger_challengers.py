"""Challengers: kept for the version in force, dropped with it, forgotten with what they stand on."""

from __future__ import annotations

from datetime import UTC, datetime

from memory_house import happened
from personaagent.ledger.candidates import Challengers
from personaagent.ledger.database import Database
from personaagent.ledger.interactions import Interactions
from personaagent.persona.gate import Evidence, evidence_json
from personaagent.persona.seed import seed_sections
from personaagent.persona.store import LedgerPersonaStore
from personaagent.types import Challenger, Clause, Section, UserProfile

WHEN = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


def challenger(name: str, evidence: str = "i1", judged: tuple[str, ...] = ("i2",)) -> Challenger:
    return Challenger(
        id=name,
        user_id="ann",
        base_version=0,
        proposer="edits",
        sections={Section.ANSWERING: (Clause(text=f"Be {name}.", evidence=(evidence,), kind="edits"),)},
        reason="counted",
        evidence=evidence_json(Evidence(alpha=0.03, since=WHEN.isoformat())),
        judged=judged,
        created_at=WHEN,
    )


async def seeded(database: Database) -> LedgerPersonaStore:
    await happened(database, "i1", "i2", "i3")
    store = LedgerPersonaStore(database)
    await store.append("ann", seed_sections(UserProfile(user_id="ann")), "seed", expected_parent=None)
    return store


async def test_they_come_back_as_they_were_and_exactly_those_are_kept(database: Database) -> None:
    await seeded(database)
    kept = Challengers(database)
    await kept.replace("ann", 0, [challenger("brief"), challenger("kind")])
    assert await kept.of("ann") == [challenger("brief"), challenger("kind")]
    await kept.replace("ann", 0, [challenger("kind")])
    assert await kept.of("ann") == [challenger("kind")]


async def test_a_second_user_sees_and_drops_none(database: Database) -> None:
    await seeded(database)
    kept = Challengers(database)
    await kept.replace("ann", 0, [challenger("brief")])
    assert await kept.of("bob") == []
    await kept.replace("bob", 0, [])
    assert (await kept.drop_evidence("bob", ["i1"]), await kept.delete_user("bob")) == (0, 0)
    assert await kept.delete_user("ann") == 1


async def test_another_version_in_force_drops_them_and_takes_none_of_the_old_base(database: Database) -> None:
    store = await seeded(database)
    kept = Challengers(database)
    for put in (
        lambda: store.append("ann", challenger("x").sections, "manual", expected_parent=0),
        lambda: store.rollback("ann", 0),
    ):
        current = await store.current("ann")
        assert current is not None
        await kept.replace("ann", current.version, [challenger("brief")])
        assert len(await kept.of("ann")) == 1
        await put()
        assert await kept.of("ann") == []
        await kept.replace("ann", current.version, [challenger("brief")])  # an alignment that ends late
        assert await kept.of("ann") == []


async def test_those_that_stand_on_or_were_judged_by_what_is_forgotten_go(database: Database) -> None:
    await seeded(database)
    kept = Challengers(database)
    given = [challenger("a", "i1", ("i2",)), challenger("b", "i3", ("i1",)), challenger("c", "i3", ("i2",))]
    await kept.replace("ann", 0, given)
    assert await kept.drop_evidence("ann", ["i1"]) == 2
    assert await kept.of("ann") == [given[2]]


async def test_what_was_forgotten_meanwhile_is_not_kept(database: Database) -> None:
    await seeded(database)
    await Interactions(database).delete("ann", ["i1"])
    await Challengers(database).replace("ann", 0, [challenger("a", "i3", ("i1",)), challenger("b", "i3", ("i2",))])
    assert [one.id for one in await Challengers(database).of("ann")] == ["b"]
