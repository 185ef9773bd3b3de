"""What alignments leave beside the versions: candidates turned down, challengers, and what critics said of answers."""

from __future__ import annotations

from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, delete, insert, select

from personaagent.ledger.database import Database
from personaagent.ledger.interactions import known_ids
from personaagent.ledger.tables import (
    candidates,
    challengers,
    critique_of,
    critique_row,
    critiques,
    from_micros,
    personas,
    sections_json,
    sections_of,
    to_micros,
)
from personaagent.types import Candidate, Challenger, Critique, Verdict, evidence_of, stands_on

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


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

    async def drop_evidence(self, user_id: str, ids: Collection[str], matter: Container[str] = ()) -> int:
        """Delete those that stand on any of these interactions or speak of the matter; returns how many."""
        query = select(candidates.c.seq, candidates.c.sections).where(candidates.c.user_id == user_id)
        async with self._database.write(user_id) as connection:
            rows = (await connection.execute(query)).all()
            wanted = set(ids)
            gone = [seq for seq, sections in rows if stands_on(sections_of(sections), wanted, matter)]
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

    async def drop_evidence(self, user_id: str, ids: Collection[str], matter: Container[str] = ()) -> int:
        """Delete those that stand on these interactions, were judged by them or speak of the matter; says how many."""
        gone = set(ids)
        query = select(challengers.c.id, challengers.c.sections, challengers.c.judged)
        async with self._database.write(user_id) as connection:
            rows = (await connection.execute(query.where(challengers.c.user_id == user_id))).all()
            hit = [
                one
                for one, sections, judged in rows
                if gone.intersection(judged) or stands_on(sections_of(sections), gone, matter)
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


MAX_KEPT = 500  # of a user, the newest


class Critiques:
    """The critiques of a user's alignments."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, user_id: str, new: Sequence[Critique]) -> None:
        """Keep them, once each; one that speaks of an interaction that is not there, or not any more, is left out."""
        mine = critiques.c.user_id == user_id

        def work(connection: Connection) -> None:
            known = known_ids(connection, user_id, sorted({i for critique in new for i in critique.evidence}))
            rows = [critique_row(user_id, critique) for critique in new if known.issuperset(critique.evidence)]
            for row in rows:
                same = [critiques.c[name] == row[name] for name in ("run", "epoch", "interaction_id")]
                connection.execute(delete(critiques).where(mine, *same))
            if rows:
                connection.execute(insert(critiques), rows)
            newest = select(critiques.c.created_at).where(mine).order_by(critiques.c.created_at.desc())
            oldest_kept = connection.scalar(newest.offset(MAX_KEPT - 1).limit(1))
            if oldest_kept is not None:
                connection.execute(delete(critiques).where(mine, critiques.c.created_at < oldest_kept))

        if new:
            await self._database.run_write(work, user_id)

    async def history(self, user_id: str) -> list[Critique]:
        """All that are kept, oldest first, the worst answers of an epoch first."""
        order = critiques.c.created_at, critiques.c.run, critiques.c.epoch, critiques.c.loss.desc()
        query = select(critiques).where(critiques.c.user_id == user_id).order_by(*order, critiques.c.interaction_id)
        return await self._database.run_read(
            lambda connection: [critique_of(row) for row in connection.execute(query).mappings()]
        )

    async def drop_evidence(self, user_id: str, ids: Collection[str]) -> int:
        """Delete those that speak of any of these interactions; returns how many."""
        key = critiques.c.run, critiques.c.epoch, critiques.c.interaction_id
        mine, wanted = critiques.c.user_id == user_id, set(ids)
        async with self._database.write(user_id) as connection:
            rows = (await connection.execute(select(*key, critiques.c.evidence).where(mine))).all()
            gone = [one for *one, evidence in rows if not wanted.isdisjoint(evidence)]
            for one in gone:
                same = [column == value for column, value in zip(key, one, strict=True)]
                await connection.execute(delete(critiques).where(mine, *same))
        return len(gone)

    async def delete_user(self, user_id: str) -> int:
        """Remove all of the user; returns how many there were."""
        async with self._database.write(user_id) as connection:
            return (await connection.execute(delete(critiques).where(critiques.c.user_id == user_id))).rowcount
