"""What in a message is the user's own, by how it is set: not what they quote, forward or paste.

A fact stands on what the user says of themselves. A mail to be summarised is the words of whoever wrote it, and may be
addressed to the agent; set off by a quotation, a fence, a header or a colon, it is left out before a model reads it.
"""

from __future__ import annotations

import re

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
