"""What waits in the ledger, as gauges: read every few seconds, because several processes change it."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from dataclasses import dataclass
from time import monotonic

from personaagent import telemetry
from personaagent.errors import PersonaAgentError
from personaagent.ledger.queues import Jobs, Outbox
from personaagent.memory.spool import Spool

EVERY_S = 5.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Depths:
    """How much waits: background jobs, changes for the index (and since when), interactions for the ledger."""

    jobs: int
    outbox: int
    outbox_oldest_s: float
    spool: int


class Backlog:
    """Reads what waits and sets the gauges.

    The outbox keeps no times, so its age is what this process has seen: exact to the interval between two looks,
    and counted from the first look of the process.
    """

    def __init__(self, jobs: Jobs, outbox: Outbox, spool: Spool) -> None:
        self._jobs = jobs
        self._outbox = outbox
        self._spool = spool
        self._seen: deque[tuple[int, float]] = deque()  # (newest number at that look, its time)

    async def watch(self, every_s: float = EVERY_S) -> None:
        """Set the gauges every so many seconds, until cancelled."""
        while True:
            await self.observe()
            await asyncio.sleep(every_s)

    async def observe(self) -> Depths | None:
        """Set the gauges; None, and gauges that are not a number, while the ledger does not answer."""
        spooled = await self._spool.depth()
        telemetry.spool_depth.set(spooled)
        try:
            jobs, span = await self._jobs.depth(), await self._outbox.span()
        except PersonaAgentError as error:
            _log.warning("what waits is not known: %s", error)
            telemetry.ledger_up.set(0)
            for gauge in (telemetry.queue_jobs, telemetry.outbox_depth, telemetry.outbox_age):
                gauge.set(math.nan)
            return None
        waiting = Depths(
            jobs=jobs, outbox=span.depth, outbox_oldest_s=self._age(span.oldest, span.newest), spool=spooled
        )
        telemetry.ledger_up.set(1)
        telemetry.queue_jobs.set(waiting.jobs)
        telemetry.outbox_depth.set(waiting.outbox)
        telemetry.outbox_age.set(waiting.outbox_oldest_s)
        return waiting

    def _age(self, oldest: int | None, newest: int | None) -> float:
        """Seconds since the first look at which the oldest piece was there already."""
        if oldest is None or newest is None:
            self._seen.clear()
            return 0.0
        while self._seen and self._seen[0][0] < oldest:
            self._seen.popleft()
        now = monotonic()
        if not self._seen or self._seen[-1][0] < newest:
            self._seen.append((newest, now))
        return now - self._seen[0][1]
