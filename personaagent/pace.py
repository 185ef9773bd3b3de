"""What an alignment may cost: it measures the endpoint by its own simulations and starts only what will fit."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from personaagent.models.meter import Meter

LOCAL_SECONDS, REMOTE_SECONDS = 180.0, 600.0
_HERE = {"localhost", "127.0.0.1", "::1", "0.0.0.0", "host.docker.internal"}  # noqa: S104 (compared, not bound)
UNLIMITED = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """What the simulations of one alignment took so far; ``began`` is its start in seconds since 1970."""

    began: float
    simulations: int = 0
    seconds: float = 0.0
    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0

    def after(self, simulations: int, seconds: float, meter: Meter) -> Pace:
        """With these simulations, which took so many seconds together."""
        usage = meter.total
        return Pace(
            began=self.began,
            simulations=self.simulations + simulations,
            seconds=self.seconds + seconds,
            calls=self.calls + usage.calls,
            tokens_in=self.tokens_in + usage.input_tokens,
            tokens_out=self.tokens_out + usage.output_tokens,
        )

    @property
    def told(self) -> str:
        """The endpoint's speed in words."""
        at = max(self.seconds, 1e-9)
        return f"{self.tokens_in / at:.0f} tokens/s in, {self.tokens_out / at:.0f} out" if self.simulations else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How many simulations still fit, and what bounds them, in words."""

    simulations: int
    bound: str


class Allowance:
    """The limits of one alignment: ``seconds`` and ``calls`` (0: no limit), and what is left of the user's day."""

    def __init__(
        self,
        seconds: float,
        calls: int,
        remaining: Callable[[str], Awaitable[int]],
        book: Callable[[str, Meter], Awaitable[None]],
    ) -> None:
        self._seconds = seconds
        self._calls = calls
        self._remaining = remaining
        self.book = book  # spending of a user, as it goes

    async def room(self, user_id: str, pace: Pace, calls: int) -> Room:
        """How many simulations fit, at this pace, after so many calls of the whole alignment."""
        each = pace.calls / pace.simulations if pace.simulations and pace.calls else 1.0
        spent = time.time() - pace.began
        bounds = [(await self._remaining(user_id), "today's alignment budget of this user is spent")]
        if self._calls:
            bounds.append((self._calls - calls, f"{self._calls} model calls an alignment"))
        rooms = [Room(simulations=max(0, int(left / each)), bound=why) for left, why in bounds]
        if self._seconds:
            left = self._seconds - spent
            takes = pace.seconds / pace.simulations if pace.simulations else 0.0
            fit = UNLIMITED if not takes and left > 0 else int(max(0.0, left) / takes) if takes else 0
            rooms.append(Room(simulations=fit, bound=duration(self._seconds)))
        return min(rooms, key=lambda room: room.simulations)


def seconds_allowed(wanted: float | None, base_url: str | None, *, embedded: bool) -> float:
    """``align_seconds``: as set, else three minutes where the model runs on this machine and ten elsewhere."""
    if wanted is not None:
        return wanted
    here = embedded or (base_url is not None and urlsplit(base_url).hostname in _HERE)
    return LOCAL_SECONDS if here else REMOTE_SECONDS


def duration(seconds: float) -> str:
    """Seconds in words: "45 s", "3 min"."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def elapsed(pace: Pace) -> float:
    """Seconds since the alignment began."""
    return round(time.time() - pace.began, 1)
