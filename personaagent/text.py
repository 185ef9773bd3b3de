"""Text from outside made harmless to look at: no control characters, nothing that a reader cannot see."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

UNSPACED: Final = r"\u3040-\u30ff\u3400-\u9fff"  # of a character class: Japanese and Chinese, written without spaces
CJK: Final = rf"{UNSPACED}\uac00-\ud7af"
_PLAIN = re.compile(r"[\x20-\x7e\n\t]*")
_HIDDEN = frozenset({"Cc", "Cf", "Co", "Cs", "Cn"})
_JOINERS = "\u200c\u200d"  # Persian, the Indic scripts and emoji need them between two of their characters


def clean(text: str) -> str:
    """Return the text without control, zero-width, bidirectional, tag and other hidden characters.

    Line breaks and tabs stay; so does a single joiner between two characters that are not ASCII.
    """
    if _PLAIN.fullmatch(text):
        return text
    kept: list[str] = []
    for index, char in enumerate(text):
        joins = char in _JOINERS and 0 < index < len(text) - 1 and _takes_joiner(text[index - 1], text[index + 1])
        if char in "\n\t" or joins or not _hidden(char):
            kept.append(char)
    return "".join(kept)


def one_line(text: str, limit: int) -> str:
    """The cleaned text on one line of at most ``limit`` characters, cut at a word and marked where it is cut."""
    line = " ".join(clean(text[: 8 * limit]).split())
    if len(line) <= limit and len(text) <= 8 * limit:
        return line
    head = line[: limit - 1]
    return (head.rsplit(" ", 1)[0] if " " in head[limit // 2 :] else head).rstrip() + "…"


def skeleton(text: str) -> str:
    """The text as a rule should see it: compatibility forms folded, lower case, no accents, nothing hidden."""
    if _PLAIN.fullmatch(text):
        return " ".join(text.lower().split())
    folded = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text).casefold())
    visible = "".join(c for c in folded if not unicodedata.combining(c) and (c.isspace() or not _hidden(c)))
    return re.sub(r"\s+", " ", visible).strip()


def unmarked(text: str) -> str:
    """The text without accents; kana lose their voicing, as they do in a ``skeleton``: for patterns that search one."""
    return "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))


def fold(text: str) -> str:
    """Lower case without accents, character by character, so that places in it are places in the text."""
    if text.isascii():
        return text.lower()
    return "".join(unicodedata.normalize("NFD", char)[0].lower()[0] for char in text)


def _hidden(char: str) -> bool:
    # variation selectors are marks, yet a run of them carries bytes that nobody sees
    return unicodedata.category(char) in _HIDDEN or "\ufe00" <= char <= "\ufe0e" or "\U000e0100" <= char <= "\U000e01ef"


def _takes_joiner(before: str, after: str) -> bool:
    return not (before.isascii() or after.isascii() or before in _JOINERS or after in _JOINERS)
