"""What a process left in spool and outbox when it was killed: the next one brings it in, whatever it is asked first."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from memory_house import House, episode, ledger_of, opened, uid
from personaagent.errors import HomeInUse, IndexUnavailable, LedgerUnavailable
from personaagent.inputs import Feedback
from personaagent.ledger.database import Database
from personaagent.memory.spool import WaitingFeedback
from personaagent.types import Interaction

NOW = datetime.now(UTC)
Left = Callable[[], Awaitable[House]]


@pytest.fixture
async def left(tmp_path: Path, database: Database) -> AsyncIterator[Left]:
    """Opens what a process left: three interactions that no index knows, one more in the spool, with two labels."""
    home, url = tmp_path / "home", ledger_of(database)
    async with opened(home, url) as house:
        house.index_down()
        for number in range(3):
            await house.episodic.append("ann", episode(number))
        house.ledger_down()
        await house.episodic.append("ann", episode(3))
        for number in (1, 3):
            with suppress(LedgerUnavailable):
                await house.episodic.feedback("ann", uid(number), Feedback(ground_truth="tea", source="correction"))
    houses: list[House] = []

    async def reopened() -> House:
        houses.append(House(home, url))
        return houses[-1]

    yield reopened
    for house in houses:
        await house.close()


async def indexed(house: House, points: int) -> bool:
    """Whether the index has so many points and nothing waits any more, within some seconds."""
    for _ in range(500):
        if not await house.indexer.depth() and await house.index.count("ann") == points:
            return True
        await asyncio.sleep(0.01)
    return False


async def soon(holds: Callable[[], bool]) -> bool:
    """Whether it holds within some seconds."""
    for _ in range(500):
        if holds():
            return True
        await asyncio.sleep(0.01)
    return False


FIRST: dict[str, Callable[[House], Awaitable[object]]] = {
    "count": lambda house: house.episodic.count("bob"),
    "newest": lambda house: house.episodic.newest("bob", 1),
    "search": lambda house: house.episodic.search("bob", "anything", 1),
    "append": lambda house: house.episodic.append("bob", episode(9, "bob")),
    "append_many": lambda house: house.episodic.append_many("bob", [episode(9, "bob")]),
    "catch_up": lambda house: house.episodic.catch_up(),
}


@pytest.mark.parametrize("first", FIRST)
async def test_the_first_use_even_by_another_user_brings_everything_in(left: Left, first: str) -> None:
    house = await left()
    await FIRST[first](house)
    assert await house.spool.depth() == 0
    there = await house.interactions.newest("ann", 9)
    assert [(i.id, i.ground_truth) for i in there] == [
        (uid(0), None), (uid(1), "tea"), (uid(2), None), (uid(3), "tea")
    ]  # fmt: skip
    assert await indexed(house, 4)


async def test_while_the_ledger_is_down_it_waits_and_the_next_use_tries_again(
    left: Left, caplog: pytest.LogCaptureFixture
) -> None:
    house = await left()
    house.ledger_down()
    await house.episodic.catch_up()
    assert "what an earlier process left waits on: the ledger is down" in caplog.text
    assert await house.spool.depth() == 3
    house.ledger_up()
    await house.episodic.catch_up()
    assert await indexed(house, 4)


async def test_while_the_index_is_down_the_background_goes_on_trying(left: Left) -> None:
    house = await left()
    house.index_down()
    await house.episodic.catch_up()
    assert await soon(lambda: house.indexer.retrying)
    house.index_up()
    assert await indexed(house, 4)


async def test_an_index_that_another_process_has_is_left_to_it(left: Left, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    house = await left()
    house.index_down(HomeInUse("open in another process"))
    await house.episodic.catch_up()
    assert await soon(lambda: "left to the process that has it" in caplog.text)
    assert not house.indexer.retrying
    assert house.index.refused == 1
    house.index_up()
    assert await house.found("ann", "question", 9) != []


async def test_a_search_does_not_wait_for_all_that_was_left(tmp_path: Path, database: Database) -> None:
    home, url = tmp_path / "home", ledger_of(database)
    async with opened(home, url) as house:
        house.index_down()
        await house.episodic.append_many("ann", [episode(n) for n in range(400)])
        await house.episodic.append("bob", episode(1000, "bob"))
    async with opened(home, url) as house:
        assert await house.found("bob", "question") == [uid(1000)]
        assert await house.indexer.depth("ann") > 0
    async with opened(home, url) as house:  # closed in the middle of it: the next one carries on
        await house.episodic.catch_up()
        assert await indexed(house, 400)


async def test_labels_that_land_are_told_once_each_and_those_that_change_nothing_are_not(left: Left) -> None:
    house = await left()
    told: list[str] = []

    async def landed(user_id: str) -> None:
        told.append(user_id)

    house.episodic._landed = landed
    await house.spool.add(WaitingFeedback(user_id="ann", interaction_id=uid(3), given_at=NOW, rating=2))
    await house.spool.add(WaitingFeedback(user_id="ann", interaction_id=uid(77), given_at=NOW, rating=5))
    await house.episodic.catch_up()
    assert told == ["ann", "ann"]
    await house.episodic.drain_spool()
    assert told == ["ann", "ann"]


async def test_a_label_whose_teller_failed_stays_in_the_spool_and_is_told_again(left: Left) -> None:
    house = await left()
    told: list[str] = []

    async def landed(user_id: str) -> None:
        told.append(user_id)
        if len(told) == 1:
            raise LedgerUnavailable("down again")

    house.episodic._landed = landed
    await house.episodic.catch_up()
    assert await house.spool.depth() == 2
    await house.episodic.catch_up()
    assert told == ["ann"] * 3
    assert await house.spool.depth() == 0


async def test_a_watcher_is_told_of_its_own_user_alone(tmp_path: Path) -> None:
    async with opened(tmp_path) as house:
        with house.indexer.watching("ann") as ann, house.indexer.watching("bob") as bob:
            await house.interactions.append(episode(1))
            assert not ann.changed
            await house.indexer.flush()
            assert (ann.changed, bob.changed) == (True, False)
        with house.indexer.watching("bob") as bob:
            await house.interactions.append(episode(2, "bob"))
        await house.indexer.flush()
        assert not bob.changed  # it had stopped looking


async def test_a_watcher_is_not_told_of_what_failed(tmp_path: Path) -> None:
    async with opened(tmp_path) as house:
        house.index_down()
        await house.interactions.append(episode(1))
        with house.indexer.watching("ann") as watched:
            with pytest.raises(IndexUnavailable):
                await house.indexer.flush()
            assert not watched.changed


async def test_a_search_that_a_flush_overtook_looks_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path) as house:
        await house.interactions.append(episode(1))
        search, searched = house.index.search, 0

        async def overtaken(*args: object) -> object:
            nonlocal searched
            searched += 1
            found = await search(*args)  # type: ignore[arg-type]
            if searched == 1:
                await house.indexer.flush()  # the point comes after the engine was asked, the outbox is empty before
            return found

        monkeypatch.setattr(house.index, "search", overtaken)
        assert await house.found("ann", "question") == [uid(1)]
        assert searched == 2


async def test_flush_soon_returns_at_once_and_close_waits_for_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as house:
        kept: list[Interaction] = [(await house.interactions.append(episode(n)))[0] for n in range(3)]
        for interaction in kept:
            house.indexer.flush_soon(interaction.user_id)
        assert house.index.written == []
        await house.indexer.close()
        assert house.index.written == [interaction.id for interaction in kept]  # once each: they shared a flush
        assert await house.indexer.depth() == 0


async def test_flush_soon_leaves_it_to_a_retry_that_is_under_way(tmp_path: Path) -> None:
    async with opened(tmp_path) as house:
        house.index_down()
        await house.episodic.append("ann", episode(1))
        assert house.indexer.retrying
        house.index_up()
        await house.interactions.append(episode(2))
        house.indexer.flush_soon("ann")
        assert house.indexer._soon.get(asyncio.get_running_loop(), set()) == set()
        assert await indexed(house, 2)


async def test_where_the_index_is_not_given_away_words_find_what_the_ledger_has(
    tmp_path: Path, database: Database
) -> None:
    async with opened(tmp_path / "home", ledger_of(database)) as house:
        for number in range(3):
            await house.episodic.append("ann", episode(number))
        house.index_down(HomeInUse("held by another process"))
        found = await house.episodic.search("ann", episode(1).query, 2)
        assert found[0].interaction.id == uid(1)
        assert await house.episodic.search("bob", episode(1).query, 2) == []
