"""How long a text is for a model, near enough for budgets."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

CHARS_A_TOKEN = 4  # of English; for what needs no more than that
MESSAGE_TOKENS = 4  # what a chat template writes around a message
IMAGE_TOKENS = 1_000  # of a picture, a high guess

# of one piece each: words as a programmer writes them, digits, signs with the line break behind them, indents
_PIECES = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d|[^\w\s]+\n?|_+|\n\s*|(?<=\n)[ \t]+|[ \t]{3,}", re.ASCII)
_CAMEL = 0.4  # less, where a capital within a word begins it
_LONG = 9  # letters of a word from which it is two tokens and more
_LATIN = re.compile("[\u00c0-\u024f\u1e00-\u1eff]")  # accented: in words of other languages than English
_RARE = re.compile("[\u0100-\u024f]")  # of these, those of the smaller languages
_FOREIGN = 0.003  # of the letters; more, and words are of more tokens
_ENGLISH = re.compile(r"\b(?:the|an?|and|of|to|is|it|i|you|that|for|my|on|not?|do|are|we|be|with|me)\b", re.IGNORECASE)
_TALK, _LEAST_ENGLISH = 8, 0.08  # different words that tell a language; how many are these in English
_KANA = re.compile("[\u3040-\u30ff]")
_HAN = re.compile("[\u2e80-\u303f\u3100-\u312f\u3200-\ua4cf\uf900-\ufaff\U00020000-\U0003ffff]")
_SAME = re.compile("([\u2e80-\u9fff])\\1{2,}")  # no word
_IN_WORDS, _IN_JAPANESE = 0.63, 0.85  # tokens a Chinese character, where it stands in a language's usual words
_GONE = "\v"  # stands for what is counted already, and ends a word
_RATES = (  # tokens a character
    (_KANA, 0.5),
    (re.compile("[\uff00-\uffef]"), 0.9),  # of full or half width
    (re.compile("[\uac00-\ud7ff]"), 0.82),  # Hangul
    (re.compile("(?<= )[\u2190-\u2bff\U0001f000-\U0001f97f]"), 1.8),  # emoji
    (re.compile("[\u2190-\u2bff\U0001f000-\U0001f97f]"), 1.0),
    (re.compile("[\U0001f980-\U0001faff]"), 2.2),  # the newer ones
    (re.compile("[\u0591-\u05bd\u064b-\u0655\u0670]"), 1.2),  # vowel signs
    (re.compile("[\u067e\u0686\u0688\u0691\u0698\u06a9-\u06d3]"), 1.6),  # what Persian and Urdu add to Arabic
    (re.compile("[\u0370-\u03ff\u1f00-\u1fff]"), 0.9),  # Greek
    (re.compile("[\u0900-\u0dff]"), 1.15),  # the Indic scripts
    (re.compile("[\u0e00-\u0eff]"), 0.58),  # Thai, Lao
    (re.compile("[\u0400-\u1dff]"), 0.44),  # Cyrillic, Hebrew, Arabic and the other alphabets
)


@lru_cache(256)  # a turn asks it of the same long texts several times
def count_tokens(text: str) -> int:
    """Return about how many tokens the text has, rounded up; 0 for an empty text.

    The true count is the tokenizer's, which differs by model and is not at hand for an endpoint (tiktoken would
    download its tables); this is for the tokenizers of today's models, whose vocabularies are large.
    """
    if not text:
        return 0
    plain, accents, marks = text, 0.0, 0.0
    if not text.isascii():
        accents = len(_LATIN.findall(text))
        marks = 0.5 * len(_RARE.findall(text)) + _han(text)
        plain = _HAN.sub(_GONE, plain)
        for pattern, rate in _RATES:
            plain, found = pattern.subn(_GONE, plain)
            marks += found * rate
        plain = _LATIN.sub("e", plain)
        plain, other = re.subn(r"[^\x00-\x7f]", _GONE, plain)
        marks += other
    return max(1, -(-int(10 * (_plain(plain, accents) + marks)) // 10))


def count_messages(messages: Iterable[BaseMessage]) -> int:
    """About how many tokens messages are for a model, with calls, pictures and what a template adds."""
    return sum(
        MESSAGE_TOKENS
        + count_tokens(message.text)
        + sum(count_tokens(str(call["args"])) + 12 for call in getattr(message, "tool_calls", ()))
        + (0 if isinstance(message.content, str) else IMAGE_TOKENS * sum(map(_is_picture, message.content)))
        for message in messages
    )


def _is_picture(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") not in {"text", "thinking"}


def cut(text: str, tokens: int) -> str:
    """The beginning of a text that has about so many tokens, marked where it is cut; the same text where it fits."""
    have = count_tokens(text)
    if have <= tokens:
        return text
    end = len(text)
    while end and count_tokens(text[:end]) > tokens - 1:
        end = min(end - 1, end * max(1, tokens - 1) // count_tokens(text[:end]))
    return text[:end].rstrip() + "…"


def _han(text: str) -> float:
    """Tokens of the Chinese characters of a text: fewer than characters, since usual words are one token."""
    found = len(_HAN.findall(text))
    if not found:
        return 0
    alone = sum(len(run[0]) for run in _SAME.finditer(text))
    japanese = 10 * len(_KANA.findall(text)) > found
    return alone + (found - alone) * (_IN_JAPANESE if japanese else _IN_WORDS)


def _plain(text: str, accents: float) -> float:
    """Tokens of Latin text and of code."""
    words, signs, letters, marks, different = 0.0, 0.0, 0, 0, set[str]()
    for found in _PIECES.finditer(text):
        piece = found[0]
        if piece[0].isalpha():
            letters += len(piece)
            different.add(piece)
            at = found.start()
            words -= _CAMEL * (at > 0 and piece[0].isupper() and text[at - 1].islower())
            words += 1 + (len(piece) >= _LONG) if len(piece) < 2 * _LONG else -(-len(piece) // CHARS_A_TOKEN)
        elif piece[0].isspace():
            signs += 0.6
        else:
            signs += 1 if piece.isdigit() else -(-len(piece.rstrip()) // 3)
            marks += 1
    foreign = accents > _FOREIGN * letters or (
        len(different) >= _TALK and marks < words / 3 and len(_ENGLISH.findall(text)) < _LEAST_ENGLISH * words
    )
    return (max(words * 1.2, letters / 3.3) if foreign else words) + signs
