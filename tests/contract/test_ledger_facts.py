"""Facts in the ledger: standing on evidence, with a history, and changed by valid operations only."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest

from personaagent.ledger.database import Database
from personaagent.ledger.facts import Facts
from personaagent.ledger.interactions import Interactions
from personaagent.types import Fact, FactOperation, Interaction

START = datetime(2026, 1, 1, tzinfo=UTC)
Kind = Literal["add", "supersede", "retire", "keep"]


def at(hour: int) -> datetime:
    return START + timedelta(hours=hour)


def op(kind: Kind, text: str = "", *hours: int, fact: Fact | None = None, **fields: Any) -> FactOperation:
    evidence = tuple(f"i{hour}" for hour in hours)
    return FactOperation(kind=kind, text=text, evidence=evidence, fact_id=fact.id if fact else None, **fields)


@pytest.fixture
async def facts(database: Database) -> Facts:
    for user in ("ann", "bob"):
        episodes = [Interaction(id=f"i{n}", user_id=user, query="q", created_at=at(n)) for n in range(10)]
        await Interactions(database).append_many(user, episodes)
    only_bobs = Interaction(id="bobs", user_id="bob", query="q", created_at=at(20))
    await Interactions(database).append(only_bobs)
    return Facts(database)


async def test_a_fact_holds_from_its_newest_evidence(facts: Facts) -> None:
    (fact,) = await facts.apply("ann", [op("add", " likes tea ", 3, 1, 3, confidence=0.7)], through=at(5))
    assert (fact.text, fact.evidence, fact.valid_from, fact.valid_to) == ("likes tea", ("i3", "i1"), at(3), None)
    assert await facts.holding("ann") == [fact]
    assert await facts.through("ann") == at(5)


async def test_a_superseded_fact_keeps_its_history_and_each_moment_its_profile(facts: Facts) -> None:
    (old,) = await facts.apply("ann", [op("add", "lives in Rome", 1)], through=at(1))
    (new,) = await facts.apply("ann", [op("supersede", "lives in Oslo", 2, 6, fact=old)], through=at(6))
    was = next(fact for fact in await facts.history("ann") if fact.id == old.id)
    assert (was.status, was.valid_to, was.superseded_by, was.text) == ("superseded", at(6), new.id, "lives in Rome")
    assert await facts.holding("ann") == [new]
    told = {hour: [f.text for f in await facts.holding("ann", before=at(hour))] for hour in (1, 2, 6, 7)}
    assert told == {1: [], 2: ["lives in Rome"], 6: ["lives in Rome"], 7: ["lives in Oslo"]}


async def test_a_retired_fact_ends_with_its_evidence_or_with_what_was_read(facts: Facts) -> None:
    one, two = await facts.apply("ann", [op("add", "one", 1), op("add", "two", 1)], through=at(1))
    await facts.apply("ann", [op("retire", "", 4, fact=one), op("retire", fact=two)], through=at(5))
    ends = {fact.text: (fact.status, fact.valid_to) for fact in await facts.history("ann")}
    assert ends == {"one": ("retired", at(4)), "two": ("retired", at(5))}
    assert await facts.holding("ann") == []


@pytest.mark.parametrize(
    "operation",
    [
        op("add", "  ", 1),
        op("add", "x" * 301, 1),
        op("add", "without evidence"),
        FactOperation(kind="add", text="another user's evidence", evidence=("i1", "bobs")),
        FactOperation(kind="add", text="unknown evidence", evidence=("nowhere",)),
        FactOperation(kind="supersede", text="unknown fact", evidence=("i1",), fact_id="nowhere"),
        FactOperation(kind="retire", fact_id="nowhere"),
        FactOperation(kind="retire"),
    ],
    ids=lambda operation: f"{operation.kind}-{operation.text[:12]}",
)
async def test_an_invalid_operation_is_passed_over_and_the_others_are_carried_out(
    facts: Facts, operation: FactOperation
) -> None:
    (kept,) = await facts.apply("ann", [op("add", "kept", 1)], through=at(1))
    added = await facts.apply("ann", [operation, op("add", "good", 2)], through=at(2))
    assert [fact.text for fact in added] == ["good"]
    assert await facts.holding("ann") == [kept, *added]


async def test_a_fact_can_be_superseded_once_only(facts: Facts) -> None:
    (old,) = await facts.apply("ann", [op("add", "old", 1)], through=at(1))
    calls = [facts.apply("ann", [op("supersede", f"new {n}", 2, fact=old)], through=at(2)) for n in range(5)]
    added = [fact for result in await asyncio.gather(*calls) for fact in result]
    assert len(added) == 1
    assert await facts.holding("ann") == added


async def test_no_operations_change_no_fact_and_the_cursor_never_goes_back(facts: Facts) -> None:
    assert await facts.through("ann") is None
    assert await facts.apply("ann", [], through=at(5)) == []
    await facts.apply("ann", [], through=at(3))
    assert await facts.through("ann") == at(5)


async def test_a_fact_that_loses_its_evidence_goes_and_one_with_some_left_stays(facts: Facts) -> None:
    one, both, other = await facts.apply(
        "ann", [op("add", "one", 1), op("add", "both", 1, 2), op("add", "other", 3)], through=at(3)
    )
    assert await facts.drop_evidence("ann", ["i1", "unknown"]) == ([one.id], [both.id])
    assert {fact.text: fact.evidence for fact in await facts.history("ann")} == {"both": ("i2",), "other": ("i3",)}
    assert await facts.drop_evidence("ann", ["i1"]) == ([], [])
    assert other in await facts.holding("ann")


async def test_what_was_exported_can_be_put_back(facts: Facts) -> None:
    (old,) = await facts.apply("ann", [op("add", "old", 1)], through=at(1))
    await facts.apply("ann", [op("supersede", "new", 2, fact=old)], through=at(2))
    exported = await facts.history("ann")
    assert await facts.delete_user("ann") == 2
    assert await facts.history("ann") == []
    await facts.put("ann", exported)
    assert await facts.history("ann") == exported


async def test_a_second_user_finds_and_changes_nothing(facts: Facts) -> None:
    (mine,) = await facts.apply("ann", [op("add", "mine", 1)], through=at(1))
    changes = [op("supersede", "theirs", 1, fact=mine), op("retire", fact=mine), op("keep", "", 1, fact=mine)]
    assert await facts.apply("bob", changes, through=at(2)) == []
    assert await facts.holding("bob") == []
    assert await facts.holding("bob", before=at(9)) == []
    assert await facts.history("bob") == []
    assert await facts.drop_evidence("bob", ["i1"]) == ([], [])
    assert await facts.delete_user("bob") == 0
    assert await facts.history("ann") == [mine]
    assert await facts.through("ann") == at(1)
