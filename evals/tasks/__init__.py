"""Tasks: real users' streams of (query, ground truth), each in the order of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, Literal

Metric = Literal["accuracy", "mae", "rouge"]
TEST_FRACTION = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One interaction of a user with its known answer; ``id`` is unique within the task.

    An empty ``truth`` is a turn whose answer nobody told: it can be history, never a test row. ``choices`` are this
    row's own answer space, where it is not the task's.
    """

    id: str
    user_id: str
    query: str
    truth: str
    created_at: datetime
    choices: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A question that is asked of every row, its closed answer space, and the users' rows, oldest first."""

    name: str
    instructions: str
    choices: tuple[str, ...]
    metric: Metric
    users: Mapping[str, Sequence[Row]]
    may_be_shown: bool = False  # whether the licence lets its text stand in a report
    test_rows: int | None = None  # the last rows of each user that are tested; None: the last 30 %
    paper: str | None = None  # the column of the paper's table that this is, for example ``2N``

    @property
    def hash(self) -> str:
        """Identifies the data, whatever file it came from."""
        digest = sha256(f"{self.instructions}\x00{self.choices}\x01".encode())
        for rows in self.users.values():
            for row in rows:
                fields = (row.id, row.query, row.truth, *row.choices)
                digest.update("\x00".join(fields).encode("utf-8", "surrogatepass") + b"\x01")
        return digest.hexdigest()[:16]

    def answers(self, row: Row) -> tuple[str, ...]:
        """The closed answer space of a row; empty for free text."""
        return row.choices or self.choices


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """One user's rows in time: what came before, and the queries that are tested."""

    user_id: str
    history: tuple[Row, ...]
    test: tuple[Row, ...]


def split(
    task: Task,
    test_fraction: float = TEST_FRACTION,
    *,
    users: int | None = None,
    limit: int | None = None,
    history: int | None = None,
) -> list[Split]:
    """The last rows of each user are test queries, the first ``limit`` of those; longest histories first.

    ``history`` keeps only that many rows right before the first test row (cold start). A user without a test row is
    left out.
    """
    chosen = sorted(task.users.items(), key=lambda item: (-len(item[1]), item[0]))[:users]
    splits = []
    for user_id, rows in chosen:
        cut = max(0, len(rows) - task.test_rows) if task.test_rows else int(len(rows) * (1 - test_fraction))
        before = rows[:cut] if history is None else rows[max(0, cut - history) : cut]
        test = tuple(row for row in rows[cut:] if row.truth)[:limit]
        if test:
            splits.append(Split(user_id=user_id, history=tuple(before), test=test))
    return splits
