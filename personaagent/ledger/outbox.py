"""What the vector index still has to do, in order; written in the same transaction as what caused it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, func, insert, literal, select

from personaagent.ledger.database import Database
from personaagent.ledger.interactions import known_ids, read_many
from personaagent.ledger.tables import interactions, outbox
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
