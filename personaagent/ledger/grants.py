"""What a user allows their agent to do: tools allowed, tools denied, side effects approved for good."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic
from typing import Literal

from sqlalchemy import Connection, bindparam, delete, insert, select

from personaagent.ledger.database import Database
from personaagent.ledger.tables import grants

Grant = Literal["allow", "deny", "approve"]
FRESH_S = 1.0  # that another process's change may take to be seen, where a call is not about to be carried out
KNOWN = 2_048  # users whose grants are at hand

_MINE = select(grants.c.tool, grants.c.kind).where(grants.c.user_id == bindparam("user"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """A user's grants; ``allowed`` None: everything that the deployment grants. ``denied`` wins over everything."""

    allowed: frozenset[str] | None = None
    denied: frozenset[str] = frozenset()
    approved: frozenset[str] = frozenset()  # tools with side effects that need not ask again


class Grants:
    """The user's own say on tools."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, tuple[float, Granted]] = {}

    async def of(self, user_id: str, *, recent: bool = False) -> Granted:
        """All grants of the user; where ``recent`` ones do, as they were at most ``FRESH_S`` seconds ago."""
        known = self._known.get(user_id)
        if recent and known is not None and monotonic() - known[0] < FRESH_S:
            return known[1]
        began = monotonic()
        granted = await self._database.run_read(lambda connection: read_grants(connection, user_id))
        self.note(user_id, granted, began)
        return granted

    def note(self, user_id: str, granted: Granted, as_of: float) -> None:
        """Take in what was read at that moment (``monotonic``) together with something else."""
        if len(self._known) >= KNOWN:
            self._known.clear()
        self._known[user_id] = as_of, granted

    async def allowed(self, user_id: str) -> frozenset[str] | None:
        """What the user allows; None: everything that the deployment grants."""
        return (await self.of(user_id)).allowed

    async def denied(self, user_id: str) -> frozenset[str]:
        """What the user has revoked; it wins over everything."""
        return (await self.of(user_id)).denied

    async def approved(self, user_id: str) -> frozenset[str]:
        """Tools with side effects that need not ask this user again."""
        return (await self.of(user_id)).approved

    async def put(self, user_id: str, tool: str, kind: Grant) -> None:
        """Allow, deny or approve a tool; allowing and denying replace each other."""
        replaced = ["allow", "deny"] if kind != "approve" else ["approve"]
        mine = grants.c.user_id == user_id, grants.c.tool == tool
        async with self._database.write(user_id) as connection:
            await connection.execute(delete(grants).where(*mine, grants.c.kind.in_(replaced)))
            await connection.execute(insert(grants).values(user_id=user_id, tool=tool, kind=kind))
        self._known.pop(user_id, None)

    async def clear(self, user_id: str, tool: str | None = None) -> None:
        """Take back what the user said of one tool, or of all."""
        mine = [grants.c.user_id == user_id]
        if tool is not None:
            mine.append(grants.c.tool == tool)
        async with self._database.write(user_id) as connection:
            await connection.execute(delete(grants).where(*mine))
        self._known.pop(user_id, None)


def read_grants(connection: Connection, user_id: str) -> Granted:
    """All grants of the user, inside a transaction."""
    kinds: dict[str, set[str]] = {}
    for tool, kind in connection.execute(_MINE, {"user": user_id}):
        kinds.setdefault(kind, set()).add(tool)
    return Granted(
        allowed=frozenset(kinds["allow"]) if "allow" in kinds else None,
        denied=frozenset(kinds.get("deny", ())),
        approved=frozenset(kinds.get("approve", ())),
    )
