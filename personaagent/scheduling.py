"""When an alignment is due and runs, and which interactions teach and which judge."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from personaagent.context import Context
from personaagent.ledger.queues import Jobs
from personaagent.ownership import OWNER, owner_of
from personaagent.types import Interaction

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


WITNESSES = 3  # one in so many judging interactions is explicit, where no other is
TEACHING = 3  # interactions that are left to teach where there are enough
MOST_JUDGES = 48  # interactions that judge in one alignment, where the history is long


def due(new_labels: int, align_after: int) -> bool:
    """Whether enough labels came after the persona's ``aligned_through``.

    Count the labels after that cursor, not all of them, or every turn realigns.
    """
    return new_labels >= max(1, align_after)


def split(
    labelled: Sequence[Interaction], batch: int, judge: int, *, holding: int | None = None
) -> tuple[list[Interaction], list[Interaction]]:
    """Return (teach, judge), both oldest first: the newest judge, the ones before them teach.

    ``labelled`` comes oldest first. Where there are enough, ``batch`` of them teach and at least ``judge`` judge:
    half of a longer history does, up to ``MOST_JUDGES``; where the taste has turned, half of the ``holding`` labels
    since then. Of fewer, ``TEACHING`` teach first, at least one judges; fewer than two are neither.
    """
    batch, judge, count = max(1, batch), max(1, judge), len(labelled)
    if count < 2:
        return [], []
    wanted = max(judge, min(MOST_JUDGES, (count if holding is None else holding) // 2))
    judging = max(1, min(wanted, count - min(batch, TEACHING)))
    older, newer = labelled[: count - judging], labelled[count - judging :]
    return list(older[-batch:]), list(newer)


def with_witnesses(
    teach: Sequence[Interaction], judge: Sequence[Interaction], labelled: Sequence[Interaction]
) -> tuple[list[Interaction], list[Interaction]]:
    """Return (teach, judge), the judging ones in the order in which they judge: newest first, witnesses before them.

    Where every judging interaction is labelled implicitly, the newest explicit ones of ``labelled`` (oldest first)
    judge too, a third as many and at least one, and no longer teach: what the user said may be older than what was
    inferred, and must be heard before that is committed. One interaction is always left to teach.
    """
    newest_first = sorted(judge, key=lambda i: i.created_at, reverse=True)
    if not judge or any(i.truth_source != "implicit" for i in judge):
        return list(teach), newest_first
    explicit = [i for i in labelled if i.truth_source != "implicit" and (len(teach) > 1 or i not in teach)]
    called = explicit[-max(1, min(len(judge), 9) // WITNESSES) :]
    left = [i for i in teach if i not in called] or list(teach[:1])
    return left, [*(i for i in called if i not in left), *newest_first]


def rounds(first: int, judging: int) -> list[int]:
    """How many interactions have judged after each round: ``first``, then twice as many, until all have."""
    ends = [min(max(1, first), judging)]
    while ends[-1] < judging:
        ends.append(min(judging, 2 * ends[-1]))
    return ends


def taught_until(teach: Sequence[Interaction], judge: Sequence[Interaction]) -> datetime:
    """The moment before which a proposer may read: that of the first judging interaction after the teaching ones."""
    return min(i.created_at for i in judge if i.created_at > teach[-1].created_at)
