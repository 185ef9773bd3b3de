"""What the user says of themselves: kept as a fact with its evidence, or refused by name with nothing left behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from memory_house import House, episode, opened, uid
from personaagent.errors import InvalidFact, UnknownFact
from personaagent.ledger.facts import MAX_FACT_CHARS
from personaagent.memory.statements import Statements
from personaagent.types import FactOperation, Interaction, ToolTrace, is_statement

TOO_LONG = "x" * (MAX_FACT_CHARS + 1)
KEY = "sk-proj-" + "Ab1" * 14  # a secret, whose mask counts in its place


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with opened(tmp_path / "home") as made:
        yield made


def statements(house: House) -> Statements:
    return Statements(house.episodic, house.facts, house.forgetter)


@pytest.mark.parametrize("text", ["", " \n ", TOO_LONG, "I say: " + TOO_LONG])
async def test_what_cannot_be_a_fact_is_refused_by_name_and_leaves_nothing(house: House, text: str) -> None:
    said = statements(house)
    fact_id = await said.remember("ann", "I live in Ulm.")
    with pytest.raises(InvalidFact, match="1 to 300 characters"):
        await said.remember("ann", text)
    with pytest.raises(InvalidFact, match="1 to 300 characters"):
        await said.correct("ann", fact_id, text)
    assert await house.interactions.count("ann") == 1
    assert [fact.text for fact in await house.facts.holding("ann")] == ["I live in Ulm."]


@pytest.mark.parametrize("text", ["y" * MAX_FACT_CHARS, f"  {'y' * MAX_FACT_CHARS}\n"])
async def test_the_longest_fact_is_kept_whole(house: House, text: str) -> None:
    await statements(house).remember("ann", text)
    (fact,) = await house.facts.holding("ann")
    assert (fact.text, fact.source) == ("y" * MAX_FACT_CHARS, "user")


async def test_the_length_is_that_of_what_is_stored_with_secrets_masked(house: House) -> None:
    await statements(house).remember("ann", f"My key is {KEY}, {'y' * (MAX_FACT_CHARS - len(KEY))}")
    (fact,) = await house.facts.holding("ann")
    assert KEY not in fact.text
    assert fact.text.endswith("yyy")


async def test_a_correction_of_a_fact_that_goes_meanwhile_is_refused_and_leaves_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = statements(house)
    fact_id = await said.remember("ann", "I live in Ulm.")
    real = house.episodic.append

    async def slow(*args: Any) -> Any:
        await said.forget("ann", fact_id)
        return await real(*args)

    monkeypatch.setattr(house.episodic, "append", slow)
    with pytest.raises(UnknownFact):
        await said.correct("ann", fact_id, "I live in Bonn.")
    assert await house.interactions.count("ann") == 0
    assert await house.facts.history("ann") == []


async def test_a_statement_is_no_answer_and_the_same_again_is_the_same_fact(house: House) -> None:
    said = statements(house)
    first = await said.remember("ann", "I play the cello.")
    assert await said.remember("ann", "I play the cello.") == first
    (kept,) = await house.interactions.newest("ann", 9)
    assert is_statement(kept)
    assert (kept.ground_truth, kept.truth_source) == (None, None)
    assert await house.episodic.search("ann", "cello", 4) == []


async def test_forgetting_takes_the_turn_that_the_statement_was_made_in(house: House) -> None:
    said = statements(house)
    fact_id = await said.remember("ann", "I am allergic to peanuts.")
    call = ToolTrace(name="remember", arguments={"text": "I am allergic to peanuts."}, outcome="ok")
    now = datetime.now(UTC)
    turn = Interaction(id=uid(1), user_id="ann", query="Remember my peanuts", created_at=now, tools=(call,))
    other = Interaction(id=uid(2), user_id="ann", query="What is Rust?", created_at=now)
    await house.episodic.append_many("ann", [turn, other])
    assert await said.forget("ann", fact_id) == 3
    assert [i.id for i in await house.interactions.newest("ann", 9)] == [uid(2)]
    assert await house.episodic.search("ann", "peanuts", 4) == [] or (
        "peanut" not in (await house.episodic.search("ann", "peanuts", 4))[0].interaction.query
    )


async def test_forgetting_what_was_said_in_passing_takes_the_messages_that_say_it(house: House) -> None:
    rows = [
        episode(1, query="What can I cook? I'm allergic to peanuts."),
        episode(2, query="My throat swells up after satay, why?"),
    ]
    await house.episodic.append_many("ann", rows)
    add = FactOperation(kind="add", text="The user is allergic to peanuts.", evidence=(uid(1), uid(2)))
    (fact,) = await house.facts.apply("ann", [add], through=rows[-1].created_at)
    kept = statements(house)
    assert await kept.show("ann", fact.id, "") == f"fact: {fact.text}\nsaid: {rows[0].query}"
    assert await kept.forget("ann", fact.id, said_too=True) == 2
    assert [i.query for i in await house.interactions.newest("ann", 9)] == [rows[1].query]
    (fact,) = await house.facts.apply("ann", [replace(add, evidence=(uid(2),))], through=rows[-1].created_at)
    assert await kept.forget("ann", fact.id) == 1
    assert await house.interactions.count("ann") == 1  # on the page a fact goes alone
