"""What is kept of a user beside the memories: new labels since the last alignment, and whether to personalize."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from personaagent.ledger.database import Database
from personaagent.ledger.tables import users

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


async def ensure_user(connection: AsyncConnection, user_id: str) -> None:
    """See that the user has a row, inside a transaction."""
    known = select(users.c.user_id).where(users.c.user_id == user_id)
    if (await connection.execute(known)).first() is None:
        try:
            async with connection.begin_nested():
                await connection.execute(insert(users).values(user_id=user_id))
        except IntegrityError:
            return  # another process was faster, which is as good


class Users:
    """Counters and switches by user."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_label(self, user_id: str) -> int:
        """Count a new label; returns how many there are since the last alignment."""
        mine = users.c.user_id == user_id
        async with self._database.write(user_id) as connection:
            await ensure_user(connection, user_id)
            await connection.execute(update(users).where(mine).values(new_labels=users.c.new_labels + 1))
            return int((await connection.execute(select(users.c.new_labels).where(mine))).scalar_one())

    async def labels(self, user_id: str) -> int:
        """How many new labels there are since the last alignment."""
        query = select(users.c.new_labels).where(users.c.user_id == user_id)
        return int(await self._database.run_read(lambda connection: connection.scalar(query)) or 0)

    async def aligned(self, user_id: str) -> None:
        """Begin to count new labels anew."""
        async with self._database.write(user_id) as connection:
            await connection.execute(update(users).where(users.c.user_id == user_id).values(new_labels=0))

    async def owed(self, labels: int) -> list[str]:
        """The users with so many new labels or more since their last alignment."""
        query = select(users.c.user_id).where(users.c.new_labels >= labels).order_by(users.c.user_id)
        return await self._database.run_read(lambda connection: list(connection.scalars(query)))

    async def personalize(self, user_id: str) -> bool:
        """Whether the user wants to be remembered; True until they say otherwise."""
        query = select(users.c.personalize).where(users.c.user_id == user_id)
        value = await self._database.run_read(lambda connection: connection.scalar(query))
        return value is None or bool(value)

    async def set_personalize(self, user_id: str, wanted: bool) -> None:
        """Switch personalization on or off for this user."""
        async with self._database.write(user_id) as connection:
            await ensure_user(connection, user_id)
            await connection.execute(update(users).where(users.c.user_id == user_id).values(personalize=int(wanted)))

    async def delete_user(self, user_id: str) -> None:
        """Forget the counters and switches."""
        async with self._database.write(user_id) as connection:
            await connection.execute(delete(users).where(users.c.user_id == user_id))
