"""News categorization: which section an author's article appeared in (the shape of LaMP-2N)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from personaagent.evals.tasks import Row, Task, json_lines
from personaagent.samples import CHOICES, INSTRUCTIONS, NEWS, TASK

__all__ = ["CHOICES", "INSTRUCTIONS", "TASK", "load", "task"]


def load(path: Path | None = None) -> list[Row]:
    """The rows of a file, or of the committed sample, each author's in the order of time."""
    rows = json_lines(path or NEWS, "user", "t", "date", "title", "text", "category")
    return [
        Row(
            id=f"{row['user']}-{row['t']}",
            user_id=str(row["user"]),
            query=f"{row['title']}\n{row['text']}".strip(),
            truth=str(row["category"]),
            # several articles appear on one day: their order within it is kept
            created_at=datetime.fromisoformat(row["date"]).replace(tzinfo=UTC) + timedelta(seconds=row["t"]),
        )
        for _, row in rows
    ]


def task(path: Path | None = None) -> Task:
    """The task over a file, or over the committed sample."""
    users: dict[str, list[Row]] = {}
    for row in load(path):
        users.setdefault(row.user_id, []).append(row)
    return Task(
        name=TASK, instructions=INSTRUCTIONS, choices=CHOICES, metric="accuracy", users=users, may_be_shown=True
    )
