"""What waits in the ledger: work for the vector index (outbox), and work in the background (jobs)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, insert, literal, or_, select, update
from sqlalchemy.engine import RowMapping

from personaagent.ledger.database import Database
from personaagent.ledger.interactions import known_ids, read_many
from personaagent.ledger.tables import from_micros, interactions, jobs, outbox, to_micros
from personaagent.types import Interaction

# made once: putting a statement together costs more than SQLite takes for it
_OLDEST = (
    select(outbox.c.seq, outbox.c.user_id, outbox.c.op, outbox.c.interaction_id)
    .order_by(outbox.c.seq)
    .limit(bindparam("most"))
)
_MINE = _OLDEST.where(outbox.c.user_id == bindparam("user"))
_TAKEN = delete(outbox).where(outbox.c.seq.in_(bindparam("seqs", expanding=True)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One thing to do: ``upsert`` or ``delete`` an interaction's point, or ``delete_user``."""

    seq: int
    user_id: str
    op: str
    interaction_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """How much work waits, and the numbers of the oldest and the newest piece (None: nothing waits)."""

    depth: int
    oldest: int | None
    newest: int | None


class Outbox:
    """The index's work in the ledger: at least once, in order, durable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def pending(self, limit: int, user_id: str | None = None) -> list[Work]:
        """The oldest work, of one user or of all."""
        return await self._database.run_read(lambda connection: _pending(connection, limit, user_id))

    async def due(self, limit: int, user_id: str | None = None) -> tuple[list[Work], dict[str, dict[str, Interaction]]]:
        """The oldest work, and by user and id the interactions that it is about and that are still there."""

        def work(connection: Connection) -> tuple[list[Work], dict[str, dict[str, Interaction]]]:
            pieces = _pending(connection, limit, user_id)
            return pieces, {u: read_many(connection, u, ids) for u, ids in by_user(pieces).items()}

        return await self._database.run_read(work)

    async def done(self, work: Sequence[Work]) -> int:
        """Take finished work out; returns how much new work that made.

        What was forgotten meanwhile, by another process, may have been written to the index just now: where an
        interaction is gone, its removal is asked for in the same transaction.
        """

        def take_out(connection: Connection) -> int:
            gone = [
                {"user_id": user_id, "op": "delete", "interaction_id": key}
                for user_id, ids in by_user([piece for piece in work if piece.op == "upsert"]).items()
                for key in set(ids) - known_ids(connection, user_id, ids)
            ]
            seqs = [piece.seq for piece in work]
            for start in range(0, len(seqs), 500):
                connection.execute(_TAKEN, {"seqs": seqs[start : start + 500]})
            if gone:
                connection.execute(insert(outbox), gone)
            return len(gone)

        return await self._database.run_write(take_out)

    async def depth(self, user_id: str | None = None) -> int:
        """How much waits, of one user or in all."""
        query = select(func.count()).select_from(outbox)
        if user_id is not None:
            query = query.where(outbox.c.user_id == user_id)
        return int(await self._database.run_read(lambda connection: connection.execute(query).scalar_one()))

    async def span(self) -> Span:
        """How much waits in all, and from which number to which."""
        query = select(func.count(), func.min(outbox.c.seq), func.max(outbox.c.seq)).select_from(outbox)
        depth, oldest, newest = await self._database.run_read(lambda connection: connection.execute(query).one())
        return Span(depth=int(depth), oldest=oldest, newest=newest)

    async def refill(self) -> int:
        """Ask for every interaction to be indexed anew; returns how many."""
        every = select(interactions.c.user_id, literal("upsert"), interactions.c.id)
        async with self._database.write() as connection:
            await connection.execute(delete(outbox).where(outbox.c.op == "upsert"))
            ordered = every.order_by(interactions.c.user_id, interactions.c.created_at)
            filled = insert(outbox).from_select(["user_id", "op", "interaction_id"], ordered)
            return (await connection.execute(filled)).rowcount


def by_user(work: Sequence[Work]) -> dict[str, list[str]]:
    """The ids of the interactions that work is about, each once, in order, by user."""
    wanted: dict[str, dict[str, None]] = {}
    for piece in work:
        if piece.interaction_id is not None:
            wanted.setdefault(piece.user_id, {})[piece.interaction_id] = None
    return {user_id: list(ids) for user_id, ids in wanted.items()}


def _pending(connection: Connection, limit: int, user_id: str | None) -> list[Work]:
    mine = {} if user_id is None else {"user": user_id}
    found = connection.execute(_OLDEST if user_id is None else _MINE, {"most": limit, **mine})
    return [Work(seq=seq, user_id=user, op=op, interaction_id=key) for seq, user, op, key in found]


MAX_ATTEMPTS = 5
_KEY = "jobs"  # the queue is one: whoever takes from it sees all that others took


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Work for one user. ``attempts`` counts this one too; ``lease`` proves who has taken it ("": nobody)."""

    user_id: str
    kind: str
    payload: Mapping[str, Any]
    attempts: int
    due_at: datetime
    lease: str = ""
    error: str | None = None  # why it failed last


