"""Small models repeat themselves without end: where an answer begins to, and what of it is whole before that."""

from __future__ import annotations

import re

WORDS = 8  # the same words again, one after the other, are a loop
_WORD = re.compile(r"\w+")
_END = re.compile(r"(?<!\d)[.!?…][\"'\u201d\u2019)*]*(?=\s|$)|\n|(?<=\d)[.](?=\s*$)")


def loop_start(text: str) -> int | None:
    """Where the text first says ``WORDS`` words again that it has said before; None where it never does."""
    words = list(_WORD.finditer(text))
    seen: set[tuple[str, ...]] = set()
    for at in range(len(words) - WORDS + 1):
        said = tuple(word[0].casefold() for word in words[at : at + WORDS])
        if said in seen:
            return words[at].start()
        seen.add(said)
    return None


def whole_sentences(text: str, end: int | None = None) -> str:
    """The whole sentences and lines before ``end``; where there is none, the words before it, marked as cut."""
    text = text[:end]
    ends = [found.end() for found in _END.finditer(text)]
    if whole := text[: ends[-1]].strip() if ends else "":
        return whole
    return f"{text.rstrip(' ,;:-')}…" if text.strip(" ,;:-") else ""
