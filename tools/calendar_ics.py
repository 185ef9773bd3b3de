"""Calendar: what is in the user's ICS file in a range of days, recurring events too; read only."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from personaagent.tools.spec import ToolCall, ToolFault, ToolSpec

MAX_BYTES = 5_000_000
MAX_DAYS = 366
MAX_EVENTS = 50


class CalendarArgs(BaseModel):
    """Which days."""

    start: date = Field(description="first day, ISO date")
    end: date | None = Field(None, description="last day, ISO date; the first day when left out")


def calendar_tool(path: Path) -> ToolSpec:
    """The tool over one user's ICS file; in simulation events written at or after ``before`` do not exist."""

    async def run(call: ToolCall) -> str:
        args = CalendarArgs.model_validate(call.arguments)
        end = args.end or args.start
        if not timedelta(0) <= end - args.start < timedelta(days=MAX_DAYS):
            raise ToolFault(f"end must be the same day as start or later, {MAX_DAYS} days at most.")
        return await asyncio.to_thread(_events, path, args.start, end, call.before)

    return ToolSpec(
        name="calendar",
        description="The user's own calendar: events between two days.",
        args=CalendarArgs,
        run=run,
        scopes=frozenset({"files:read"}),
        reads_user_data=True,
    )


def _events(path: Path, start: date, end: date, before: datetime | None) -> str:
    try:
        import recurring_ical_events
        from icalendar import Calendar
    except ImportError as error:
        raise ToolFault("Calendars cannot be read here: pip install icalendar recurring-ical-events.") from error
    try:
        with path.open("rb") as file:
            calendar = Calendar.from_ical(file.read(MAX_BYTES))
        found = recurring_ical_events.of(calendar, skip_bad_series=True).between(start, end + timedelta(days=1))
    except (OSError, ValueError) as error:
        raise ToolFault("The calendar cannot be read now.") from error
    shown = sorted((_moment(e["DTSTART"].dt), _line(e)) for e in found if before is None or _written(e) < before)
    more = f"\n(and {len(shown) - MAX_EVENTS} more)" if len(shown) > MAX_EVENTS else ""
    return "\n".join(line for _, line in shown[:MAX_EVENTS]) + more if shown else "Nothing in the calendar then."


def _written(event: Any) -> datetime:
    """When the event was last written; one that does not say so counts as new, so that simulation cannot see it."""
    stamps = [_moment(event[key].dt) for key in ("LAST-MODIFIED", "CREATED", "DTSTAMP") if key in event]
    return max(stamps, default=datetime.max.replace(tzinfo=UTC))


def _moment(value: date | datetime) -> datetime:
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    return datetime.combine(value, time(), UTC)


def _line(event: Any) -> str:
    begin = event["DTSTART"].dt
    when = f"{begin:%a %Y-%m-%d %H:%M}" if isinstance(begin, datetime) else f"{begin:%a %Y-%m-%d} all day"
    place = f" at {event['LOCATION']}" if event.get("LOCATION") else ""
    return f"- {when}: {' '.join(str(event.get('SUMMARY', 'untitled')).split())[:200]}{place}"
