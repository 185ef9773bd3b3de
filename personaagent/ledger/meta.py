"""What the ledger knows of itself, for example which embedding model its index was made with."""

from __future__ import annotations

from sqlalchemy import delete, insert, select

from personaagent.ledger.database import Database
from personaagent.ledger.tables import meta


class Meta:
    """Keys and values of the whole ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, key: str) -> str | None:
        """The value, or None."""
        query = select(meta.c.value).where(meta.c.key == key)
        return await self._database.run_read(lambda connection: connection.scalar(query))

    async def once(self, key: str, value: str) -> str:
        """Set the value where there is none yet; returns the one that holds, the same for every process."""
        async with self._database.write("meta") as connection:
            held = (await connection.execute(select(meta.c.value).where(meta.c.key == key))).scalar_one_or_none()
            if held is None:
                await connection.execute(insert(meta).values(key=key, value=value))
            return value if held is None else str(held)

    async def set(self, key: str, value: str) -> None:
        """Set the value."""
        async with self._database.write("meta") as connection:
            await connection.execute(delete(meta).where(meta.c.key == key))
            await connection.execute(insert(meta).values(key=key, value=value))
