"""What critics said of answers, kept with the version that came of it, so that a user can read why it changed."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, delete, insert, select

from personaagent.ledger.database import Database
from personaagent.ledger.interactions import known_ids
from personaagent.ledger.tables import critique_of, critique_row, critiques
from personaagent.types import Critique

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
