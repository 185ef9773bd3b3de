"""The user's interactions, each stored exactly once, each change with its work for the vector index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, exists, func, insert, or_, select, update

from personaagent.errors import UnknownInteraction
from personaagent.ledger.database import Database
from personaagent.ledger.labels import labelled, rated
from personaagent.ledger.rows import interaction_of, interaction_row, matching
from personaagent.ledger.tables import interactions, outbox
from personaagent.ledger.times import spread
from personaagent.ports import Where
from personaagent.types import Interaction, TruthSource

_CHUNK = 500

# made once: putting a statement together costs more than SQLite takes for it
_MANY = select(interactions).where(
    interactions.c.user_id == bindparam("user"), interactions.c.id.in_(bindparam("ids", expanding=True))
)
_WAITS = select(exists().where(outbox.c.user_id == bindparam("user")))


class Interactions:
    """Episodes in the ledger. An id belongs to one user; another user's interaction does not exist."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, interaction: Interaction) -> tuple[Interaction, bool]:
        """Store it if its id is new; returns it as stored, and whether it was new."""
        user_id, row = interaction.user_id, interaction_row(interaction)
        same = or_(interactions.c.id == interaction.id, interactions.c.created_at == row["created_at"])
        query = select(interactions).where(interactions.c.user_id == user_id, same)

        def work(connection: Connection) -> tuple[Interaction, bool]:
            near = connection.execute(query).mappings().all()
            past = next((found for found in near if found["id"] == interaction.id), None)
            if past is not None:
                return interaction_of(past), False
            if near:
                spread(connection, user_id, [row])
            connection.execute(insert(interactions).values(row))
            connection.execute(insert(outbox).values(_work(user_id, "upsert", interaction.id)))
            return interaction_of(row), True

        return await self._database.run_write(work, user_id)

    async def append_many(self, user_id: str, new: Sequence[Interaction]) -> int:
        """Store those whose ids are new, all or none; returns how many. Equal times are moved on by microseconds."""
        if any(interaction.user_id != user_id for interaction in new):
            raise ValueError("an interaction of another user was given")
        unique = list({interaction.id: interaction for interaction in reversed(new)}.values())[::-1]

        def work(connection: Connection) -> int:
            known = known_ids(connection, user_id, [i.id for i in unique])
            rows = [interaction_row(i) for i in unique if i.id not in known]
            spread(connection, user_id, rows)
            for start in range(0, len(rows), _CHUNK):
                chunk = rows[start : start + _CHUNK]
                connection.execute(insert(interactions), chunk)
                connection.execute(insert(outbox), [_work(user_id, "upsert", row["id"]) for row in chunk])
            return len(rows)

        return await self._database.run_write(work, user_id)

    async def get(self, user_id: str, interaction_id: str) -> Interaction:
        """The interaction; raises UnknownInteraction."""
        found = await self.get_many(user_id, [interaction_id])
        if interaction_id not in found:
            raise _unknown(interaction_id)
        return found[interaction_id]

    async def get_many(self, user_id: str, ids: Sequence[str]) -> dict[str, Interaction]:
        """Those of the ids that are this user's."""
        return await self._database.run_read(lambda connection: read_many(connection, user_id, ids))

    async def recall(self, user_id: str, ids: Sequence[str]) -> tuple[dict[str, Interaction], bool]:
        """Those of the ids that are this user's, and whether work of the user waits for the index, read together."""

        def work(connection: Connection) -> tuple[dict[str, Interaction], bool]:
            return read_many(connection, user_id, ids), bool(connection.scalar(_WAITS, {"user": user_id}))

        return await self._database.run_read(work)

    async def newest(self, user_id: str, limit: int, where: Where = Where()) -> list[Interaction]:
        """The newest ``limit``, oldest first."""
        query = (
            select(interactions).where(matching(user_id, where)).order_by(interactions.c.created_at.desc()).limit(limit)
        )
        return (await self._listed(query))[::-1]

    async def page(self, user_id: str, after: datetime | None, limit: int) -> list[Interaction]:
        """The next ``limit`` after that moment, oldest first."""
        since = None if after is None else after + timedelta(microseconds=1)
        query = (
            select(interactions)
            .where(matching(user_id, Where(since=since)))
            .order_by(interactions.c.created_at)
            .limit(limit)
        )
        return await self._listed(query)

    async def count(self, user_id: str, where: Where = Where()) -> int:
        """How many match."""
        query = select(func.count()).select_from(interactions).where(matching(user_id, where))
        return int(await self._database.run_read(lambda connection: connection.execute(query).scalar_one()))

    async def users(self) -> list[str]:
        """Every user who has an interaction."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(interactions.c.user_id).distinct().order_by(interactions.c.user_id))
            return list(rows.scalars())

    async def label(
        self,
        user_id: str,
        interaction_id: str,
        ground_truth: str,
        source: TruthSource,
        confidence: float = 1.0,
        *,
        given_at: datetime | None = None,
    ) -> Interaction:
        """Set the ground truth; an explicit one stays where an implicit one comes. ``given_at`` None is now.

        Raises UnknownInteraction, InvalidLabel.
        """
        now = given_at or datetime.now(UTC)
        return await self._change(
            user_id, interaction_id, lambda past: labelled(past, ground_truth, source, confidence, now)
        )

    async def rate(
        self, user_id: str, interaction_id: str, rating: int, *, given_at: datetime | None = None
    ) -> Interaction:
        """Set the rating; from 4 up the response becomes the ground truth where there is no explicit one.

        Raises UnknownInteraction, InvalidLabel.
        """
        now = given_at or datetime.now(UTC)
        return await self._change(user_id, interaction_id, lambda past: rated(past, rating, now))

    async def delete(self, user_id: str, ids: Sequence[str]) -> int:
        """Remove these of the user and ask the index to; returns how many there were."""
        gone = 0
        async with self._database.write(user_id) as connection:
            for start in range(0, len(ids), _CHUNK):
                chunk = list(ids[start : start + _CHUNK])
                mine = interactions.c.user_id == user_id
                gone += (
                    await connection.execute(delete(interactions).where(mine, interactions.c.id.in_(chunk)))
                ).rowcount
                pending = outbox.c.user_id == user_id, outbox.c.interaction_id.in_(chunk)
                await connection.execute(delete(outbox).where(*pending))
                await connection.execute(insert(outbox), [_work(user_id, "delete", key) for key in chunk])
        return gone

    async def delete_user(self, user_id: str) -> int:
        """Remove all of the user and ask the index to; returns how many there were."""
        async with self._database.write(user_id) as connection:
            gone = (await connection.execute(delete(interactions).where(interactions.c.user_id == user_id))).rowcount
            await connection.execute(delete(outbox).where(outbox.c.user_id == user_id))
            await connection.execute(insert(outbox), [_work(user_id, "delete_user", None)])
        return gone

    async def _change(
        self, user_id: str, interaction_id: str, change: Callable[[Interaction], Interaction]
    ) -> Interaction:
        """Change an interaction in one transaction, with its work for the index where something changed."""
        mine = interactions.c.user_id == user_id, interactions.c.id == interaction_id

        def work(connection: Connection) -> Interaction:
            row = connection.execute(select(interactions).where(*mine)).mappings().first()
            if row is None:
                raise _unknown(interaction_id)
            past = interaction_of(row)
            changed = change(past)
            if changed != past:
                connection.execute(update(interactions).where(*mine).values(interaction_row(changed)))
                connection.execute(insert(outbox), [_work(user_id, "upsert", interaction_id)])
            return changed

        return await self._database.run_write(work, user_id)

    async def _listed(self, query: Select[Any]) -> list[Interaction]:
        return await self._database.run_read(
            lambda connection: [interaction_of(row) for row in connection.execute(query).mappings()]
        )


def read_many(connection: Connection, user_id: str, ids: Sequence[str]) -> dict[str, Interaction]:
    """Those of the ids that are this user's, inside a transaction."""
    found: dict[str, Interaction] = {}
    for start in range(0, len(ids), _CHUNK):
        rows = connection.execute(_MANY, {"user": user_id, "ids": ids[start : start + _CHUNK]})
        found |= {row["id"]: interaction_of(row) for row in rows.mappings().all()}
    return found


def known_ids(connection: Connection, user_id: str, ids: Sequence[str]) -> set[str]:
    """Which of the ids are this user's, inside a transaction."""
    known: set[str] = set()
    for start in range(0, len(ids), _CHUNK):
        chunk = interactions.c.id.in_(ids[start : start + _CHUNK])
        known |= set(
            connection.execute(select(interactions.c.id).where(interactions.c.user_id == user_id, chunk)).scalars()
        )
    return known


def _work(user_id: str, op: str, interaction_id: str | None) -> dict[str, Any]:
    return {"user_id": user_id, "op": op, "interaction_id": interaction_id}


def _unknown(interaction_id: str) -> UnknownInteraction:
    return UnknownInteraction(f"this user has no interaction {interaction_id!r}: `memory list` shows the ids")
