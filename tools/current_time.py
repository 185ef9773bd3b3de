"""Current time: what day and time it is somewhere; in simulation, what it was then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, Field

from personaagent.tools.spec import ToolCall, ToolFault, ToolSpec


class CurrentTimeArgs(BaseModel):
    """Where."""

    timezone: str = Field("UTC", max_length=64, description="IANA name, for example Europe/Vienna")


def current_time_tool(now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> ToolSpec:
    """The tool over a clock."""

    async def run(call: ToolCall) -> str:
        zone = await asyncio.to_thread(_zone, str(call.arguments["timezone"]))
        moment = (call.before or now()).astimezone(zone)
        return f"{moment:%A, %Y-%m-%d %H:%M:%S %Z (UTC%z)}"

    return ToolSpec(
        name="current_time", description="The current date, weekday and time.", args=CurrentTimeArgs, run=run
    )


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ToolFault(f"There is no time zone {name!r}: give an IANA name such as Europe/Vienna or UTC.") from error
