"""How much one user may ask of a server: turns a minute and at once, feedback a minute.

Counted in this process and by a clock that cannot be set, so it costs microseconds and no transaction. Several server
processes behind one address each allow as much; docs/operations.md says how to set it then.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from time import monotonic

from personaagent.errors import TooManyRequests, TooManyTurns, TooMuchFeedback
from personaagent.settings import Settings

WINDOW_S = 60.0
SWEEP_S = 60.0
CONCURRENT_RETRY_S = 2


class Rate:
    """At most ``limit`` events a key within any ``WINDOW_S`` seconds; 0 allows any number."""

    def __init__(self, limit: int, clock: Callable[[], float] = monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._times: dict[str, deque[float]] = {}
        self._swept = clock()

    def wait(self, key: str) -> int:
        """Count an event now and return 0, or count nothing and return after how many seconds it would be allowed."""
        if not self._limit:
            return 0
        now = self._clock()
        if now - self._swept > SWEEP_S:
            self._sweep(now)
        times = self._times.setdefault(key, deque())
        while times and times[0] <= now - WINDOW_S:
            times.popleft()
        if len(times) >= self._limit:
            return max(1, math.ceil(times[0] + WINDOW_S - now))
        times.append(now)
        return 0

    def _sweep(self, now: float) -> None:
        self._times = {key: times for key, times in self._times.items() if times and times[-1] > now - WINDOW_S}
        self._swept = now


class Limiter:
    """Admits turns and feedback of a user, or raises TooManyTurns and TooMuchFeedback."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = monotonic) -> None:
        self._turns = Rate(settings.turns_per_minute, clock)
        self._feedback = Rate(settings.feedback_per_minute, clock)
        self._per_minute = settings.turns_per_minute, settings.feedback_per_minute
        self._at_once = settings.concurrent_turns
        # a turn that ends without a word (its process cancelled it between two nodes) is taken for ended after this
        self._longest = settings.model_timeout_s * settings.max_steps
        self._clock = clock
        self._running: dict[str, dict[str, float]] = {}

    def begin_turn(self, user_id: str, turn: str) -> None:
        """Admit a turn, known by a name of its own; raises TooManyTurns. A turn that is begun twice counts once."""
        running = self._running.get(user_id, {})
        ended = self._clock() - self._longest
        running = {name: began for name, began in running.items() if began > ended and name != turn}
        if self._at_once and len(running) >= self._at_once:
            raise TooManyTurns(
                f"{len(running)} turns of this user are being answered, {self._at_once} at once are allowed "
                "(PERSONAAGENT_CONCURRENT_TURNS): wait for one of them",
                CONCURRENT_RETRY_S,
            )
        _check(TooManyTurns, "turns", "PERSONAAGENT_TURNS_PER_MINUTE", self._per_minute[0], self._turns.wait(user_id))
        self._running[user_id] = running | {turn: self._clock()}

    def end_turn(self, user_id: str, turn: str) -> None:
        """The turn is answered, has failed or waits for the user; ended twice, or never begun, is the same."""
        running = self._running.get(user_id)
        if running is not None:
            running.pop(turn, None)
            if not running:
                del self._running[user_id]

    def admit_feedback(self, user_id: str) -> None:
        """Admit one piece of feedback; raises TooMuchFeedback."""
        wait = self._feedback.wait(user_id)
        _check(TooMuchFeedback, "feedback", "PERSONAAGENT_FEEDBACK_PER_MINUTE", self._per_minute[1], wait)


def _check(error: type[TooManyRequests], what: str, variable: str, limit: int, wait: int) -> None:
    if wait:
        raise error(
            f"{limit} {what} of this user within a minute are the limit ({variable}): send it again in {wait} s",
            wait,
        )
