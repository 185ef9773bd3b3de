"""Preference following (PrefEval): a preference is said once, other turns come between, then the question is asked.

Every row of the file is a user of its own. The turns between are questions from other topics of the same file, so
they are real and say nothing of the preference. The right option stands first in the file: options are shuffled.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from personaagent.errors import BadRow
from personaagent.evals.tasks import Row, Task, json_lines

TASK = "preference following"
INSTRUCTIONS = "Choose the recommendation that suits what this user has said about their preferences."
OPTIONS = "classification_task_options"
START = datetime(2025, 1, 1, tzinfo=UTC)


def task(path: Path, *, between: int = 6, seed: int = 0) -> Task:
    """The task over a PrefEval file with that many turns between preference and question; raises BadRow."""
    rows = list(json_lines(path, "topic", "i", "preference", "question", OPTIONS))
    users: dict[str, list[Row]] = {}
    for number, row in rows:
        options = row[OPTIONS]
        if not isinstance(options, list) or len(set(options)) < 2:
            raise BadRow(f"{path.name} line {number}: {OPTIONS} needs at least two different options")
        drawn = random.Random(f"{seed}/{row['topic']}-{row['i']}")
        user_id = f"{drawn.randrange(10**6):06d}-{row['topic']}-{row['i']}"
        others = [str(other["question"]) for _, other in rows if other["topic"] != row["topic"]]
        turns = drawn.sample(others, min(between, len(others)))
        users[user_id] = _rows(user_id, row, turns, drawn)
    # ids begin with a drawn number, so that the first N users are a sample of all topics
    return Task(name=TASK, instructions=INSTRUCTIONS, choices=(), metric="accuracy", users=users, test_rows=1)


def _rows(user_id: str, row: dict[str, Any], turns: list[str], drawn: random.Random) -> list[Row]:
    options = [str(option) for option in row[OPTIONS]]
    said = [str(row["preference"]), *turns]
    history = [
        Row(id=f"{user_id}-{place}", user_id=user_id, query=text, truth="", created_at=START + timedelta(hours=place))
        for place, text in enumerate(said)
    ]
    question = Row(
        id=f"{user_id}-{len(said)}",
        user_id=user_id,
        query=str(row["question"]),
        truth=options[0],
        created_at=START + timedelta(hours=len(said)),
        choices=tuple(drawn.sample(options, len(options))),
    )
    return [*history, question]
