"""Tasks: real users' streams of (query, ground truth), each in the order of time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal

from personaagent.errors import BadRow, InputError

Metric = Literal["accuracy", "mae", "rouge", "edits"]
TEST_FRACTION = 0.3
PROBE = "Sure! Two ways:\n\n1. **First**, add 2 cups. Stir it.\n2. Wait!\n3. Taste the color\n\nIt works. Let me know."


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One interaction of a user with its known answer; ``id`` is unique within the task.

    An empty ``truth`` is a turn whose answer nobody told: it can be history, never a test row. ``choices`` are this
    row's own answer space, where it is not the task's. ``response`` is what was answered, where the truth is an edit of
    it.
    """

    id: str
    user_id: str
    query: str
    truth: str
    created_at: datetime
    choices: tuple[str, ...] = ()
    response: str = ""
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
    limit: int | None = None  # test rows a user where the run names no limit
    edited: Callable[[str, str], str] | None = None  # (user id, answer) → the user's edit of it, which is the truth
    most_edits: int | None = None  # edits after which a user's history ends
    controls: tuple[str, ...] = ()  # users in whom there is nothing to learn
    max_answer_tokens: int | None = None  # of a free text answer, for every system

    @property
    def hash(self) -> str:
        """Identifies the data, whatever file it came from."""
        digest = sha256(f"{self.instructions}\x00{self.choices}\x01".encode())
        for user, rows in self.users.items():
            if self.edited:  # what a user makes of a text is part of the data
                digest.update(self.edited(user, PROBE).encode() + b"\x02")
            for row in rows:
                fields = (row.id, row.query, row.truth, *row.choices)
                digest.update("\x00".join(fields).encode("utf-8", "surrogatepass") + b"\x01")
        return digest.hexdigest()[:16]

    def answers(self, row: Row) -> tuple[str, ...]:
        """The closed answer space of a row; empty for free text."""
        return row.choices or self.choices

    def truth_of(self, row: Row, answer: str) -> str:
        """What the user really wanted: the row's truth, or the user's edit of this very answer."""
        return self.edited(row.user_id, answer) if self.edited else row.truth


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
        test = tuple(row for row in rows[cut:] if row.truth or task.edited)[: limit or task.limit]
        if test:
            splits.append(Split(user_id=user_id, history=tuple(before), test=test))
    return splits


def read_text(path: Path | Traversable) -> str:
    """The file's text; raises InputError where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}): give the path of a UTF-8 text file") from error


def json_lines(path: Path | Traversable, *required: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, object) of a JSONL file; raises BadRow for a line without one of the required fields."""
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise BadRow(f"{path.name} line {number}: not JSON ({error})") from error
        if not isinstance(row, dict):
            raise BadRow(f"{path.name} line {number}: a JSON object is needed")
        missing = [name for name in required if name not in row]
        if missing:
            raise BadRow(f"{path.name} line {number}: {', '.join(missing)} is missing")
        yield number, row
