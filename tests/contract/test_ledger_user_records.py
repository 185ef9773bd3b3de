"""What else the ledger keeps of a user: grants, budget, rejected candidates, counters and switches."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime

from memory_house import happened
from personaagent.ledger.candidates import Candidates
from personaagent.ledger.database import Database, Meta
from personaagent.ledger.interactions import Interactions
from personaagent.ledger.users import Budget, Grants, Users
from personaagent.types import Candidate, Clause, Section, Verdict

DAY = date(2026, 1, 1)


def candidate(text: str, *evidence: str) -> Candidate:
    verdict = Verdict(
        accepted=False, reason=f"lost: {text}", wins=1, losses=3, ties=2, loss_before=0.25, confidence=0.5
    )
    sections = {Section.WHO: (Clause(text=text, evidence=evidence),)}
    return Candidate(proposer="gradient", sections=sections, reason="tried", verdict=verdict)


async def test_allowing_and_denying_replace_each_other_and_approval_stands_beside(database: Database) -> None:
    grants = Grants(database)
    assert (await grants.allowed("ann"), await grants.denied("ann"), await grants.approved("ann")) == (
        None,
        set(),
        set(),
    )
    await grants.put("ann", "wiki", "allow")
    await grants.put("ann", "wiki", "approve")
    await grants.put("ann", "wiki", "approve")
    assert (await grants.allowed("ann"), await grants.approved("ann")) == ({"wiki"}, {"wiki"})
    await grants.put("ann", "wiki", "deny")
    assert (await grants.allowed("ann"), await grants.denied("ann")) == (None, {"wiki"})
    await grants.put("ann", "time__*", "allow")
    await grants.clear("ann", "wiki")
    assert (await grants.denied("ann"), await grants.approved("ann")) == (set(), set())
    assert await grants.allowed("ann") == {"time__*"}


async def test_a_second_user_has_no_grants_and_clears_none(database: Database) -> None:
    grants = Grants(database)
    for kind in ("allow", "approve"):
        await grants.put("ann", "wiki", kind)
    assert (await grants.allowed("bob"), await grants.denied("bob"), await grants.approved("bob")) == (
        None,
        set(),
        set(),
    )
    await grants.clear("bob")
    assert (await grants.allowed("ann"), await grants.approved("ann")) == ({"wiki"}, {"wiki"})


async def test_what_is_spent_adds_up_by_user_and_day(database: Database) -> None:
    budget = Budget(database, 25, 1_000_000)
    await asyncio.gather(*(budget.add("ann", DAY, 2, 100) for _ in range(10)))
    await budget.add("ann", date(2026, 1, 2), 1, 3_000_000_000)
    assert await budget.spent("ann", DAY) == (20, 1000)
    assert await budget.spent("ann", date(2026, 1, 2)) == (1, 3_000_000_000)
    assert await budget.spent("bob", DAY) == (0, 0)
    today = datetime.now(UTC).date()
    await budget.add("ann", today, 5, 100)
    assert (await budget.remaining("ann"), await budget.remaining("bob")) == (20, 25)
    await budget.add("ann", today, 1, 1_000_000)
    assert await budget.remaining("ann") == 0
    await budget.delete_user("bob")
    assert await budget.spent("ann", DAY) == (20, 1000)
    await budget.delete_user("ann")
    assert await budget.spent("ann", DAY) == (0, 0)


async def test_rejected_candidates_come_back_newest_first_with_their_verdicts(database: Database) -> None:
    await happened(database, "i1", "i2", "i3")
    candidates = Candidates(database)
    given = [candidate("one", "i1"), candidate("two", "i2"), candidate("three", "i1", "i3")]
    await candidates.save("ann", given)
    await candidates.save("ann", [])
    assert await candidates.newest("ann", 2) == [given[2], given[1]]


async def test_candidates_that_stand_on_what_is_forgotten_go(database: Database) -> None:
    await happened(database, "i1", "i2", "i3")
    candidates = Candidates(database)
    await candidates.save("ann", [candidate("one", "i1"), candidate("two", "i2"), candidate("three", "i1", "i3")])
    assert await candidates.drop_evidence("bob", ["i1"]) == 0
    assert await candidates.drop_evidence("ann", ["i1"]) == 2
    assert [c.sections[Section.WHO][0].text for c in await candidates.newest("ann", 9)] == ["two"]


async def test_a_candidate_that_stands_on_what_was_forgotten_meanwhile_is_not_kept(database: Database) -> None:
    await happened(database, "i1", "i2")
    await Interactions(database).delete("ann", ["i1"])
    await Candidates(database).save("ann", [candidate("one", "i2", "i1"), candidate("two", "i2")])
    assert [c.sections[Section.WHO][0].text for c in await Candidates(database).newest("ann", 9)] == ["two"]


async def test_a_second_user_sees_and_deletes_no_candidate(database: Database) -> None:
    await happened(database, "i1", "i2", "i3")
    candidates = Candidates(database)
    await candidates.save("ann", [candidate("one", "i1")])
    assert await candidates.newest("bob", 9) == []
    assert await candidates.delete_user("bob") == 0
    assert await candidates.delete_user("ann") == 1


async def test_labels_are_counted_until_an_alignment(database: Database) -> None:
    users = Users(database)
    assert sorted(await asyncio.gather(*(users.add_label("ann") for _ in range(8)))) == list(range(1, 9))
    assert await users.add_label("bob") == 1
    await users.aligned("ann")
    assert (await users.add_label("ann"), await users.add_label("bob")) == (1, 2)


async def test_a_user_is_personalized_until_they_say_otherwise(database: Database) -> None:
    users = Users(database)
    assert await users.personalize("ann")
    await users.set_personalize("ann", False)
    assert (await users.personalize("ann"), await users.personalize("bob")) == (False, True)
    await users.delete_user("bob")
    assert not await users.personalize("ann")
    await users.delete_user("ann")
    assert await users.personalize("ann")


async def test_what_the_ledger_knows_of_itself_can_be_replaced(database: Database) -> None:
    meta = Meta(database)
    assert await meta.get("embedder") is None
    await asyncio.gather(*(meta.set("embedder", str(n)) for n in range(6)))
    await meta.set("embedder", "minilm")
    assert await meta.get("embedder") == "minilm"
