"""Reading one answer of a closed answer space out of free text."""

# ruff: noqa: RUF001  # answers come wrapped in the punctuation of many languages

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypeVar

from personaagent.text import clean

_T = TypeVar("_T")

READ_CHARS = 4_000  # of the end of a text; a conclusion stands at the end

_MARKED = re.compile(
    r"(?:answer|antwort|réponse|respuesta|答案|label|category|categor[ií]a|rating|score|tag)[*_`\"'\s]*"
    r"(?:[:：=]|\b(?:is|ist|est|es)\b[:：]?)[*_`\"'\s]*(.+)",
    re.IGNORECASE,
)
_DENOMINATOR = re.compile(r"(?<=\d)\s*(?:/|out of|von|sur|de)\s*\d+\b", re.IGNORECASE)
_NEGATED = re.compile(r"(?:\b(?:not|never|nor|neither|no|kein\w*|nicht|pas|non)|n['’]t)\s+(?:\w+\s+){0,2}[\"'*_`]?$")
_WRAPPING = " \t\r\n*_`\"'“”‘’«»()[]{}<>.,;:!?。，！？#-"


def numbered(numbers: object, rows: Sequence[_T]) -> list[_T]:
    """The rows that a model names by number, counted from 1; whatever is no such number is passed over."""
    given = numbers if isinstance(numbers, list) else []
    return [rows[n - 1] for n in given if type(n) is int and 1 <= n <= len(rows)]


def answer_from_text(text: str, choices: Sequence[str]) -> str | None:
    """Return the one choice that the text names, or None where it names none or leaves open which.

    In this order: the whole text; what follows "Answer:"; the last line; the only choice that has a line to itself;
    the only choice that is mentioned (not "not politics"; the longest wins where one choice is part of another).
    Case, quotes, Markdown and punctuation around an answer do not count.
    """
    text = clean(text[-READ_CHARS:]).strip()
    known = _known(choices)
    if not text or not known:
        return None
    if whole := known.get(bare(text)):
        return whole
    for marked in reversed(_MARKED.findall(text)):
        if found := known.get(bare(marked)) or _only_mentioned(marked, choices):
            return found
    lines = [known[bare(line)] for line in text.splitlines() if bare(line) in known]
    if lines and bare(text.splitlines()[-1]) in known:
        return lines[-1]
    if len(set(lines)) == 1:
        return lines[0]
    return _only_mentioned(text, choices)


def bare(text: str) -> str:
    """The text as answers are compared: lower case, single spaces, nothing wrapped around it."""
    stripped = " ".join(text.split()).casefold()
    return stripped.strip(_WRAPPING) or stripped


def number(text: str) -> float | None:
    """The finite number that the text is, or None."""
    if not re.fullmatch(r"[+-]?\d{1,12}(?:\.\d{1,12})?", text.strip()):
        return None
    return float(text)


def _known(choices: Sequence[str]) -> Mapping[str, str]:
    """Choices by their bare form, those whose bare form is shared ("a" and "A!") left to the exact spelling."""
    known: dict[str, str] = {}
    shared = set()
    for choice in choices:
        if known.setdefault(bare(choice), choice) != choice:
            shared.add(bare(choice))
    return {form: choice for form, choice in known.items() if form not in shared}


def _only_mentioned(text: str, choices: Sequence[str]) -> str | None:
    """The one choice that is mentioned without a negation before it, None for none or several."""
    rest = _DENOMINATOR.sub(" ", " ".join(text.split()).casefold())
    mentioned = set()
    for choice in sorted({c for c in choices if c.strip()}, key=len, reverse=True):
        pattern = _mention(" ".join(choice.split()).casefold())
        if any(not _NEGATED.search(rest[max(0, m.start() - 40) : m.start()]) for m in pattern.finditer(rest)):
            mentioned.add(choice)
        # a longer choice uses up its words: "science & technology" is no mention of "science"
        rest = pattern.sub(lambda match: "\x00" * len(match[0]), rest)
    return mentioned.pop() if len(mentioned) == 1 else None


def _mention(choice: str) -> re.Pattern[str]:
    left = r"(?<![^\W_])(?<!\d[.,])" if _is_word(choice[0]) else ""
    right = r"(?![^\W_]|[.,]\d)" if _is_word(choice[-1]) else ""
    return re.compile(left + re.escape(choice) + right)


def _is_word(char: str) -> bool:
    """Whether words of this script have a boundary; Chinese, Japanese and Korean ones are not told apart by space."""
    return char.isalnum() and not "\u2e80" <= char <= "\u9fff" and not "\uac00" <= char <= "\ud7af"
