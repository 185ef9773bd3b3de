"""Live work first: in one process a background simulation lets those go ahead who wait for a reply."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

TICK_S = 0.01
BEHIND_S = 0.02  # an event loop that comes back so late has more to do than it can
LONGEST_S = 2.0  # then it is the background's turn all the same, or a busy server would never align


class Foreground:
    """Counts the live work of each event loop, which background work asks before it begins."""

    def __init__(self) -> None:
        self._live: WeakKeyDictionary[asyncio.AbstractEventLoop, int] = WeakKeyDictionary()

    @contextmanager
    def live(self) -> Iterator[None]:
        """Somebody waits for what is done inside."""
        loop = asyncio.get_running_loop()
        self._live[loop] = self._live.get(loop, 0) + 1
        try:
            yield
        finally:
            self._live[loop] -= 1

    async def give_way(self) -> None:
        """Wait while there is live work and the event loop is behind, at most ``LONGEST_S`` seconds.

        A loop that only waits, for a model or a store, is not behind: then nothing is held up.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + LONGEST_S
        while self._live.get(loop) and loop.time() < until:
            began = loop.time()
            await asyncio.sleep(TICK_S)
            if loop.time() - began < TICK_S + BEHIND_S:
                return
