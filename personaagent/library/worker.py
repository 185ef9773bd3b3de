"""Background work of a plain process: alignments that are due in the durable queue, one after another.

A job that is cut short (the process is asked to end, a reply needs the model) is given back as it was and runs again
later. One whose process is killed runs again when its lease ends, which is renewed only while it is worked on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from personaagent.context import Context
from personaagent.errors import PersonaAgentError
from personaagent.ledger.queues import Job
from personaagent.scheduling import ALIGNMENT, READING
from personaagent.types import Fact

if TYPE_CHECKING:
    from personaagent.graph.services import Services

LEASE_S = 60.0  # a crash gives the job back after it
BEATS_A_LEASE = 3  # so often it is renewed: two may fail before somebody else takes the job
POLL_S = 1.0
RETRY_S = 30.0  # doubled with every attempt
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """One carried out job: whose, and what became of it."""

    user_id: str
    kind: str
    outcome: str
    committed: int | None = None  # the new persona version
    calls: int = 0
    tokens: int = 0
    error: str | None = None
    noted: tuple[Fact, ...] = ()  # that a reading has made of what the user said


class Worker:
    """Takes due jobs from the queue and carries them out."""

    def __init__(self, services: Services, *, lease_s: float = LEASE_S) -> None:
        from personaagent.graph.alignment import build_alignment

        self._services = services
        self._jobs = services.jobs
        self._lease_s = lease_s
        self._alignment = build_alignment(services).compile()

    async def next(self) -> Done | None:
        """Carry out the job that is due longest; None when nothing is due.

        A named failure is put down in the queue and tried again later. Cancelled, it gives the job back.
        """
        job = await self._jobs.lease(datetime.now(UTC), self._lease_s)
        if job is None:
            return None
        try:
            done = await self._held(job)
        except PersonaAgentError as error:
            later = datetime.now(UTC) + timedelta(seconds=RETRY_S * 2**job.attempts)
            await self._jobs.failed(job, str(error), later)
            return Done(user_id=job.user_id, kind=job.kind, outcome="failed, tried again later", error=str(error))
        except asyncio.CancelledError:
            # enqueued anew while it is leased, a finished job stays in the queue
            await self._jobs.enqueue(job.user_id, job.kind, job.payload, datetime.now(UTC))
            await self._jobs.done(job)
            raise
        await self._jobs.done(job)
        return done

    async def forever(self, told: Callable[[Done], None]) -> None:
        """Carry out jobs as they fall due, until cancelled; a queue that cannot be read is tried again."""
        while True:
            try:
                done = await self.next()
            except PersonaAgentError as error:
                _log.error("the queue cannot be read: %s", error)
                done = None
            if done is None:
                await asyncio.sleep(POLL_S)
            else:
                told(done)

    async def _held(self, job: Job) -> Done:
        """Carry the job out while its lease is renewed; one that somebody else has taken meanwhile is left to them."""
        work = asyncio.create_task(self._carry_out(job))
        beat = asyncio.create_task(self._beat(job))
        try:
            await asyncio.wait([work, beat], return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            return Done(user_id=job.user_id, kind=job.kind, outcome="left to the process that has taken it")
        finally:
            for task in (work, beat):
                task.cancel()
            await asyncio.wait([work, beat])

    async def _beat(self, job: Job) -> None:
        """Renew the lease until it is lost."""
        while True:
            await asyncio.sleep(self._lease_s / BEATS_A_LEASE)
            try:
                if not await self._jobs.renew(job, datetime.now(UTC), self._lease_s):
                    return
            except PersonaAgentError as error:
                _log.warning("the lease of a job could not be renewed: %s", error)

    async def _carry_out(self, job: Job) -> Done:
        if job.kind == READING:
            noted = await self._services.reader.read(job.user_id)
            return Done(user_id=job.user_id, kind=job.kind, outcome=f"{len(noted)} facts noted", noted=noted)
        if job.kind != ALIGNMENT:
            return Done(user_id=job.user_id, kind=job.kind, outcome="dropped", error=f"no work is called {job.kind!r}")
        known = {field.name for field in fields(Context)}
        context = Context(**{k: v for k, v in job.payload.items() if k in known} | {"user_id": job.user_id})
        result: dict[str, Any] = await self._alignment.ainvoke({}, context=context)
        committed = result.get("committed")
        return Done(
            user_id=job.user_id,
            kind=job.kind,
            outcome=result.get("outcome", ""),
            committed=committed.version if committed else None,
            calls=result.get("calls", 0),
            tokens=result.get("tokens", 0),
        )
