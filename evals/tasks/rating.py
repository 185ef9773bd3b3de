"""Product rating: how many stars a user gave with a review (LaMP-3, time split); its text stays out of reports."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from personaagent.evals.tasks import Row, Task, json_lines

TASK = "product rating"
INSTRUCTIONS = "Name the number of stars, 1 to 5, that the user gave to the product in this review."
CHOICES = ("1", "2", "3", "4", "5")
MAX_CHARS = 1_500  # of a review: four of them and the query fit a context of 4,096 tokens


def task(path: Path) -> Task:
    """The task over a file of reviews, one JSON object a line: ``user, t, text, score``."""
    users: dict[str, list[Row]] = {}
    for _, row in json_lines(path, "user", "t", "text", "score"):
        users.setdefault(str(row["user"]), []).append(
            Row(
                id=f"{row['user']}-{row['t']}",
                user_id=str(row["user"]),
                query=str(row["text"])[:MAX_CHARS],
                truth=str(row["score"]),
                created_at=datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=int(row["t"])),
            )
        )
    return Task(name=TASK, instructions=INSTRUCTIONS, choices=CHOICES, metric="mae", users=users, paper="3")
