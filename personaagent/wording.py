"""Words that have two forms: British and American spelling, contractions, numbers in words, adverbs that hedge.

What is measured of a text and what a machine can do to it stand in one table each. English, but for nothing else.
"""

# ruff: noqa: RUF001  # apostrophes are of two kinds

from __future__ import annotations

import re
from typing import Literal

Spelling = Literal["British", "American", "mixed"]

_IZE = (
    "agon|amort|anonym|apolog|author|capital|caramel|categor|central|character|critic|crystall|custom|digit|emphas|"
    "energ|equal|familiar|fertil|final|general|global|harmon|immun|initial|jeopard|legal|local|maxim|memor|minim|mobil|"
    "modern|moistur|monet|neutral|normal|optim|organ|personal|popular|priorit|pulver|rational|real|"
    "recogn|reorgan|revital|scrutin|social|special|stabil|standard|steril|summar|symbol|sympath|tantal|tender|util|"
    "vandal|vapor|visual"
)
# stem, British, American, ending
_ENDINGS = (
    (
        "arm|behavi|col|endeav|fav|flav|harb|hon|hum|lab|neighb|od|parl|rig|rum|sav|splend|vap|vig",
        "our",
        "or",
        r"s?|ed|ing|less|ful(?:ly)?|al(?:ly)?|ab(?:le|ly)|ites?|hoods?|y|ers?",
    ),
    ("cent|fib|lit|theat|(?:kilo|centi|milli)?met|calib|lust|somb", "re", "er", "s?"),
    (_IZE, "is", "iz", "e[sdr]?|ers|ing|ations?|able"),
    ("anal|paral|catal", "ys", "yz", "e[sdr]?|ers|ing"),
    (
        "cancel|channel|counsel|dial|fuel|jewel|label|level|marvel|model|quarrel|signal|shovel|travel",
        "l",
        "",
        "ed|ing|ers?",
    ),
    ("def|off|pret", "ence", "ense", "s?"),
    ("catal|dial", "ogue", "og", "s?"),
    ("gr", "ey", "ay", "s?|ish"),
    ("m", "ould", "old", "s?|ed|ing|y"),
    ("c", "osy", "ozy", ""),
    ("alumin", "ium", "um", ""),
    ("s", "cept", "kept", "ics?|ical|icism"),
    ("jewel", "lery", "ry", ""),
    ("p", "yjama", "ajama", "s?"),
    ("man", "oeuvre", "euver", "s?"),
    ("pl", "ough", "ow", "s?|ed|ing"),
)
_BRITISH, _AMERICAN = (
    [re.compile(rf"\b({stem}){pair[at]}({tail})\b", re.IGNORECASE) for stem, *pair, tail in _ENDINGS] for at in (0, 1)
)
_ANY = [re.compile("|".join(one.pattern for one in some), re.IGNORECASE) for some in (_BRITISH, _AMERICAN)]
_CONTRACTIONS = tuple(
    (re.compile(rf"\b{pattern}\b", re.IGNORECASE), full)
    for pattern, full in (
        (r"(ca)n['’]t", r"\1nnot"),
        (r"(w)on['’]t", r"\1ill not"),
        (r"(sha)n['’]t", r"\1ll not"),
        (r"(\w{1,20})n['’]t", r"\1 not"),
        (r"(let)['’]s", r"\1 us"),
        (r"(i)['’]m", r"\1 am"),
        (r"(you|we|they|who|what)['’]re", r"\1 are"),
        (r"(i|you|we|they|who|that|there)['’]ve", r"\1 have"),
        (r"(i|you|we|they|he|she|it|that|there|what|who)['’]ll", r"\1 will"),
        (r"(i|you|we|they|he|she|it)['’]d (?=better|been)", r"\1 had "),
        (r"(i|you|we|they|he|she|it|that|there|what|who)['’]d", r"\1 would"),
        (r"(he|she|it|that|there|here|what|who|where|how)['’]s (?=been|got|had|become)", r"\1 has "),
        (r"(he|she|it|that|there|here|what|who|where|how)['’]s", r"\1 is"),
    )
)


def _words(text: str) -> list[str]:
    return text.split()


_UNITS = "two three four five six seven eight nine"
_NUMBERS = {
    word: str(value)
    for value, word in enumerate(
        _words(f"{_UNITS} ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"), 2
    )
}
_TENS = {word: value for value, word in enumerate(_words("twenty thirty forty fifty sixty seventy eighty ninety"), 2)}
# "one" is as often no number; a word that is part of a larger number, or of another word, is none of these
_NUMBER_WORD = re.compile(
    rf"(?<![\w-])(?:({'|'.join(_TENS)})(?:-({'|'.join(_words(_UNITS))}|one))?|({'|'.join(_NUMBERS)}))"
    r"(?!\w|[ -](?:hundred|thousand|million|billion|dozen|third|quarter|fifth|sixth|eighth|tenth))",
    re.IGNORECASE,
)
HEDGES = ("perhaps", "maybe", "possibly", "probably", "arguably", "presumably", "generally speaking", "in general")
_ADVERBS = {
    *HEDGES,
    *_words("usually typically generally often sometimes normally mostly simply really actually basically essentially"),
    *_words("definitely certainly absolutely surely clearly obviously very quite rather just somewhat"),
}


def spelling_of(text: str) -> Spelling | None:
    """Whose spelling an English text has; None where no word of it tells."""
    words = set(re.findall(r"[^\W\d_]{4,}", text))
    british, american = (any(map(one.fullmatch, words)) for one in _ANY)
    return "mixed" if british and american else "British" if british else "American" if american else None


def spelled(text: str, spelling: Literal["British", "American"]) -> str:
    """The text with the words of the other spelling in this one."""
    others, at = (_AMERICAN, 1) if spelling == "British" else (_BRITISH, 2)
    for other, ending in zip(others, _ENDINGS, strict=True):

        def written(found: re.Match[str], middle: str = ending[at]) -> str:
            return f"{found[1]}{middle.upper() if found[0].isupper() else middle}{found[2]}"

        text = other.sub(written, text)
    return text


def contractions(text: str) -> int:
    """How many contractions a text has."""
    short = re.findall(r"\b\w{1,20}['’]\w{1,4}\b", text)  # looked for once: most texts have few
    return sum(any(one.match(f"{word} ") for one, _ in _CONTRACTIONS) for word in short)


def uncontracted(text: str) -> str:
    """The text with its contractions written out."""
    for one, full in _CONTRACTIONS:
        text = one.sub(full, text)
    return text


def number_words(text: str) -> int:
    """How many numbers from two to ninety-nine stand in words."""
    return len(_NUMBER_WORD.findall(text))


def in_digits(text: str) -> str:
    """The text with these numbers in digits."""

    def digits(found: re.Match[str]) -> str:
        tens, unit, whole = found.groups()
        if whole:
            return _NUMBERS[whole.lower()]
        return f"{_TENS[tens.lower()]}{_NUMBERS.get((unit or '').lower(), '1' if unit else '0')}"

    return _NUMBER_WORD.sub(digits, text)


def without_adverb(text: str, word: str) -> str:
    """The text without an adverb that sentences stand without; the text itself where the word is none."""
    if word.lower() not in _ADVERBS:
        return text

    def capital(found: re.Match[str]) -> str:
        return found[1].upper() if found[0][:1].isupper() else found[1]

    taken = re.sub(rf"(?<!\w)(?:{re.escape(word)}),? (?!than\b)(\w)", capital, text, flags=re.IGNORECASE)
    return re.sub(rf",? (?:{re.escape(word)})(?!\w| than\b)", "", taken, flags=re.IGNORECASE)
