"""Turns that wait for a decision: taken once, by their user alone, few of a user and not for ever."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from personaagent.ledger.database import Database
from personaagent.ledger.waiting import WaitingTurns

START = datetime(2026, 1, 1, tzinfo=UTC)


def minute(number: int) -> datetime:
    return START + timedelta(minutes=number)


async def test_a_turn_is_taken_once_and_by_its_user(database: Database) -> None:
    here, there = WaitingTurns(database), WaitingTurns(database)
    await here.put("ann", "t1", b"\x00a turn", minute(1), since=START, most=8)
    assert await there.take("bob", "t1", since=START) is None
    taken = await asyncio.gather(*(one.take("ann", "t1", since=START) for one in (here, there)))
    assert sorted(taken, key=bool) == [None, b"\x00a turn"]


async def test_what_waits_too_long_and_too_much_makes_room(database: Database) -> None:
    turns = WaitingTurns(database)
    await turns.put("bob", "old", b"x", minute(1), since=START, most=2)
    for number in range(2, 6):
        await turns.put("ann", f"t{number}", b"x", minute(number), since=minute(2), most=2)
    assert await turns.take("bob", "old", since=START) is None  # it went when another's came
    assert [await turns.take("ann", f"t{n}", since=START) for n in range(2, 6)] == [None, None, b"x", b"x"]
    await turns.put("ann", "t6", b"x", minute(6), since=START, most=2)
    assert await turns.take("ann", "t6", since=minute(7)) is None
    await turns.put("ann", "t7", b"x", minute(7), since=START, most=2)
    assert await turns.delete_user("ann") == 1
