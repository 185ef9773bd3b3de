"""Real data to see the agent on: articles of four news authors, and which section each appeared in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

TASK = "news category"
INSTRUCTIONS = "Name the news category in which this article of the user appeared."
CHOICES = (
    "black voices", "business", "comedy", "crime", "education", "entertainment", "impact", "latino voices", "media",
    "politics", "queer voices", "religion", "science", "sports", "tech", "travel", "weird news", "women", "world news",
)  # fmt: skip
NEWS = files(__name__) / "news.jsonl"


def news() -> Iterator[dict[str, Any]]:
    """The articles: ``user``, ``t`` (their order within the user), ``date``, ``title``, ``text``, ``category``."""
    for line in NEWS.read_text(encoding="utf-8").splitlines():
        yield json.loads(line)
