"""Systems under evaluation: each answers the same rows in the order of time and learns a row's truth after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from evals.tasks import Row, Task
from personaagent.ports import Embedder, Models
from personaagent.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What every system gets: the same task, models, embedder and retrieval budget."""

    task: Task
    settings: Settings
    models: Models
    embedder: Embedder
    home: Path  # an empty folder of the system's own
    recall_k: int = 4


class System(Protocol):
    """One way to answer a user's queries."""

    async def prepare(self, user_id: str, history: Sequence[Row]) -> None:
        """Take in what came before the user's first test row."""

    async def answer(self, row: Row) -> str:
        """Answer one query; what cannot be answered is the empty string, which counts as wrong."""

    async def learn(self, row: Row) -> None:
        """Take in the truth of a row that was just answered."""

    async def close(self) -> None:
        """Release what is open."""


Make = Callable[[Bench], System]
