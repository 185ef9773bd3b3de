"""How much one user may ask of a server: turns a minute and at once, feedback a minute, runs that wait,
alignments at once, crons.

Counted in this process and by a clock that cannot be set, so it costs microseconds and no transaction. Processes of one
machine count what is within a minute together where they share ``limits_folder``; all else each counts for itself.
"""

from __future__ import annotations

import math
from array import array
from collections import deque
from collections.abc import Callable, Collection
from hashlib import sha256
from pathlib import Path
from time import monotonic

from personaagent.errors import (
    AlignmentRunning,
    TooManyCrons,
    TooManyRequests,
    TooManyRuns,
    TooManyTurns,
    TooMuchFeedback,
)
from personaagent.settings import Settings

WINDOW_S = 60.0
SWEEP_S = 60.0
CONCURRENT_RETRY_S = 2
WAITING_S = 300.0  # a run that was made and never begun (cancelled, deleted) counts no longer than this
MAKING_S = 5.0  # within which a cron that was admitted is among those that the server has
ALIGNMENT_S = 3_600.0  # an alignment of which no step was heard for so long has ended without a word


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


class SharedRate(Rate):
    """The same, by all processes of this machine that share the folder: a small file a key, behind its own lock.

    The clock is the machine's since it was started, so every process reads the same. Not for Windows.
    """

    def __init__(self, limit: int, folder: Path, clock: Callable[[], float] = monotonic) -> None:
        super().__init__(limit, clock)
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def wait(self, key: str) -> int:
        """Count an event now and return 0, or count nothing and return after how many seconds it would be allowed."""
        if not self._limit:
            return 0
        import fcntl

        with (self._folder / sha256(key.encode()).hexdigest()).open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            held, now = file.read(), self._clock()
            times = array("d", held[: len(held) - len(held) % 8])  # a write that was cut off is no event
            times = array("d", (time for time in times if now - WINDOW_S < time <= now))  # later: before a restart
            if len(times) >= self._limit:
                return max(1, math.ceil(times[0] + WINDOW_S - now))
            times.append(now)
            file.truncate(0)
            file.write(times.tobytes())
        return 0


def rate_of(settings: Settings, name: str, limit: int, clock: Callable[[], float] = monotonic) -> Rate:
    """A rate of this process, or of all that share ``limits_folder``."""
    folder = settings.limits_folder
    return Rate(limit, clock) if folder is None else SharedRate(limit, folder / name, clock)


class Limiter:
    """Admits runs, turns, feedback and alignments of a user, or raises what says which limit they are over."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = monotonic) -> None:
        self._turns = rate_of(settings, "turns", settings.turns_per_minute, clock)
        self._feedback = rate_of(settings, "feedback", settings.feedback_per_minute, clock)
        self._per_minute = settings.turns_per_minute, settings.feedback_per_minute
        self._at_once = settings.concurrent_turns
        # a turn that ends without a word (its process cancelled it between two nodes) is taken for ended after this
        self._longest = settings.model_timeout_s * settings.max_steps
        self._clock = clock
        self._running: dict[str, dict[str, float]] = {}
        self._pending = settings.pending_runs
        both = settings.turns_per_minute and settings.feedback_per_minute
        self._asked_limit = settings.turns_per_minute + settings.feedback_per_minute if both else 0
        self._asked = Rate(self._asked_limit, clock)
        self._waiting: dict[str, dict[str, float]] = {}
        self._crons = settings.crons_per_user
        self._making: dict[str, dict[str, float]] = {}
        # by user: whose alignment it is, and when it was last heard of
        self._aligning: dict[str, tuple[str, float]] = {}

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

    def queue_run(self, user_id: str, run_id: str, after_s: float = 0.0) -> None:
        """Admit a run of any graph to the server's queue; raises TooManyRuns, before it is in it.

        One that is to begin ``after_s`` seconds only waits from then on as well.
        """
        since = self._clock() - WAITING_S
        waiting = {run: made for run, made in self._waiting.get(user_id, {}).items() if made > since}
        if self._pending and len(waiting) >= self._pending:
            raise TooManyRuns(
                f"{len(waiting)} runs of this user wait to be carried out, {self._pending} may "
                "(PERSONAAGENT_PENDING_RUNS): wait for one of them",
                CONCURRENT_RETRY_S,
            )
        variables = "PERSONAAGENT_TURNS_PER_MINUTE and PERSONAAGENT_FEEDBACK_PER_MINUTE"
        _check(TooManyRuns, "runs", variables, self._asked_limit, self._asked.wait(user_id))
        self._waiting[user_id] = waiting | {run_id: self._clock() + max(0.0, after_s)}

    def run_began(self, user_id: str, run_id: str) -> None:
        """The run is carried out, and waits no longer."""
        waiting = self._waiting.get(user_id)
        if waiting is not None:
            waiting.pop(run_id, None)
            if not waiting:
                del self._waiting[user_id]

    def make_cron(self, user_id: str, cron_id: str, held: Collection[str]) -> None:
        """Admit a cron beside those that the server holds of this user (their ids); raises TooManyCrons."""
        now = self._clock()
        making = {cron: made for cron, made in self._making.get(user_id, {}).items() if made > now - MAKING_S}
        there = len({*held, *making})
        if self._crons and there >= self._crons:
            raise TooManyCrons(
                f"this user has {there} crons, {self._crons} are allowed (PERSONAAGENT_CRONS_PER_USER): "
                "delete one of them first"
            )
        self._making[user_id] = making | {cron_id: now}

    def begin_alignment(self, user_id: str, run: str = "") -> None:
        """Admit an alignment; raises AlignmentRunning while another of this user is under way in this process."""
        if self.aligning(user_id):
            raise AlignmentRunning("an alignment of this user is under way, and one at a time is: wait for it to end")
        self._aligning[user_id] = run, self._clock()

    def aligning(self, user_id: str) -> bool:
        """Whether an alignment of this user is under way."""
        return self._clock() - self._aligning.get(user_id, ("", -ALIGNMENT_S))[1] < ALIGNMENT_S

    def go_on_aligning(self, user_id: str, run: str = "") -> None:
        """The alignment goes on, or is taken up again where it stood; raises AlignmentRunning where it is another."""
        if self._aligning.get(user_id, (run, 0.0))[0] != run:
            self.begin_alignment(user_id, run)
        self._aligning[user_id] = run, self._clock()

    def end_alignment(self, user_id: str, run: str = "") -> None:
        """It has ended, has failed, or waits for the user; another one is left alone."""
        if self._aligning.get(user_id, (run, 0.0))[0] == run:
            self._aligning.pop(user_id, None)

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
