"""Simulated users who edit answers: each holds to a style, a pure function of a text that a person could apply by hand.

A style is deterministic and idempotent: what it made, it leaves as it is. It never reads the question.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal

Style = Callable[[str], str]
Kind = Literal["item", "lead", "text"]
_FENCE = re.compile(r"^\s*(?:```|~~~).*$", re.MULTILINE)
_MARKS = re.compile(r"\*\*|__|`|(?<!\w)\*(?=\S)|(?<=\S)\*(?!\w)")
_ITEM = re.compile(r"^\s*(?:[-*•]|\d{1,2}[.)])\s+")
_HEADING = re.compile(r"^\s*#{1,6}\s")
_LEAD = re.compile(r"^\s*(?:(?:[-*•+>]|#{1,6}|\d{1,2}[.)])\s+)+")
_END = re.compile(r"(?<=[.!?])[\"')\]]?\s+(?=[^\sa-z])")
_FILLER = re.compile(
    r"(?:sure|certainly|of course|absolutely|great question|good question|hello|hi there|happy to help|"
    r"i.d be happy to help|as an ai)\b[^.!?:\n]*[.!?:]\s*",
    re.IGNORECASE,
)
_OFFER = re.compile(
    r"(?:let me know|i hope|hope this|feel free|if you have any (?:other|more|further))\b", re.IGNORECASE
)
_BRITISH = {
    "color": "colour", "colors": "colours", "flavor": "flavour", "flavors": "flavours", "favorite": "favourite",
    "center": "centre", "fiber": "fibre", "liter": "litre", "liters": "litres", "meter": "metre", "meters": "metres",
    "organize": "organise", "organized": "organised", "recognize": "recognise", "realize": "realise",
    "minimize": "minimise", "maximize": "maximise", "prioritize": "prioritise", "apologize": "apologise",
    "customize": "customise", "analyze": "analyse", "behavior": "behaviour", "neighbor": "neighbour",
    "traveling": "travelling", "traveler": "traveller", "gray": "grey", "mold": "mould",
}  # fmt: skip
_DIGITS = dict(
    zip(
        (
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "twelve",
            "fifteen",
            "twenty",
            "thirty",
        ),
        ("2", "3", "4", "5", "6", "7", "8", "9", "10", "12", "15", "20", "30"),
        strict=True,
    )
)
_UNITS: tuple[tuple[str, float, str], ...] = (
    (r"inch(?:es)?", 2.54, "cm"), (r"feet|foot", 0.3, "m"), (r"miles?", 1.6, "km"), (r"pounds?|lbs?", 0.45, "kg"),
    (r"ounces?|oz", 28.0, "g"), (r"cups?", 240.0, "ml"), (r"quarts?", 0.95, "l"), (r"gallons?", 3.8, "l"),
)  # fmt: skip
CLOSING = "Anything else? Just ask."
TITLE = "# Answer"
SHORT = "In short:"


def lines_of(text: str) -> list[tuple[Kind, str]]:
    """The lines that say something, without Markdown: what each was, and its text."""
    bare = _MARKS.sub("", _FENCE.sub("", text))
    lines = [(_kind(line), " ".join(_LEAD.sub("", line).split())) for line in bare.splitlines()]
    return [(kind, line) for kind, line in lines if any(map(str.isalnum, line))]


def _kind(line: str) -> Kind:
    if _ITEM.match(line):
        return "item"
    return "lead" if _HEADING.match(line) or line.rstrip().endswith(":") else "text"


def plain(text: str) -> str:
    """The text as one paragraph without lists, headings and emphasis; each line ends as a sentence does."""
    return " ".join(_ended(line) for _, line in lines_of(text))


def sentences(text: str) -> list[str]:
    """The sentences of the text, without Markdown and without what only leads in or closes an answer."""
    lines = lines_of(text)
    said = [line for kind, line in lines if kind != "lead"] or [line for _, line in lines]
    found = [s for s in _END.split(" ".join(map(_ended, said))) if any(map(str.isalnum, s))]
    return [s for s in found if not (_FILLER.fullmatch(s) or _OFFER.match(s))] or found[:1]


def points(text: str) -> list[str]:
    """The first sentence of each item of the text's list, or its sentences where it has none."""
    items = [_END.split(_ended(line))[0] for kind, line in lines_of(text) if kind == "item"]
    return items if len(items) > 1 else sentences(text)


def first_sentences(text: str, most: int) -> str:
    """The first sentences alone."""
    return " ".join(sentences(text)[:most])


def at_most_words(text: str, most: int) -> str:
    """The whole sentences that fit; the first one is cut where it alone is longer."""
    kept: list[str] = []
    for sentence in sentences(text):
        if len(" ".join([*kept, sentence]).split()) > most:
            break
        kept.append(sentence)
    return " ".join(kept) or _ended(" ".join(first_sentences(text, 1).split()[:most]).rstrip(",;:-"))


def bullets(text: str, most: int) -> str:
    """So many points at most, one a line."""
    return "\n".join(f"- {point}" for point in points(text)[:most])


