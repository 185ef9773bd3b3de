"""Candidates that are ahead of the version in force but not proven; every later label judges them too."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select

from personaagent.ledger.database import Database
from personaagent.ledger.interactions import known_ids
from personaagent.ledger.tables import challengers, from_micros, personas, sections_json, sections_of, to_micros
from personaagent.types import Challenger, evidence_of

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


class Challengers:
    """The challengers of a user, all of the version in force: the next version drops them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, user_id: str) -> list[Challenger]:
        """The user's challengers, oldest first."""
        query = select(challengers).where(challengers.c.user_id == user_id)
        query = query.order_by(challengers.c.created_at, challengers.c.id)
        rows = await self._database.run_read(lambda connection: connection.execute(query).mappings().all())
        return [
            Challenger(
                id=row["id"],
                user_id=row["user_id"],
                base_version=row["base_version"],
                proposer=row["proposer"],
                sections=sections_of(row["sections"]),
                reason=row["reason"],
                evidence=row["evidence"],
                judged=tuple(row["judged"]),
                created_at=from_micros(row["created_at"]),
            )
            for row in rows
        ]

    async def replace(self, user_id: str, base_version: int, kept: Sequence[Challenger]) -> None:
        """Keep exactly these.

        Nothing changes where ``base_version`` is not in force any more. Those that stand on or were judged by what was
        forgotten meanwhile are left out.
        """
        async with self._database.write(user_id) as connection:
            newest = select(personas.c.version).where(personas.c.user_id == user_id)
            in_force = (await connection.execute(newest.order_by(personas.c.version.desc()).limit(1))).scalar()
            if in_force != base_version:
                return
            await drop_all(connection, user_id)
            named = {i for one in kept for i in (*one.judged, *evidence_of(one.sections))}
            there = await connection.run_sync(known_ids, user_id, sorted(named))
            rows = [
                {
                    "user_id": user_id,
                    "id": one.id,
                    "base_version": base_version,
                    "proposer": one.proposer,
                    "sections": sections_json(one.sections),
                    "reason": one.reason,
                    "evidence": dict(one.evidence),
                    "judged": list(one.judged),
                    "created_at": to_micros(one.created_at),
                }
                for one in kept
                if there.issuperset((*one.judged, *evidence_of(one.sections)))
            ]
            if rows:
                await connection.execute(insert(challengers), rows)

    async def drop_evidence(self, user_id: str, ids: Collection[str]) -> int:
        """Delete those that stand on any of these interactions or were judged by them; returns how many."""
        gone = set(ids)
        query = select(challengers.c.id, challengers.c.sections, challengers.c.judged)
        async with self._database.write(user_id) as connection:
            rows = (await connection.execute(query.where(challengers.c.user_id == user_id))).all()
            hit = [
                one
                for one, sections, judged in rows
                if gone.intersection((*judged, *evidence_of(sections_of(sections))))
            ]
            mine = challengers.c.user_id == user_id, challengers.c.id.in_(hit)
            await connection.execute(delete(challengers).where(*mine))
        return len(hit)

    async def delete_user(self, user_id: str) -> int:
        """Remove all of the user; returns how many there were."""
        async with self._database.write(user_id) as connection:
            return await drop_all(connection, user_id)


async def drop_all(connection: AsyncConnection, user_id: str) -> int:
    """Drop the user's challengers inside a transaction, for example that which puts another version in force."""
    return (await connection.execute(delete(challengers).where(challengers.c.user_id == user_id))).rowcount
