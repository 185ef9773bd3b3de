"""When alignment runs: after enough new labels, debounced, in the background, one at a time a user.

On LangGraph server it is a run of the ``alignment`` graph in a thread of the user's own; in a plain process it is a
job in the durable queue, which a worker carries out, now or after a restart.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from personaagent.context import Context
from personaagent.ledger.queues import Jobs
from personaagent.ownership import OWNER, owner_of

ALIGNMENT = "alignment"
READING = "reading"  # of what was said into facts
_log = logging.getLogger(__name__)


class Scheduler(Protocol):
    """Brings about an alignment of a user some seconds from now; several calls within that time bring about one."""

    async def schedule(self, user_id: str, context: Context) -> None:
        """Ask for an alignment of this user."""

    async def read(self, user_id: str) -> None:
        """Ask for what this user said to be read into facts."""


class QueueScheduler:
    """Puts the alignment into the ledger's queue."""

    def __init__(self, jobs: Jobs, delay_s: float) -> None:
        self._jobs = jobs
        self._delay = timedelta(seconds=delay_s)

    async def schedule(self, user_id: str, context: Context) -> None:
        """Enqueue; a pending alignment of the user is put off instead of doubled."""
        due = datetime.now(UTC) + self._delay
        await self._jobs.enqueue(user_id, ALIGNMENT, background(user_id, context), due)

    async def read(self, user_id: str) -> None:
        """Enqueue; a pending one is put off instead of doubled."""
        await self._jobs.enqueue(user_id, READING, {}, datetime.now(UTC) + self._delay)


class ServerScheduler:
    """Creates a run of the ``alignment`` graph on the LangGraph server that this process is part of."""

    def __init__(self, delay_s: float, thread_of: Callable[[str], Awaitable[str]]) -> None:
        self._delay_s = delay_s
        self._thread_of = thread_of

    async def schedule(self, user_id: str, context: Context) -> None:
        """Create the run in the user's thread of alignments, unless one waits there already; behind one that runs.

        A run that is under way is never replaced: labels that keep coming would keep it from ever ending.

        Inside a run, the server's own client acts as the run's user, and the auth handlers hold. Elsewhere in the
        server it acts as nobody, so the thread's owner and the run's user are set here as well.
        """
        from langgraph_sdk import get_client
        from langgraph_sdk.errors import NotFoundError, RateLimitError

        runs, thread = get_client().runs, await self._thread_of(user_id)
        try:
            waiting = await runs.list(thread, status="pending", limit=1)
        except NotFoundError:
            waiting = []  # the user's first alignment makes the thread
        if waiting:
            return
        try:
            await runs.create(
                thread,
                ALIGNMENT,
                input={},
                context=background(user_id, context),
                metadata={OWNER: owner_of(user_id)},
                after_seconds=max(1, round(self._delay_s)),
                multitask_strategy="enqueue",
                if_not_exists="create",
            )
        except RateLimitError:
            _log.warning("an alignment waits for the user's next label: too many of their runs wait")

    async def read(self, user_id: str) -> None:
        """Nothing: here facts are read by the alignments that follow labels and every twelve turns."""


def background(user_id: str, context: Context) -> dict[str, Any]:
    """The context of a background alignment, as JSON: the run's own settings for this user, without its question."""
    return asdict(replace(context, user_id=user_id, task=None, instructions=None, choices=None))
