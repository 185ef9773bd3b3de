"""What a user allows their agent to do: tools allowed, tools denied, side effects approved for good."""

from __future__ import annotations

from typing import Literal

from sqlalchemy import delete, insert, select

from personaagent.ledger.database import Database
from personaagent.ledger.tables import grants

Grant = Literal["allow", "deny", "approve"]


class Grants:
    """The user's own say on tools."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def allowed(self, user_id: str) -> set[str] | None:
        """What the user allows; None: everything that the deployment grants."""
        allowed = await self._of(user_id, "allow")
        return allowed or None

    async def denied(self, user_id: str) -> set[str]:
        """What the user has revoked; it wins over everything."""
        return await self._of(user_id, "deny")

    async def approved(self, user_id: str) -> set[str]:
        """Tools with side effects that need not ask this user again."""
        return await self._of(user_id, "approve")

    async def put(self, user_id: str, tool: str, kind: Grant) -> None:
        """Allow, deny or approve a tool; allowing and denying replace each other."""
        replaced = ["allow", "deny"] if kind != "approve" else ["approve"]
        mine = grants.c.user_id == user_id, grants.c.tool == tool
        async with self._database.write(user_id) as connection:
            await connection.execute(delete(grants).where(*mine, grants.c.kind.in_(replaced)))
            await connection.execute(insert(grants).values(user_id=user_id, tool=tool, kind=kind))

    async def clear(self, user_id: str, tool: str | None = None) -> None:
        """Take back what the user said of one tool, or of all."""
        mine = [grants.c.user_id == user_id]
        if tool is not None:
            mine.append(grants.c.tool == tool)
        async with self._database.write(user_id) as connection:
            await connection.execute(delete(grants).where(*mine))

    async def _of(self, user_id: str, kind: Grant) -> set[str]:
        query = select(grants.c.tool).where(grants.c.user_id == user_id, grants.c.kind == kind)
        async with self._database.read() as connection:
            return set((await connection.execute(query)).scalars())
