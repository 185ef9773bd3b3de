"""Candidate personas that were not committed, with the reason, for whoever debugs an alignment."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, insert, select

from personaagent.ledger.database import Database
from personaagent.ledger.interactions import known_ids
from personaagent.ledger.tables import candidates, from_micros, sections_json, sections_of, to_micros
from personaagent.types import Candidate, Verdict, evidence_of


class Candidates:
    """The rejected candidates of a user."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, user_id: str, rejected: Sequence[Candidate]) -> None:
        """Keep them with their reasons, but for those that stand on what was forgotten meanwhile.

        Those of an alignment that is there already, in a replay of its end, are kept.
        """
        now = to_micros(datetime.now(UTC))
        rows = [
            {
                "user_id": user_id,
                "proposer": candidate.proposer,
                "sections": sections_json(candidate.sections),
                "reason": candidate.reason,
                "verdict": asdict(candidate.verdict) if candidate.verdict else None,
                "created_at": now,
                "run": candidate.run,
                "epoch": candidate.epoch,
            }
            for candidate in rejected
        ]
        if rows:
            async with self._database.write(user_id) as connection:
                mine = candidates.c.user_id == user_id, candidates.c.run.in_({row["run"] for row in rows} - {None})
                known = set((await connection.execute(select(candidates.c.run).where(*mine))).scalars())
                named = {i for candidate in rejected for i in evidence_of(candidate.sections)}
                there = await connection.run_sync(known_ids, user_id, sorted(named))
                new = [
                    row
                    for row, candidate in zip(rows, rejected, strict=True)
                    if row["run"] not in known and there.issuperset(evidence_of(candidate.sections))
                ]
                if new:
                    await connection.execute(insert(candidates), new)

    async def newest(self, user_id: str, limit: int) -> list[Candidate]:
        """The newest, newest first."""
        return [candidate for _, candidate in await self.dated(user_id, limit)]

    async def dated(self, user_id: str, limit: int) -> list[tuple[datetime, Candidate]]:
        """The newest, newest first, each with the time when it was turned down."""
        query = select(candidates).where(candidates.c.user_id == user_id).order_by(candidates.c.seq.desc()).limit(limit)
        rows = await self._database.run_read(lambda connection: connection.execute(query).mappings().all())
        return [_dated(row) for row in rows]

    async def since(self, user_id: str, moment: datetime) -> list[tuple[datetime, Candidate]]:
        """Those that were turned down from that moment on by judging interactions, newest first, with the time."""
        query = select(candidates).where(candidates.c.user_id == user_id, candidates.c.created_at >= to_micros(moment))
        query = query.order_by(candidates.c.seq.desc())
        rows = await self._database.run_read(lambda connection: connection.execute(query).mappings().all())
        return [dated for dated in map(_dated, rows) if (v := dated[1].verdict) and v.wins + v.losses + v.ties]

    async def drop_evidence(self, user_id: str, ids: Collection[str]) -> int:
        """Delete those that stand on any of these interactions; returns how many."""
        query = select(candidates.c.seq, candidates.c.sections).where(candidates.c.user_id == user_id)
        async with self._database.write(user_id) as connection:
            rows = (await connection.execute(query)).all()
            wanted = set(ids)
            gone = [seq for seq, sections in rows if not wanted.isdisjoint(evidence_of(sections_of(sections)))]
            await connection.execute(delete(candidates).where(candidates.c.seq.in_(gone)))
        return len(gone)

    async def delete_user(self, user_id: str) -> int:
        """Remove all of the user; returns how many there were."""
        async with self._database.write(user_id) as connection:
            return (await connection.execute(delete(candidates).where(candidates.c.user_id == user_id))).rowcount


def _dated(row: Mapping[Any, Any]) -> tuple[datetime, Candidate]:
    return from_micros(row["created_at"]), Candidate(
        proposer=row["proposer"],
        sections=sections_of(row["sections"]),
        reason=row["reason"],
        verdict=Verdict(**row["verdict"]) if row["verdict"] else None,
        run=row["run"],
        epoch=row["epoch"],
    )
