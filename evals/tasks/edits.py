"""Edits: simulated users with a style of their own change what the agent wrote; the truth is their edit of it.

A user's history is training questions with the answer of the model alone and the user's edit of it, until twelve
answers were edited: one that the user leaves as it is counts for none. The test questions are others. Order and choice
depend on seed and user.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from importlib.resources import files

from personaagent.evals.styles import CONTROLS, STYLES
from personaagent.evals.tasks import Row, Task, json_lines

TASK = "edits"
INSTRUCTIONS = "Answer the user's question."
TRAINING = 20  # questions before the test, at most
EDITS = 12  # answers of them that the user edits; then the history ends
TESTS = 8  # test questions a user, unless the run says otherwise
MAX_TOKENS = 320  # of an answer: few need more, and one that is cut off cannot be given the style of its end
START = datetime(2026, 1, 1, tzinfo=UTC)


def task(*, seed: int = 0, training: int = TRAINING, max_tokens: int = MAX_TOKENS) -> Task:
    """The task over the committed questions; answers and edits of the history are made when it is run."""
    rows = [
        row
        for _, row in json_lines(files("personaagent.evals.data") / "edits_questions.jsonl", "id", "use", "question")
    ]
    users = {f"{place:02}-{name}": name for place, name in enumerate(STYLES, start=1)}

    def edited(user_id: str, answer: str) -> str:
        return STYLES[users[user_id]](answer)

    def questions(user: str) -> list[Row]:
        drawn = random.Random(f"edits/{seed}/{user}")
        first = [row for row in rows if row["use"] == "training"][:training]
        later = [row for row in rows if row["use"] == "test"]
        asked = drawn.sample(first, len(first)) + drawn.sample(later, len(later))
        return [
            Row(
                id=f"{user}-{row['id']}",
                user_id=user,
                query=row["question"],
                truth="",
                created_at=START + timedelta(hours=place),
            )
            for place, row in enumerate(asked)
        ]

    return Task(
        name=TASK,
        instructions=INSTRUCTIONS,
        choices=(),
        metric="edits",
        users={user: questions(user) for user in users},
        may_be_shown=True,
        test_rows=sum(row["use"] == "test" for row in rows),
        limit=TESTS,
        edited=edited,
        most_edits=EDITS,
        controls=tuple(user for user, name in users.items() if name in CONTROLS),
        max_answer_tokens=max_tokens,
    )
