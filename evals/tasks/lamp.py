"""The LaMP benchmark's official files: one query a user, and the user's profile as history.

The paper follows OPPU's selection, the 100 users of a task with the longest histories, in the order of time. Files
are ``{split}_questions.json`` and ``{split}_outputs.json``; test truths are withheld, so ``dev`` is what is evaluated.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from personaagent.errors import InputError
from personaagent.evals.tasks import Metric, Row, Task, read_text

LONGEST = 100
MAX_CHARS = 1_500
START = datetime(2000, 1, 1, tzinfo=UTC)
NEWS = (
    "food & drink", "sports", "education", "parents", "religion", "travel", "business", "crime",
    "science & technology", "culture & arts", "entertainment", "politics", "women", "style & beauty", "healthy living",
)  # fmt: skip
MOVIES = (
    "sci-fi", "based on a book", "comedy", "action", "twist ending", "dystopia", "dark comedy", "classic",
    "psychology", "fantasy", "romance", "thought-provoking", "social commentary", "violence", "true story",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One LaMP task: the fields of a profile entry that are query and truth, and where a query begins in the input."""

    name: str
    folder: str  # in the benchmark's downloads
    instructions: str
    query: tuple[str, ...]
    truth: str | None
    marker: str | None
    metric: Metric = "accuracy"
    choices: tuple[str, ...] = ()


KINDS = {
    "lamp1": Kind(
        name="citation identification", folder="LaMP_1", query=("title", "abstract"), truth=None, marker=None,
        instructions="Tell which of the two references the user's paper cites: [1] or [2].", choices=("[1]", "[2]"),
    ),
    "lamp2n": Kind(
        name="LaMP news category", folder="LaMP_2", query=("text",), truth="category", marker="article: ",
        instructions="Name the category of this article of the user.", choices=NEWS,
    ),
    "lamp2m": Kind(
        name="movie tagging", folder="LaMP_2/new", query=("description",), truth="tag", marker="description: ",
        instructions="Name the tag that the user would give to this movie.", choices=MOVIES,
    ),
    "lamp3": Kind(
        name="LaMP product rating", folder="LaMP_3", query=("text",), truth="score", marker="review: ", metric="mae",
        instructions="Name the number of stars, 1 to 5, that the user gave with this review.",
        choices=("1", "2", "3", "4", "5"),
    ),
    "lamp4": Kind(
        name="news headline", folder="LaMP_4", query=("text",), truth="title", marker="article: ", metric="rouge",
        instructions="Write the headline that the user would give to this article. Answer with the headline only.",
    ),
    "lamp5": Kind(
        name="scholarly title", folder="LaMP_5", query=("abstract",), truth="title", marker="paper: ", metric="rouge",
        instructions="Write the title that the user would give to a paper of this abstract. Answer with it only.",
    ),
    "lamp7": Kind(
        name="tweet paraphrase", folder="LaMP_7", query=("text",), truth=None, marker="after it: ", metric="rouge",
        instructions="Paraphrase this tweet as the user would write it. Answer with the tweet only.",
    ),
}  # fmt: skip


def task(kind: str, questions: Path, outputs: Path, *, longest: int = LONGEST) -> Task:
    """The task over a pair of official files, the users with the longest histories; raises InputError."""
    shape, asked = KINDS[kind], _json(questions)
    golds = _json(outputs)
    truths = {str(g["id"]): str(g["output"]) for g in golds["golds"]} if isinstance(golds, dict) else {}
    if not isinstance(asked, list) or not truths:
        raise InputError(
            f"{questions.name} and {outputs.name} are not LaMP's questions and outputs: swap or fetch them"
        )
    chosen = sorted(asked, key=lambda q: (-len(q["profile"]), str(q["id"])))[:longest]
    unknown = [str(question["id"]) for question in chosen if str(question["id"]) not in truths]
    if unknown:
        raise InputError(f"{outputs.name} has no output for question {unknown[0]}: give the pair of one split")
    users = {str(q["id"]): _user(shape, q, truths[str(q["id"])]) for q in chosen}
    return Task(
        name=shape.name,
        instructions=shape.instructions,
        choices=shape.choices,
        metric=shape.metric,
        users=users,
        test_rows=1,
        paper=kind.removeprefix("lamp").upper(),
    )


def _user(kind: Kind, question: dict[str, Any], truth: str) -> list[Row]:
    user_id = str(question["id"])
    profile = sorted(question["profile"], key=lambda entry: str(entry.get("date", "")))  # stable without dates
    rows = [
        Row(
            id=f"{user_id}-{place}",
            user_id=user_id,
            query="\n".join(str(entry.get(name, "")) for name in kind.query).strip()[:MAX_CHARS],
            truth=str(entry[kind.truth]) if kind.truth else "",
            created_at=START + timedelta(days=place),
        )
        for place, entry in enumerate(profile)
    ]
    text = str(question["input"])
    query = text.split(kind.marker, 1)[1] if kind.marker and kind.marker in text else text
    moment = START + timedelta(days=len(rows))
    return [
        *rows,
        Row(id=f"{user_id}-q", user_id=user_id, query=query[:MAX_CHARS].strip(), truth=truth, created_at=moment),
    ]


def _json(path: Path) -> Any:
    try:
        return json.loads(read_text(path))
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}): fetch it again with `python -m evals fetch`") from error
