"""Background work gives way to live work on a loop that is behind, and on no other."""

from __future__ import annotations

import asyncio
import time

import pytest

from personaagent import foreground as module
from personaagent.foreground import Foreground


class Crowded:
    """An event loop that comes back late from every tick, as long as it is crowded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, ticks: int) -> None:
        self.ticks, self.slept = ticks, 0
        self._sleep = asyncio.sleep
        monkeypatch.setattr(asyncio, "sleep", self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.slept += 1
        if self.slept <= self.ticks:
            time.sleep(seconds + 2 * module.BEHIND_S)  # noqa: ASYNC251 (the loop is held up on purpose)
        await self._sleep(0)


async def test_nothing_waits_where_nobody_waits_for_a_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    crowded = Crowded(monkeypatch, ticks=99)
    await Foreground().give_way()
    assert crowded.slept == 0


async def test_background_work_waits_until_the_loop_keeps_up(monkeypatch: pytest.MonkeyPatch) -> None:
    crowded, foreground = Crowded(monkeypatch, ticks=3), Foreground()
    with foreground.live():
        await foreground.give_way()
    assert crowded.slept == 4


async def test_it_waits_no_longer_than_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_S", 0.0)
    crowded, foreground = Crowded(monkeypatch, ticks=99), Foreground()
    with foreground.live():
        await foreground.give_way()
    assert crowded.slept == 0


async def test_live_work_that_failed_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    crowded, foreground = Crowded(monkeypatch, ticks=99), Foreground()
    with pytest.raises(RuntimeError), foreground.live(), foreground.live():
        raise RuntimeError
    await foreground.give_way()
    assert crowded.slept == 0
