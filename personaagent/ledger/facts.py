"""The user's facts with their history: nothing is overwritten, what no longer holds gets an end."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import uuid4

from sqlalchemy import Connection, bindparam, delete, insert, or_, select, update

from personaagent.ledger.database import Database
from personaagent.ledger.tables import (
    fact_of,
    fact_row,
    facts,
    from_micros,
    interactions,
    maybe_moment,
    to_micros,
    users,
)
from personaagent.ledger.users import ensure_user
from personaagent.types import Fact, FactOperation

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

MAX_FACT_CHARS = 300
_ALL = select(facts).where(facts.c.user_id == bindparam("user")).order_by(facts.c.valid_from, facts.c.id)
_HOLDING = _ALL.where(facts.c.status == "active")
_HELD = _ALL.where(
    facts.c.valid_from < bindparam("cut"), or_(facts.c.valid_to.is_(None), facts.c.valid_to >= bindparam("cut"))
)
_THROUGH = select(users.c.profile_through).where(users.c.user_id == bindparam("user"))


class Facts:
    """Semantic memory in the ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def holding(self, user_id: str, *, before: datetime | None = None) -> list[Fact]:
        """The facts that hold now, or that held on the evidence from before that moment; oldest first."""
        return (await self.known(user_id, before=before))[0]

    async def known(self, user_id: str, *, before: datetime | None = None) -> tuple[list[Fact], datetime | None]:
        """What ``holding`` and ``through`` give, read together."""
        return await self._database.run_read(lambda connection: read_known(connection, user_id, before))

    async def history(self, user_id: str) -> list[Fact]:
        """Every fact, oldest first."""
        query = select(facts).where(facts.c.user_id == user_id).order_by(facts.c.valid_from, facts.c.id)
        return await self._database.run_read(
            lambda connection: [fact_of(dict(row)) for row in connection.execute(query).mappings()]
        )

    async def through(self, user_id: str) -> datetime | None:
        """The newest interaction that was read for facts."""
        return maybe_moment(await self._database.run_read(lambda c: c.scalar(_THROUGH, {"user": user_id})))

    async def apply(self, user_id: str, operations: Sequence[FactOperation], *, through: datetime) -> list[Fact]:
        """Carry out the valid operations and move the cursor, in one transaction; returns the facts added."""
        added: list[Fact] = []
        async with self._database.write(user_id) as connection:
            await ensure_user(connection, user_id)
            for operation in operations:
                fact = await self._apply_one(connection, user_id, operation, through)
                if fact is not None:
                    added.append(fact)
            behind = or_(users.c.profile_through.is_(None), users.c.profile_through < to_micros(through))
            moved = update(users).where(users.c.user_id == user_id, behind).values(profile_through=to_micros(through))
            await connection.execute(moved)
        return added

    async def put(self, user_id: str, restored: Sequence[Fact]) -> None:
        """Store facts as they are, for an import into an empty user."""
        async with self._database.write(user_id) as connection:
            for fact in restored:
                await connection.execute(insert(facts).values(fact_row(replace(fact, user_id=user_id))))

    async def drop_evidence(self, user_id: str, ids: Collection[str]) -> tuple[list[str], list[str]]:
        """Take interactions out of all evidence; returns the ids of facts that are gone, and of those that remain.

        A fact without any evidence left is deleted, its text with it; one that it had superseded stays as it is.
        """
        gone: list[str] = []
        trimmed: list[str] = []
        async with self._database.write(user_id) as connection:
            query = select(facts.c.id, facts.c.evidence).where(facts.c.user_id == user_id)
            for fact_id, evidence in (await connection.execute(query)).all():
                left = [i for i in evidence if i not in ids]
                if left == evidence:
                    continue
                mine = facts.c.user_id == user_id, facts.c.id == fact_id
                if left:
                    await connection.execute(update(facts).where(*mine).values(evidence=left))
                    trimmed.append(fact_id)
                else:
                    await connection.execute(delete(facts).where(*mine))
                    gone.append(fact_id)
        return gone, trimmed

    async def delete(self, user_id: str, fact_id: str) -> int:
        """Remove one fact for good; returns how many there were."""
        mine = facts.c.user_id == user_id, facts.c.id == fact_id
        async with self._database.write() as connection:
            return (await connection.execute(delete(facts).where(*mine))).rowcount

    async def delete_user(self, user_id: str) -> int:
        """Remove all of the user; returns how many there were."""
        async with self._database.write(user_id) as connection:
            return (await connection.execute(delete(facts).where(facts.c.user_id == user_id))).rowcount

    async def _apply_one(
        self, connection: AsyncConnection, user_id: str, operation: FactOperation, through: datetime
    ) -> Fact | None:
        when = await self._newest(connection, user_id, operation.evidence)
        if not operation.evidence and operation.kind in {"retire", "keep"}:
            when = through  # these two may stand on nothing but what was read
        mine = facts.c.user_id == user_id, facts.c.id == operation.fact_id, facts.c.status == "active"
        row = (await connection.execute(select(facts).where(*mine))).mappings().one_or_none()
        old = None if row is None else fact_of(dict(row))
        if when is None or (operation.kind != "add" and old is None):
            return None
        if operation.kind == "retire":
            await connection.execute(update(facts).where(*mine).values(status="retired", valid_to=to_micros(when)))
            return None
        if operation.kind == "keep" and old is not None:
            evidence = list(dict.fromkeys([*old.evidence, *operation.evidence]))
            confidence = max(old.confidence, min(1.0, operation.confidence))
            await connection.execute(update(facts).where(*mine).values(evidence=evidence, confidence=confidence))
            return None
        text = operation.text.strip()
        if not 0 < len(text) <= MAX_FACT_CHARS:
            return None
        fact = Fact(
            id=str(uuid4()),
            user_id=user_id,
            text=text,
            evidence=tuple(dict.fromkeys(operation.evidence)),
            confidence=max(0.0, min(1.0, operation.confidence)),
            valid_from=when,
            source=operation.source,
        )
        await connection.execute(insert(facts).values(fact_row(fact)))
        if old is not None:
            ended = {"status": "superseded", "valid_to": to_micros(when), "superseded_by": fact.id}
            await connection.execute(update(facts).where(*mine).values(ended))
        return fact

    @staticmethod
    async def _newest(connection: AsyncConnection, user_id: str, evidence: Sequence[str]) -> datetime | None:
        """The time of the newest evidence; None when there is none, or when one is not this user's."""
        wanted = set(evidence)
        mine = interactions.c.user_id == user_id, interactions.c.id.in_(sorted(wanted))
        rows = (await connection.execute(select(interactions.c.created_at).where(*mine))).scalars().all()
        return from_micros(max(rows)) if rows and len(rows) == len(wanted) else None


def read_known(
    connection: Connection, user_id: str, before: datetime | None = None
) -> tuple[list[Fact], datetime | None]:
    """The facts that hold now, or held before that moment, oldest first, and how far was read; in a transaction."""
    mine = {"user": user_id}
    rows = (
        connection.execute(_HOLDING, mine)
        if before is None
        else connection.execute(_HELD, {**mine, "cut": to_micros(before)})
    )
    return [fact_of(dict(row)) for row in rows.mappings()], maybe_moment(connection.scalar(_THROUGH, mine))
