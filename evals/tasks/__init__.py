"""Tasks: real users' streams of (query, ground truth), each in the order of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Literal

Metric = Literal["accuracy", "mae"]
TEST_FRACTION = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One interaction of a user with its known answer; ``id`` is unique within the task."""

    id: str
    user_id: str
    query: str
    truth: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A question that is asked of every row, its closed answer space, and the users' rows, oldest first."""

    name: str
    instructions: str
    choices: tuple[str, ...]
    metric: Metric
    users: Mapping[str, Sequence[Row]]
    may_be_shown: bool = False  # whether the licence lets its text stand in a committed report

    @property
    def hash(self) -> str:
        """Identifies the data, whatever file it came from."""
        digest = sha256()
        for rows in self.users.values():
            for row in rows:
                digest.update(f"{row.id}\x00{row.query}\x00{row.truth}\x01".encode())
        return digest.hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """One user's rows in time: what came before, and the queries that are tested."""

    user_id: str
    history: tuple[Row, ...]
    test: tuple[Row, ...]


def split(task: Task, *, users: int | None = None, limit: int | None = None) -> list[Split]:
    """The last 30 % of each user's rows are test queries, the first ``limit`` of those; longest histories first."""
    chosen = sorted(task.users.items(), key=lambda item: (-len(item[1]), item[0]))[:users]
    splits = []
    for user_id, rows in chosen:
        cut = int(len(rows) * (1 - TEST_FRACTION))
        test = tuple(rows[cut:][:limit])
        splits.append(Split(user_id=user_id, history=tuple(rows[:cut]), test=test))
    return splits
