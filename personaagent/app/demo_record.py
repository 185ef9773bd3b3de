"""What the demo saw: the articles with their answers and floors, personas, alignment and cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from personaagent.app.demo_talk import Talk
from personaagent.types import Persona, Usage

if TYPE_CHECKING:
    from personaagent.library.aligning import Aligned

COLUMNS = ("answer", "again", "majority", "last")  # what is held against the truth


@dataclass(frozen=True, slots=True, kw_only=True)
class Article:
    """One article of the author, and what was answered to it; None: not asked."""

    query: str
    truth: str
    written: datetime
    answer: str | None = None  # under the persona before the alignment
    again: str | None = None  # under the persona after it
    majority: str = ""  # floor: the most frequent label known when it was last asked
    last: str = ""  # floor: the newest label known then


@dataclass(slots=True, kw_only=True)
class Played:
    """Everything that the demo saw, also the document of ``--json``."""

    author: str
    model: str
    embedder: str
    embedded: bool
    home: Path
    imported: int = 0
    profile: list[str] = field(default_factory=list)
    seed: Persona | None = None
    labelled: list[Article] = field(default_factory=list)
    held_out: list[Article] = field(default_factory=list)
    alignment: Aligned | None = None
    persona: Persona | None = None
    talk: Talk | None = None  # the acts before
    usage: Usage | None = None
    seconds: float = 0.0

    def right(self, column: str) -> int:
        """How many held-out articles this one of ``COLUMNS`` has right."""
        return sum(getattr(article, column) == article.truth for article in self.held_out)


def document(played: Played) -> dict[str, Any]:
    """What was seen, for machines."""
    asked = played.held_out
    return {
        "author": played.author,
        "model": played.model,
        "embedded": played.embedded,
        "embedder": played.embedder,
        "imported": played.imported,
        "profile": played.profile,
        "persona_before": played.seed,
        "persona_after": played.persona,
        "alignment": played.alignment.told if played.alignment else None,
        "labelled": played.labelled,
        "held_out": asked,
        "right": {
            "rows": len(asked),
            "before": played.right("answer"),
            "after": played.right("again"),
            "majority": played.right("majority"),
            "last": played.right("last"),
        },
        "talk": played.talk and _talk(played.talk),
        "usage": played.usage,
        "seconds": round(played.seconds, 1),
        "ended": datetime.now(UTC),
    }


def _talk(talk: Talk) -> dict[str, Any]:
    return {
        "edited": talk.edited,
        "before": talk.before,
        "after": talk.after,
        "persona_before": talk.seed,
        "persona_after": talk.persona,
        "alignment": talk.alignment.told if talk.alignment else None,
        "noted": talk.noted,
        "pins": talk.pins,
    }
