"""What is kept of a user beside the memories: labels since the last alignment, grants of tools, what was spent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from time import monotonic
from typing import TYPE_CHECKING, Literal

from sqlalchemy import ColumnElement, Connection, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from personaagent.ledger.database import Database
from personaagent.ledger.tables import budget, grants, users

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from personaagent.models.meter import Meter


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


Grant = Literal["allow", "deny", "approve"]
FRESH_S = 1.0  # that another process's change may take to be seen, where a call is not about to be carried out
KNOWN = 2_048  # users whose grants are at hand

_GRANTED = select(grants.c.tool, grants.c.kind).where(grants.c.user_id == bindparam("user"))


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
    for tool, kind in connection.execute(_GRANTED, {"user": user_id}):
        kinds.setdefault(kind, set()).add(tool)
    return Granted(
        allowed=frozenset(kinds["allow"]) if "allow" in kinds else None,
        denied=frozenset(kinds.get("deny", ())),
        approved=frozenset(kinds.get("approve", ())),
    )


class Budget:
    """Calls and tokens a user and day, and how many a day may have."""

    def __init__(self, database: Database, daily_calls: int, daily_tokens: int) -> None:
        self._database = database
        self._daily_calls, self._daily_tokens = daily_calls, daily_tokens

    async def remaining(self, user_id: str) -> int:
        """Model calls that alignment may still make for this user today; 0 when the tokens are spent."""
        calls, tokens = await self.spent(user_id, datetime.now(UTC).date())
        return 0 if tokens >= self._daily_tokens else max(0, self._daily_calls - calls)

    async def book(self, user_id: str, meter: Meter) -> None:
        """Book what alignment spent on this user, as it goes."""
        usage = meter.total
        tokens = usage.input_tokens + usage.output_tokens
        await self.add(user_id, datetime.now(UTC).date(), usage.calls, tokens)

    async def spent(self, user_id: str, day: date) -> tuple[int, int]:
        """Calls and tokens of that day."""
        query = select(budget.c.calls, budget.c.tokens).where(*_of_day(user_id, day))
        row = await self._database.run_read(lambda connection: connection.execute(query).first())
        return (0, 0) if row is None else (int(row[0]), int(row[1]))

    async def add(self, user_id: str, day: date, calls: int, tokens: int) -> None:
        """Book calls and tokens."""
        more = {"calls": budget.c.calls + calls, "tokens": budget.c.tokens + tokens}
        async with self._database.write(user_id) as connection:
            done = await connection.execute(update(budget).where(*_of_day(user_id, day)).values(more))
            if not done.rowcount:
                row = {"user_id": user_id, "day": day.isoformat(), "calls": calls, "tokens": tokens}
                await connection.execute(insert(budget).values(row))

    async def delete_user(self, user_id: str) -> None:
        """Forget what was spent."""
        async with self._database.write(user_id) as connection:
            await connection.execute(delete(budget).where(budget.c.user_id == user_id))


def _of_day(user_id: str, day: date) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return budget.c.user_id == user_id, budget.c.day == day.isoformat()
