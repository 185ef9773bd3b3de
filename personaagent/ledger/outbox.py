"""What the vector index still has to do, in order; written in the same transaction as what caused it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, insert, literal, select

from personaagent.ledger.database import Database
from personaagent.ledger.tables import interactions, outbox


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
        query = select(outbox).order_by(outbox.c.seq).limit(limit)
        if user_id is not None:
            query = query.where(outbox.c.user_id == user_id)
        async with self._database.read() as connection:
            return [Work(**row) for row in (await connection.execute(query)).mappings()]

    async def done(self, seqs: Sequence[int]) -> None:
        """Take finished work out."""
        async with self._database.write() as connection:
            for start in range(0, len(seqs), 500):
                await connection.execute(delete(outbox).where(outbox.c.seq.in_(list(seqs[start : start + 500]))))

    async def depth(self, user_id: str | None = None) -> int:
        """How much waits, of one user or in all."""
        query = select(func.count()).select_from(outbox)
        if user_id is not None:
            query = query.where(outbox.c.user_id == user_id)
        async with self._database.read() as connection:
            return int((await connection.execute(query)).scalar_one())

    async def span(self) -> Span:
        """How much waits in all, and from which number to which."""
        query = select(func.count(), func.min(outbox.c.seq), func.max(outbox.c.seq)).select_from(outbox)
        async with self._database.read() as connection:
            depth, oldest, newest = (await connection.execute(query)).one()
        return Span(depth=int(depth), oldest=oldest, newest=newest)

    async def refill(self) -> int:
        """Ask for every interaction to be indexed anew; returns how many."""
        every = select(interactions.c.user_id, literal("upsert"), interactions.c.id)
        async with self._database.write() as connection:
            await connection.execute(delete(outbox).where(outbox.c.op == "upsert"))
            ordered = every.order_by(interactions.c.user_id, interactions.c.created_at)
            filled = insert(outbox).from_select(["user_id", "op", "interaction_id"], ordered)
            return (await connection.execute(filled)).rowcount
