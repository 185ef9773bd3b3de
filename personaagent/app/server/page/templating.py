"""How values become text on the page. Everything is escaped; nothing that a model or a user wrote is markup."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from personaagent.app.server.page.markdown import markdown
from personaagent.app.server.page.voice import plainly, yours
from personaagent.text import clean, one_line
from personaagent.types import Section

HEADINGS = {
    Section.WHO: "Who you are",
    Section.ANSWERING: "How to answer you",
    Section.TOOLING: "Which tools to use for you",
    Section.INTERESTS: "What occupies you at present",
}
ORIGINS = {
    "seed": "first version",
    "aligned": "learnt",
    "manual": "written by you",
    "rollback": "rolled back",
    "rebuilt": "rebuilt after forgetting",
    "imported": "imported",
}
PROPOSERS = {
    "gradient": "a model, from critiques of its answers",
    "histogram": "statistics of your answers",
    "contrast": "what sets your answers apart",
    "examples": "examples of your answers",
    "retire": "taking out what did not help",
    "user": "you",
    "template": "the starting rules and what was known of you",
    "monitor": "the monitor, because live answers got worse",
}
SOURCES = {
    "imported": "from your imported history",
    "correction": "you corrected it",
    "choice": "you chose it",
    "rating": "you rated the answer",
    "edit": "you edited the answer",
    "pick": "you picked it of two",
    "implicit": "inferred from how you went on",
    "summarizer": "summarised by a model",
    "statistics": "counted from your answers",
    "user": "you said so",
}
_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


@cache
def environment() -> Environment:
    """The templates; autoescape is on for every one, and a name that is not there fails."""
    made = Environment(
        loader=PackageLoader("personaagent.app.server.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"day": day, "moment": moment, "line": one_line, "clean": clean, "percent": percent}
    made.filters |= {"markdown": markdown, "yours": yours, "counted": counted, "plainly": plainly}
    made.globals |= {"headings": HEADINGS, "origins": ORIGINS, "proposers": PROPOSERS, "sources": SOURCES}
    return made


def day(value: datetime) -> str:
    """For example ``3 Mar 2026``."""
    return f"{value.day} {value:%b %Y}"


def moment(value: datetime) -> str:
    """For example ``3 Mar 2026, 14:05 UTC``."""
    return f"{day(value)}, {value:%H:%M} UTC"


def counted(number: int, noun: str) -> str:
    """For example ``six attempts``."""
    word = _WORDS[number] if number < len(_WORDS) else str(number)
    return f"{word} {noun}{'' if number == 1 else 's'}"


def percent(value: Any) -> str:
    """A loss in 0..1 as the share of answers that were not what the user wanted."""
    return f"{float(value):.0%}"