class Jobs:
    """Background work in the ledger: it survives a restart, and a crash gives it back when its lease ends."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def enqueue(self, user_id: str, kind: str, payload: Mapping[str, Any], due_at: datetime) -> None:
        """Ask for work at that time; a waiting job of the kind is put off instead, a running one runs again after.

        The new payload's keys replace the waiting one's. Asked for anew, work that was given up is tried again.
        """
        mine = jobs.c.user_id == user_id, jobs.c.kind == kind
        async with self._database.write(_KEY) as connection:
            row = (await connection.execute(select(jobs).where(*mine))).mappings().first()
            if row is None:
                new = {"user_id": user_id, "kind": kind, "payload": dict(payload), "due_at": to_micros(due_at)}
                await connection.execute(insert(jobs).values(again=0, attempts=0, **new))
                return
            values = {"payload": {**row["payload"], **payload}, "due_at": to_micros(due_at)}
            values |= {"attempts": 0} if row["lease"] is None else {"again": 1}
            await connection.execute(update(jobs).where(*mine).values(values))

    async def lease(self, now: datetime, lease_s: float) -> Job | None:
        """Take the job that is due longest, for so many seconds; None when there is nothing to do.

        A job whose lease has ended counts as free, so a worker that died loses none. A user with a job at work has
        no other one to give, and one that failed five times is not given again.
        """
        moment, until = to_micros(now), to_micros(now + timedelta(seconds=lease_s))
        other = jobs.alias()
        at_work = select(other.c.kind).where(other.c.user_id == jobs.c.user_id, other.c.leased_until > moment).exists()
        free = or_(jobs.c.leased_until.is_(None), jobs.c.leased_until <= moment)
        wanted = jobs.c.due_at <= moment, free, ~at_work, jobs.c.attempts < MAX_ATTEMPTS
        due = select(jobs).where(*wanted).order_by(jobs.c.due_at, jobs.c.user_id, jobs.c.kind).limit(1)
        async with self._database.write(_KEY) as connection:
            row = (await connection.execute(due)).mappings().first()
            if row is None:
                return None
            mine = jobs.c.user_id == row["user_id"], jobs.c.kind == row["kind"]
            taken = {"leased_until": until, "lease": str(uuid4()), "attempts": row["attempts"] + 1, "again": 0}
            await connection.execute(update(jobs).where(*mine).values(taken))
            return _job({**row, **taken})

    async def renew(self, job: Job, now: datetime, lease_s: float) -> bool:
        """Hold the job for so many seconds from now; False when somebody else has it by now, or it is gone."""
        until = {"leased_until": to_micros(now + timedelta(seconds=lease_s))}
        async with self._database.write(_KEY) as connection:
            return bool((await connection.execute(update(jobs).where(*_held(job)).values(until))).rowcount)

    async def done(self, job: Job) -> None:
        """The work is done; it is due again only where it was asked for meanwhile. A lost lease changes nothing."""
        async with self._database.write(_KEY) as connection:
            await connection.execute(delete(jobs).where(*_held(job), jobs.c.again == 0))
            free = {"leased_until": None, "lease": None, "attempts": 0, "again": 0, "error": None}
            await connection.execute(update(jobs).where(*_held(job)).values(free))

    async def failed(self, job: Job, reason: str, retry_at: datetime) -> None:
        """The work failed: try again then, five times at most; the reason is kept. A lost lease changes nothing."""
        values = {"leased_until": None, "lease": None, "due_at": to_micros(retry_at), "error": reason}
        async with self._database.write(_KEY) as connection:
            fresh = {**values, "attempts": 0, "again": 0}  # asked for anew meanwhile: its tries are counted anew
            await connection.execute(update(jobs).where(*_held(job), jobs.c.again == 1).values(fresh))
            await connection.execute(update(jobs).where(*_held(job)).values(values))

    async def pending(self, user_id: str) -> list[Job]:
        """The user's jobs that wait or are at work, the one due first first."""
        query = select(jobs).where(jobs.c.user_id == user_id).order_by(jobs.c.due_at, jobs.c.kind)
        return await self._database.run_read(
            lambda connection: [_job(row) for row in connection.execute(query).mappings()]
        )

    async def depth(self, user_id: str | None = None) -> int:
        """How many jobs wait or are at work, of one user or in all."""
        query = select(func.count()).select_from(jobs)
        if user_id is not None:
            query = query.where(jobs.c.user_id == user_id)
        return int(await self._database.run_read(lambda connection: connection.execute(query).scalar_one()))

    async def delete_user(self, user_id: str) -> int:
        """Drop the user's jobs; returns how many there were."""
        async with self._database.write(_KEY) as connection:
            return (await connection.execute(delete(jobs).where(jobs.c.user_id == user_id))).rowcount


def _held(job: Job) -> tuple[ColumnElement[bool], ...]:
    return jobs.c.user_id == job.user_id, jobs.c.kind == job.kind, jobs.c.lease == job.lease


def _job(row: RowMapping | Mapping[str, Any]) -> Job:
    return Job(
        user_id=row["user_id"],
        kind=row["kind"],
        payload=row["payload"],
        attempts=row["attempts"],
        due_at=from_micros(row["due_at"]),
        lease=row["lease"] or "",
        error=row["error"],
    )
