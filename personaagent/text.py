"""Text from outside made harmless to look at, and what in a message is the user's own, by how it is set.

A fact stands on what the user says of themselves. A mail to be summarised is the words of whoever wrote it, and may be
addressed to the agent; set off by a quotation, a fence, a header or a colon, it is left out before a model reads it.
"""

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


MIN_QUOTED_WORDS = 5  # a shorter quotation is a title or a word
MIN_PASTED_WORDS = 20  # behind a colon on the same line
MAX_OWN_WORDS = 80  # of a paragraph: what is longer in a message was seldom typed into it

_PAIRS = {'"': '"', "“": "”", "„": "“”", "«": "»", "»": "«", "「": "」", "『": "』", "‘": "’", "‚": "‘’"}  # noqa: RUF001  # as they are written
_FENCE = re.compile(r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)|<data\b.*?(?:</data>|\Z)", re.DOTALL)
_REST = re.compile(
    r"^[ \t]*(?:[-_=*]{3,}|(?:from|von|de|da|van|to|an|sent|gesendet|subject|betreff|objet|asunto|oggetto)[ \t]*:)"
    r"|[:\uff1a][ \t]*\r?\n",
    re.MULTILINE | re.IGNORECASE,
)
_SINGLE = re.compile(r"(?<!\w)'(.*?)(?:'(?!\w)|\Z)", re.DOTALL)
_COLON = re.compile(r"[:\uff1a]\s")


def own_words(text: str, shortest: int = MIN_QUOTED_WORDS) -> str:
    """The message without what stands in it as another's; empty where nothing is left.

    A quotation of fewer than ``shortest`` words stays.
    """
    left = _FENCE.sub(" ", text)
    left = "\n".join(line for line in left.splitlines() if not line.lstrip().startswith((">", "|")))
    if rest := _REST.search(left):
        left = left[: rest.start()]
    left = _unquoted(left, shortest)
    left = _SINGLE.sub(lambda quoted: " " if len(quoted[1].split()) >= shortest else quoted[0], left)
    if (colon := _COLON.search(left)) and len(left[colon.end() :].split()) >= MIN_PASTED_WORDS:
        left = left[: colon.start()]
    paragraphs = [part for part in re.split(r"\n\s*\n", left) if len(part.split()) <= MAX_OWN_WORDS]
    return " ".join(" ".join(paragraphs).split())


def _unquoted(text: str, shortest: int) -> str:
    """The text without its long quotations; one that is opened and never closed goes on to the end."""
    kept, at = [], 0
    while at < len(text):
        closing = _PAIRS.get(text[at])
        if closing is None:
            kept.append(text[at])
            at += 1
            continue
        ends = [end for mark in closing if (end := text.find(mark, at + 1)) > 0]
        end = min(ends, default=len(text))
        quoted = text[at : end + 1]
        kept.append(" " if len(quoted.split()) >= shortest else quoted)
        at = end + 1
    return "".join(kept)