def steps(text: str, most: int) -> str:
    """So many numbered points at most, one a line."""
    return "\n".join(f"{number}. {point}" for number, point in enumerate(points(text)[:most], start=1))


def bold_summary(text: str) -> str:
    """The first sentence in bold on a line of its own, then one more."""
    first, *rest = sentences(text) or [""]
    return "\n\n".join(filter(None, (first and f"**{first}**", " ".join(rest[:1]))))


def one_a_paragraph(text: str) -> str:
    """Three sentences at most, each a paragraph."""
    return "\n\n".join(sentences(text)[:3])


def in_short(text: str) -> str:
    """One sentence after the same words."""
    said = [s.removeprefix(SHORT).strip() for s in sentences(text)]
    first = next((s for s in said if any(map(str.isalnum, s))), "")
    return f"{SHORT} {first}" if first else ""


def closing_line(text: str) -> str:
    """The same line at the end."""
    body = text.strip().removesuffix(CLOSING).rstrip()
    return f"{body}\n\n{CLOSING}" if body else ""


def title_line(text: str) -> str:
    """A title above everything."""
    body = text.strip().removeprefix(TITLE).lstrip()
    return f"{TITLE}\n\n{body}" if body else ""


def lower_case(text: str) -> str:
    """No capital letters."""
    return text.lower()


def no_filler(text: str) -> str:
    """Neither an opener that says nothing, nor an offer at the end, nor exclamation marks."""
    body = _FILLER.sub("", text.lstrip(), count=1) if _FILLER.match(text.lstrip()) else text
    paragraphs = body.replace("!", ".").strip().split("\n\n")
    while len(paragraphs) > 1 and _OFFER.match(paragraphs[-1]):
        paragraphs.pop()
    return "\n\n".join(paragraphs)


def british(text: str) -> str:
    """British spelling of a fixed list of words."""
    return _replaced(text, _BRITISH)


def digits(text: str) -> str:
    """Digits for number words from two on."""
    return _replaced(text, _DIGITS)


def metric(text: str) -> str:
    """Metric units for inches, feet, miles, pounds, ounces, cups, quarts, gallons and degrees Fahrenheit."""
    text = re.sub(r"(\d{1,3})\s?°\s?F\b", lambda m: f"{round((int(m[1]) - 32) / 1.8)} °C", text)
    for name, factor, unit in _UNITS:
        pattern = rf"\b(\d{{1,4}}(?:\.\d)?)[\s-](?:{name})\b"
        text = re.sub(pattern, partial(_converted, factor=factor, unit=unit), text, flags=re.IGNORECASE)
    return text


def unchanged(text: str) -> str:
    """A user without a style leaves every answer as it is."""
    return text


def both(*styles: Style) -> Style:
    """One style after the other."""

    def mixed(text: str) -> str:
        for style in styles:
            text = style(text)
        return text

    return mixed


_MADE: Mapping[str, Style] = {
    "one-sentence": partial(first_sentences, most=1),
    "control-1": unchanged,
    "three-bullets": partial(bullets, most=3),
    "closing-line": closing_line,
    "lower-case-and-two-sentences": both(partial(first_sentences, most=2), lower_case),
    "numbered-steps": partial(steps, most=4),
    "at-most-25-words": partial(at_most_words, most=25),
    "bold-summary": bold_summary,
    "title-and-three-bullets": both(partial(bullets, most=3), title_line),
    "plain-prose": plain,
    "control-2": unchanged,
    "one-a-paragraph": one_a_paragraph,
    "in-short": in_short,
    "two-sentences-and-closing-line": both(partial(first_sentences, most=2), closing_line),
    "title-line": title_line,
    "lower-case": lower_case,
    "no-filler": no_filler,
    "plain-prose-of-40-words-in-british": both(partial(at_most_words, most=40), british),
    "metric-units": metric,
    "control-3": unchanged,
    "digits": digits,
    "british": british,
    "two-sentences": partial(first_sentences, most=2),
    "control-4": unchanged,
}
CONTROLS = tuple(name for name, style in _MADE.items() if style is unchanged)


def _settled(style: Style) -> Style:
    """The style applied until nothing changes, as somebody does who reads the result once more."""

    def applied(text: str) -> str:
        text = text.strip()
        for _ in range(ROUNDS):
            before, text = text, style(text).strip()
            if text == before:
                break
        return text

    return applied


ROUNDS = 20
STYLES: Mapping[str, Style] = {name: _settled(style) for name, style in _MADE.items()}


def _ended(line: str) -> str:
    bare = line.rstrip(" ,;:-")
    return bare if not bare or bare[-1] in ".!?" or (bare[-1] in "\"')]" and bare[-2:-1] in ".!?") else f"{bare}."


def _converted(match: re.Match[str], *, factor: float, unit: str) -> str:
    return f"{float(match[1]) * factor:.3g} {unit}"


def _replaced(text: str, words: Mapping[str, str]) -> str:
    def other(match: re.Match[str]) -> str:
        word = words[match[0].lower()]
        return word.capitalize() if match[0][0].isupper() else word

    return re.sub(rf"\b(?:{'|'.join(words)})\b", other, text, flags=re.IGNORECASE)
