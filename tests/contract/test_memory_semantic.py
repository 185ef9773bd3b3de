"""The contract of SemanticMemory, on SQLite and on Postgres."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from memory_house import START, House, episode, ledger_of, opened, uid
from personaagent.errors import IndexUnavailable, ModelUnreachable
from personaagent.ledger.database import Database
from personaagent.memory.semantic import within_budget
from personaagent.models.tokens import count_tokens
from personaagent.types import FactOperation


@pytest.fixture
async def house(tmp_path: Path, database: Database) -> AsyncIterator[House]:
    async with opened(tmp_path / "home", ledger_of(database)) as made:
        await made.interactions.append_many("ann", [episode(n) for n in range(30)])
        await made.interactions.append_many("bob", [episode(n + 100, "bob") for n in range(3)])
        yield made


def add(text: str, *numbers: int, **changes: Any) -> FactOperation:
    return FactOperation(kind="add", text=text, evidence=tuple(uid(n) for n in numbers), **changes)


def day(number: int) -> Any:
    return START + timedelta(days=number)


async def test_a_new_fact_holds_from_its_newest_evidence_on(house: House) -> None:
    (fact,) = await house.semantic.apply("ann", [add("Lives in Rome.", 2, 5)], through=day(9))
    assert (fact.valid_from, fact.status, fact.evidence) == (day(5), "active", (uid(2), uid(5)))
    profile = await house.semantic.profile("ann")
    assert (profile.facts, profile.through, profile.text) == ((fact,), day(9), "- Lives in Rome.")


async def test_a_contradiction_supersedes_and_the_history_stays(house: House) -> None:
    (rome,) = await house.semantic.apply("ann", [add("Lives in Rome.", 2)], through=day(3))
    move = FactOperation(kind="supersede", fact_id=rome.id, text="Lives in Oslo.", evidence=(uid(8),))
    (oslo,) = await house.semantic.apply("ann", [move], through=day(9))
    assert [f.text for f in (await house.semantic.profile("ann")).facts] == ["Lives in Oslo."]
    old, new = await house.semantic.history("ann")
    assert (old.status, old.superseded_by, old.valid_to, new) == ("superseded", oslo.id, day(8), oslo)


@pytest.mark.parametrize(("cut", "texts"), [(2, []), (3, ["Lives in Rome."]), (8, ["Lives in Rome."]), (9, ["Oslo"])])
async def test_before_shows_the_profile_of_that_moment(house: House, cut: int, texts: list[str]) -> None:
    (rome,) = await house.semantic.apply("ann", [add("Lives in Rome.", 2)], through=day(3))
    move = FactOperation(kind="supersede", fact_id=rome.id, text="Oslo", evidence=(uid(8),))
    await house.semantic.apply("ann", [move], through=day(20))
    profile = await house.semantic.profile("ann", before=day(cut))
    assert [fact.text for fact in profile.facts] == texts
    assert profile.through is None or profile.through < day(cut)
    assert [fact.text for fact in await house.semantic.search("ann", "live", 5, before=day(cut))] == texts


async def test_an_empty_or_broken_proposal_changes_nothing(house: House) -> None:
    (rome,) = await house.semantic.apply("ann", [add("Lives in Rome.", 2)], through=day(3))
    broken = [
        add("", 1),
        add("x" * 301, 1),
        add("no evidence"),
        add("evidence of another user", 100),
        add("unknown evidence", 999),
        FactOperation(kind="retire", fact_id="nothing", evidence=(uid(1),)),
        FactOperation(kind="supersede", fact_id=None, text="y", evidence=(uid(1),)),
    ]
    assert await house.semantic.apply("ann", broken, through=day(4)) == []
    assert await house.semantic.apply("ann", [], through=day(4)) == []
    assert await house.semantic.history("ann") == [rome]


async def test_the_profile_stays_within_its_budget_after_hundreds_of_updates(house: House) -> None:
    for number in range(300):
        text = f"Likes thing {number}" + " very much" * (number % 7)
        await house.semantic.apply("ann", [add(text, number % 30, confidence=number % 10 / 10)], through=day(number))
        if number % 50 == 0:
            assert count_tokens((await house.semantic.profile("ann")).text) <= 100
    profile = await house.semantic.profile("ann")
    assert 80 <= count_tokens(profile.text) <= 100
    assert len(await house.semantic.history("ann")) == 300


async def test_the_strongest_come_first_and_what_the_user_said_before_all(house: House) -> None:
    facts = [add("weak", 20, confidence=0.2), add("strong", 20, confidence=0.9)]
    facts += [add("the user's own", 1, confidence=0.1, source="user"), add("older", 1, confidence=0.89)]
    await house.semantic.apply("ann", facts, through=day(25))
    texts = [fact.text for fact in (await house.semantic.profile("ann")).facts]
    assert texts == ["the user's own", "strong", "older", "weak"]


async def test_a_fact_that_is_too_long_makes_way_for_shorter_ones(house: House) -> None:
    facts = await house.semantic.apply("ann", [add("x" * 80, 1), add("short", 2)], through=day(3))
    assert [fact.text for fact in within_budget(facts, 5)] == ["short"]
    assert within_budget(facts, 0) == []


async def test_search_goes_by_meaning(house: House) -> None:
    await house.semantic.apply("ann", [add("Speaks Italian.", 1), add("Drives an old car.", 2)], through=day(3))
    assert [fact.text for fact in await house.semantic.search("ann", "which car?", 1)] == ["Drives an old car."]
    assert await house.semantic.search("ann", " ", 3) == []


async def test_secrets_are_masked(house: House) -> None:
    (fact,) = await house.semantic.apply("ann", [add("The password is hunter2x.", 1)], through=day(2))
    assert "hunter2x" not in fact.text


async def test_another_user_knows_nothing(house: House) -> None:
    (rome,) = await house.semantic.apply("ann", [add("Lives in Rome.", 2)], through=day(3))
    retire = FactOperation(kind="retire", fact_id=rome.id, evidence=(uid(100),))
    await house.semantic.apply("bob", [retire], through=day(3))
    assert (await house.semantic.profile("bob")).facts == ()
    assert await house.semantic.search("bob", "Rome", 5) == []
    assert await house.semantic.history("bob") == []
    assert (await house.semantic.profile("ann")).facts == (rome,)


async def test_an_embedder_that_fails_is_named(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.semantic.apply("ann", [add("Lives in Rome.", 2)], through=day(3))

    async def fail(texts: Any) -> Any:
        raise ModelUnreachable("no endpoint")

    monkeypatch.setattr(house.embedder, "embed", fail)
    with pytest.raises(IndexUnavailable, match="no endpoint"):
        await house.semantic.search("ann", "Rome", 1)
    assert (await house.semantic.profile("ann")).text == "- Lives in Rome."
