"""News categorization: which section an author's article appeared in (the shape of LaMP-2N)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path

from evals.tasks import Row, Task
from evals.tasks.reading import json_lines

TASK = "news category"
INSTRUCTIONS = "Name the news category in which this article of the user appeared."
CHOICES = (
    "black voices", "business", "comedy", "crime", "education", "entertainment", "impact", "latino voices", "media",
    "politics", "queer voices", "religion", "science", "sports", "tech", "travel", "weird news", "women", "world news",
)  # fmt: skip


def load(path: Path | None = None) -> list[Row]:
    """The rows of a file, or of the committed sample, each author's in the order of time."""
    source = path or files("evals.data") / "news_sample.jsonl"
    rows = json_lines(source, "user", "t", "date", "title", "text", "category")
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
