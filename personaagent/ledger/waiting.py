"""Turns that wait for their user's decision: whichever process the decision reaches takes the turn and goes on."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from personaagent.ledger.database import Database
from personaagent.ledger.tables import to_micros, waiting


class WaitingTurns:
    """Packed turns by user and turn; what is in them is the library's to read."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, user_id: str, turn_id: str, turn: bytes, at: datetime, *, since: datetime, most: int) -> None:
        """Keep it; what waits from before ``since``, of anybody, goes, and the user's oldest beyond ``most``."""
        mine = waiting.c.user_id == user_id
        row = {"user_id": user_id, "turn_id": turn_id, "since": to_micros(at), "turn": turn}

        def work(connection: Connection) -> None:
            connection.execute(delete(waiting).where(waiting.c.since < to_micros(since)))
            connection.execute(delete(waiting).where(mine, waiting.c.turn_id == turn_id))
            connection.execute(insert(waiting), row)
            newest = select(waiting.c.turn_id).where(mine).order_by(waiting.c.since.desc(), waiting.c.turn_id)
            gone = list(connection.scalars(newest.offset(most)))
            connection.execute(delete(waiting).where(mine, waiting.c.turn_id.in_(gone)))

        await self._database.run_write(work, user_id)

    async def take(self, user_id: str, turn_id: str, *, since: datetime) -> bytes | None:
        """The turn, for the one who asks first; None where none has waited under that id from ``since`` on."""
        same = waiting.c.user_id == user_id, waiting.c.turn_id == turn_id

        def work(connection: Connection) -> bytes | None:
            found = connection.scalar(select(waiting.c.turn).where(*same, waiting.c.since >= to_micros(since)))
            taken = connection.execute(delete(waiting).where(*same)).rowcount
            return bytes(found) if found is not None and taken else None

        return await self._database.run_write(work, user_id)

    async def delete_user(self, user_id: str) -> int:
        """Remove all of the user; returns how many there were."""
        async with self._database.write(user_id) as connection:
            return (await connection.execute(delete(waiting).where(waiting.c.user_id == user_id))).rowcount
