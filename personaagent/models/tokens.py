"""How long a text is for a model, near enough for budgets."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

CHARS_A_TOKEN = 4  # of English; for what needs no more than that
MESSAGE_TOKENS = 4  # what a chat template writes around a message
IMAGE_TOKENS = 1_000  # of a picture, a high guess

# of one piece each: words as a programmer writes them, digits, signs, line breaks with their indent
_PIECES = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d|[^\w\s]+|_+|\n\s*", re.ASCII)
_LONG = 9  # letters of a word from which it is two tokens and more
_LATIN = re.compile("[\u00c0-\u024f]")  # accented: what stands in words of other languages than English
_FOREIGN = 0.003  # of the letters; more, and words are of more tokens
_HAN = re.compile("[\u2e80-\u303f\u3100-\u312f\u3200-\ua4cf\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]")
_KANA = re.compile("[\u3040-\u30ff]")
_HANGUL = re.compile("[\uac00-\ud7ff]")
_EMOJI = re.compile("[\u2190-\u2bff\U0001f000-\U0001faff]")
_ALPHABET = re.compile("[\u0370-\u1fff]")  # Greek, Cyrillic, Hebrew, Arabic, the Indic scripts, Thai
_RATES = ((_HAN, 0.7), (_KANA, 0.5), (_HANGUL, 0.8), (_EMOJI, 1.1), (_ALPHABET, 0.42))  # tokens a character


def count_tokens(text: str) -> int:
    """Return about how many tokens the text has, rounded up; 0 for an empty text.

    The true count is the tokenizer's, which differs by model and is not at hand for an endpoint (tiktoken would
    download its tables); this is for the tokenizers of today's models, whose vocabularies are large.
    """
    if not text:
        return 0
    plain, accents, marks = text, 0, 0.0
    if not text.isascii():
        accents = len(_LATIN.findall(text))
        for pattern, rate in _RATES:
            plain, found = pattern.subn(" ", plain)
            marks += found * rate
        plain = _LATIN.sub("e", plain)
        plain, other = re.subn(r"[^\x00-\x7f]", " ", plain)
        marks += other
    return max(1, -(-int(10 * (_plain(plain, accents) + marks)) // 10))


def count_messages(messages: Iterable[BaseMessage]) -> int:
    """About how many tokens messages are for a model, with calls, pictures and what a template adds."""
    return sum(
        MESSAGE_TOKENS
        + count_tokens(message.text)
        + sum(count_tokens(str(call["args"])) + 12 for call in getattr(message, "tool_calls", ()))
        + IMAGE_TOKENS * sum(isinstance(p, dict) and p.get("type") not in {"text", "thinking"} for p in message.content)
        for message in messages
    )


def cut(text: str, tokens: int) -> str:
    """The beginning of a text that has about so many tokens, marked where it is cut; the same text where it fits."""
    have = count_tokens(text)
    if have <= tokens:
        return text
    end = len(text)
    while end and count_tokens(text[:end]) > tokens - 1:
        end = min(end - 1, end * max(1, tokens - 1) // count_tokens(text[:end]))
    return text[:end].rstrip() + "…"


def _plain(text: str, accents: int) -> float:
    """Tokens of Latin text and of code."""
    words, signs, letters = 0, 0.0, 0
    for piece in _PIECES.findall(text):
        if piece[0].isalpha():
            letters += len(piece)
            words += 1 + (len(piece) >= _LONG) if len(piece) < 2 * _LONG else -(-len(piece) // CHARS_A_TOKEN)
        else:
            signs += 0.6 if piece[0].isspace() else 1 if piece.isdigit() else -(-len(piece) // 3)
    foreign = accents > _FOREIGN * letters
    return (max(words * 1.2, letters / 3.4) if foreign else words) + signs
