"""What alignment spent, by user and day (UTC)."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, delete, insert, select, update

from personaagent.ledger.database import Database
from personaagent.ledger.tables import budget

if TYPE_CHECKING:
    from personaagent.models.meter import Meter


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
        query = select(budget.c.calls, budget.c.tokens).where(*_mine(user_id, day))
        row = await self._database.run_read(lambda connection: connection.execute(query).first())
        return (0, 0) if row is None else (int(row[0]), int(row[1]))

    async def add(self, user_id: str, day: date, calls: int, tokens: int) -> None:
        """Book calls and tokens."""
        more = {"calls": budget.c.calls + calls, "tokens": budget.c.tokens + tokens}
        async with self._database.write(user_id) as connection:
            done = await connection.execute(update(budget).where(*_mine(user_id, day)).values(more))
            if not done.rowcount:
                row = {"user_id": user_id, "day": day.isoformat(), "calls": calls, "tokens": tokens}
                await connection.execute(insert(budget).values(row))

    async def delete_user(self, user_id: str) -> None:
        """Forget what was spent."""
        async with self._database.write(user_id) as connection:
            await connection.execute(delete(budget).where(budget.c.user_id == user_id))


def _mine(user_id: str, day: date) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return budget.c.user_id == user_id, budget.c.day == day.isoformat()
