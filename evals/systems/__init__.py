"""Systems under evaluation: each answers the same rows in the order of time and learns a row's truth after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from personaagent.evals.tasks import Row, Task
from personaagent.ports import Embedder, Models
from personaagent.settings import Settings
from personaagent.types import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What every system gets: the same task, models, embedder and retrieval budget."""

    task: Task
    settings: Settings
    models: Models
    embedder: Embedder
    home: Path  # an empty folder of the system's own
    recall_k: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer. The runner fills in ``usage`` and ``seconds``; ``error`` names why the text is empty.

    ``probabilities`` are those of the choices, where the system gives them.
    """

    text: str
    tools: tuple[str, ...] = ()
    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0
    error: str | None = None
    probabilities: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Portrait:
    """What a system holds of a user after its preparation, for the report: persona before and after, and why."""

    persona: str = ""
    seed: str = ""
    outcome: str = ""
    aligned_after: int | None = None  # edits before the first aligned version, where alignment runs on the way


class System(Protocol):
    """One way to answer a user's queries. Users are independent of each other; one user's rows come in order."""

    async def prepare(self, user_id: str, history: Sequence[Row]) -> None:
        """Take in what came before the user's first test row. Called once a user, before anything else."""

    async def answer(self, row: Row) -> Answer:
        """Answer one query; what the model got wrong is an empty text, which counts as wrong.

        Raises ModelUnreachable, ModelDenied, SetupError: then the run stops and can be resumed.
        """

    async def learn(self, row: Row) -> None:
        """Take in the truth of a row, answered just now or in a run that was interrupted."""

    async def portrait(self, user_id: str) -> Portrait:
        """What is held of this user."""

    async def close(self) -> None:
        """Release what is open."""


class Remembering:
    """The part that simple systems share: a user's labelled rows, oldest first, kept in this process."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.seen: dict[str, list[Row]] = {}

    async def prepare(self, user_id: str, history: Sequence[Row]) -> None:
        """Keep the history."""
        self.seen[user_id] = list(history)

    async def learn(self, row: Row) -> None:
        """Keep one more."""
        self.seen[row.user_id].append(row)

    async def portrait(self, user_id: str) -> Portrait:  # noqa: ARG002
        """There is none."""
        return Portrait()

    async def close(self) -> None:
        """There is nothing to release."""
