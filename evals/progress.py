"""The progress of an evaluation: running score, calls, tokens and time left, on stderr."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from personaagent.evals.metrics import Pair, scores_of
from personaagent.evals.records import Answered
from personaagent.evals.tasks import Task


class Board:
    """One bar for the system that is running."""

    def __init__(self, task: Task, *, systems: int, rows: int) -> None:
        self._leading, self._score = next(iter(scores_of(task.metric, task.choices).items()))
        self._systems = systems
        self._rows = rows
        self._number = 0
        self._pairs: list[Pair] = []
        self._floor: list[Pair] = []
        self._calls = self._tokens = 0
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[score]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def start(self, system: str) -> None:
        """Begin with the next system."""
        self._number += 1
        self._pairs, self._floor, self._calls, self._tokens = [], [], 0, 0
        self._bar = self._progress.add_task(f"{self._number}/{self._systems} {system}", total=self._rows, score="")

    def told(self, row: Answered) -> None:
        """One more row is done."""
        self._pairs.append((row.answer, row.truth))
        self._floor.append((row.majority, row.truth))
        self._calls += row.calls
        self._tokens += row.input_tokens + row.output_tokens
        floor = f" (majority {self._score(self._floor):.3f})" if row.majority else ""
        text = f"{self._leading} {self._score(self._pairs):.3f}{floor} · {self._calls} calls · {self._tokens:,} tokens"
        self._progress.update(self._bar, advance=1, score=text)
