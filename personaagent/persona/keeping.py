"""Keeping an answer to what its persona states of the form, where a machine can: what a user always does by hand.

A model forgets a closing line, a capital letter or a count, a small one often. What a clause or a pin states in numbers
or in the user's own words is therefore also done to the answer after it was written, and to a simulated one likewise.
Code is never touched but for the words around it, and nothing is done where the message itself asks for a form.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial, reduce
from typing import Final

from personaagent.form import (
    BULLET,
    EMOJI,
    FENCE,
    HEADING,
    HEDGES,
    NUMBERED,
    features,
    in_digits,
    is_item,
    sentences,
    spelled,
    uncontracted,
    without_adverb,
)
from personaagent.persona.constraint import WORDING, Constraint, constraints_of

_Told = Mapping[str, Sequence[Constraint]]
_Keep = Callable[[str, Constraint, _Told], str]  # of a text, what is stated, and all that is
_MARK: Final = re.compile(rf"(?:{BULLET.pattern}|{NUMBERED.pattern}|{HEADING.pattern}|^\s*>\s+)")
_STRONG: Final = re.compile(r"\*\*|__|`|(?<![\w*])\*(?=\S)|(?<=\S)\*(?![\w*])")
_CHATTER: Final = re.compile(
    r"\b(?:question|happy|glad|hope|let me know|feel free|hesitate|if you (?:have|need|want))\b", re.I
)
_FORM_ASKED: Final = re.compile(
    r"\b(?:\d+ words|words?|sentences?|paragraphs?|bullets?|headings?|step by step|(?:as|in|make|write|give)\b.{0,20} "
    r"(?:list|table|points|steps)|tables?|essay|letter|e-?mail|poem|story|script|code|json|csv|html|markdown|emojis?|"
    r"in (?:more )?detail|detailed|in depth|at length|(?:long|short)(?:er)? (?:answer|version|text|explanation|list)|"
    r"brief\w*|summar\w+|translat\w+|capital letters|lower-? ?case|upper-? ?case|bold|"
    r"wörter|wörtern|sätze\w*|absätze\w*|stichpunkt\w*|stichwort\w*|tabelle|ausführlich\w*|übersetz\w+|"
    r"zusammenfass\w+|aufsatz|gedicht|mots|phrases|paragraphes?|tableau|en détail|détaillée?|résum\w+|tradui\w+|"
    r"palabras|frases|párrafos?|tabla|en detalle|detallad\w+|resum\w+|traduc\w+)\b",
    re.IGNORECASE,
)


def keeper(clauses: Iterable[str], query: str = "") -> Callable[[str], str] | None:
    """What keeps an answer to the query to the clauses, in all that a machine can do; None where nothing is to be done.

    Counts are kept to by whole sentences or items from the start, one at least; openings, closings and replaced words
    are the user's own. What is done twice changes nothing more. Nothing is done where the query asks for a form.
    """
    told = {} if _FORM_ASKED.search(query) else _told(clauses)
    return partial(_kept, told=told) if told else None


def in_form(text: str, clauses: Iterable[str], query: str = "") -> str:
    """The text as the clauses want it; see ``keeper``."""
    keep = keeper(clauses, query)
    return keep(text) if keep else text


@lru_cache(1_024)  # every turn asks it of every clause of its persona
def without_model(clause: str) -> bool:
    """Whether the machine keeps all that the clause states, and keeps it better where no model is told of it.

    Asked for small letters, a small model says little: "because it's a computer".
    """
    names = {one.name for one in constraints_of(clause)}
    return bool(names) and names <= _CASES


def _kept(text: str, told: _Told) -> str:
    if not text.strip():
        return text
    text = _bare(text, told)
    code = bool(FENCE.search(text))
    for name, keep in _KEEPERS.items():
        for one in () if code and name not in _AROUND else told.get(name, ()):
            text = keep(text, one, told).strip() or text
    return text


def _told(clauses: Iterable[str]) -> dict[str, list[Constraint]]:
    """What is stated that can be kept to, by name; of counts the smallest, of other things the one stated first."""
    told: dict[str, list[Constraint]] = {}
    for one in (one for clause in clauses for one in constraints_of(clause) if one.name in _KEEPERS):
        known = told.setdefault(one.name, [])
        if one.name in ("wording", "never") or not known:
            known.append(one)
        elif isinstance(one.value, int) and one.value < int(known[0].value):
            known[0] = one
    return told


def _lines(text: str) -> list[tuple[bool, str]]:
    """The lines that say something: whether each is an item of a list, and its text without the mark of one."""
    lines = [line for line in text.splitlines() if line.strip()]
    bare = [(is_item(HEADING.sub("", line)), _unmarked(line)) for line in lines]
    return [(item, line) for item, line in bare if line]


def _unmarked(line: str) -> str:
    while mark := _MARK.match(line):
        line = line[mark.end() :]
    return line.strip()


def _plain(text: str, _: Constraint, __: _Told) -> str:
    """One paragraph of sentences; a heading or an item becomes one."""
    return " ".join(_sentence(line) for _, line in _lines(text))


def _no_lists(text: str, _: Constraint, __: _Told) -> str:
    """Items as sentences, without the line that leads to them."""
    lines = _lines(text)
    if not any(item for item, _ in lines):
        return text
    said = [line for item, line in lines if item or not line.endswith(":")]
    return " ".join(map(_sentence, said))


def _listed(text: str, one: Constraint, told: _Told) -> str:
    """The text's items, or its sentences where it has none, as a list of the kind, no more than are wanted."""
    items = [line for item, line in _lines(text) if item]
    items = items if len(items) > 1 else list(map(_unmarked, sentences(text)))
    most = [int(limit.value) for limit in (one, *told.get("items_at_most", ())) if limit.value]
    mark = str(told["mark"][0].value) if "mark" in told else "1." if one.name == "numbered" else "-"
    return "\n".join(f"{_nth(mark, n)} {item}" for n, item in enumerate(items[: min(most, default=None)], start=1))


def _nth(mark: str, number: int) -> str:
    """The mark of an item: the 1 in it is the number."""
    return mark.replace("1", str(number))


def _marked(text: str, one: Constraint, _: _Told) -> str:
    """The items of the text behind another mark."""
    number, lines = 0, text.splitlines()
    for place, line in enumerate(lines):
        if mark := BULLET.match(line) or NUMBERED.match(line):
            number += 1
            lines[place] = f"{_nth(str(one.value), number)} {line[mark.end() :]}"
    return "\n".join(lines)


def _few_items(text: str, one: Constraint, _: _Told) -> str:
    """The text without the items, and what stands below them, that are too many."""
    kept: list[str] = []
    items = 0
    for line in text.splitlines():
        items += (top := is_item(line) and not line[:1].isspace())
        inside = top or line[:1].isspace()
        if items <= int(one.value) or not inside:
            kept.append(line)
    return re.sub(r"\n{3,}", _PARAGRAPH, "\n".join(kept))


def _limited(text: str, one: Constraint, told: _Told) -> str:
    """The whole sentences from the start that are within the limits on sentences and words, one at least."""
    if told.keys() & {"bullets", "numbered"}:
        return text
    text = _no_lists(text, one, told)
    limits = {name: int(told[name][0].value) for name in _LIMITS if name in told}
    most = min((limits[name] for name in ("sentences", "sentences_at_most") if name in limits), default=None)
    most_words = limits.get("words_at_most")
    end, words = 0, 0
    for count, sentence in enumerate(sentences(text), start=1):
        words += len(sentence.split())
        found = text.find(sentence, end)
        too_long = most_words is not None and words > most_words
        if found < 0 or (count > 1 and (too_long or (most is not None and count > most))):
            break
        end = found + len(sentence)
    return text[:end].strip()


def _one_a_line(text: str, one: Constraint, told: _Told) -> str:
    return "\n\n".join(sentences(_no_lists(text, one, told)))


def _in_paragraphs(text: str, one: Constraint, told: _Told) -> str:
    said = sentences(_plain(text, one, told))
    return _PARAGRAPH.join(" ".join(said[n : n + int(one.value)]) for n in range(0, len(said), int(one.value)))


def _unled(text: str, one: Constraint, _: _Told) -> str:
    while not one.holds(text, features(text)):
        text = text.partition("\n")[2].strip()
    return text


def _unopened(text: str, one: Constraint, _: _Told) -> str:
    """Without the sentences at the start that only greet or say that an answer comes."""
    said = sentences(text)
    while len(said) > 1 and not one.holds(said[0], features(said[0])) and _says_nothing(said[0]):
        text = _after(text, said.pop(0))
    return text


def _unclosed(text: str, one: Constraint, _: _Told) -> str:
    """Without the sentences at the end that only offer help or wish well."""
    said = sentences(text)
    while len(said) > 1 and not one.holds(text, features(text)) and _says_nothing(said[-1]):
        text = text[: text.rfind(said.pop())].rstrip()
    return text


def _says_nothing(sentence: str) -> bool:
    """Whether an opening or closing sentence may go: an exclamation, an announcement, a word or two, an offer."""
    return sentence.endswith(("!", ":")) or len(sentence.split()) <= 2 or bool(_CHATTER.search(sentence))


def _after(text: str, sentence: str) -> str:
    return text[text.find(sentence) + len(sentence) :].lstrip()


def _list_only(text: str, _: Constraint, __: _Told) -> str:
    """The text without what is before and after its list, where it has one."""
    lines = text.splitlines()
    items = [n for n, line in enumerate(lines) if is_item(line)]
    within = items and (line for n, line in enumerate(lines) if is_item(line) or (n > items[0] and line[:1].isspace()))
    return "\n".join(within or lines)


def _bold_lead(text: str, one: Constraint, _: _Told) -> str:
    if one.holds(text, features(text)):
        return text
    first = next(iter(sentences(text)), "")
    rest = text[text.find(first) + len(first) :].strip()
    return "\n\n".join(filter(None, (f"**{_STRONG.sub('', first)}**", rest)))


def _worded(text: str, one: Constraint, _: _Told) -> str:
    old, __, new = str(one.value).partition(WORDING)

    def other(found: re.Match[str]) -> str:
        return new[:1].upper() + new[1:] if found[0][:1].isupper() else new

    return re.sub(rf"(?<!\w){re.escape(old)}(?!\w)", other, text, flags=re.IGNORECASE)


def _bare(text: str, told: _Told) -> str:
    """The text without the opening and closing that are stated, where it has them and is more than they are."""
    body = text.strip()
    for one in told.get("opening", ()):
        opening = str(one.value)
        body = body[len(opening) :].lstrip() if body.casefold().startswith(opening.casefold()) else body
    for one in (*told.get("closing_line", ()), *told.get("closing", ())):
        closing = str(one.value)
        body = body[: -len(closing)].rstrip() if body.casefold().endswith(closing.casefold()) else body
    return body or text


def _opened(text: str, one: Constraint, _: _Told) -> str:
    """The text behind the opening; a heading, and what is above a list, stand on a line of their own."""
    opening, body = str(one.value), _bare(text, {"opening": [one]})
    alone = HEADING.match(opening) or _MARK.match(body)
    return body if _same(body, opening) else f"{opening}{_PARAGRAPH if alone else ' '}{body}"


def _closed(text: str, one: Constraint, _: _Told) -> str:
    body = _bare(text, {one.name: [one]})
    return body if _same(body, one.value) else f"{body}{' ' if one.name == 'closing' else _PARAGRAPH}{one.value}"


def _same(body: str, around: int | str) -> bool:
    return body.casefold() == str(around).casefold()


def _sentence(line: str) -> str:
    """An item or a heading as a sentence, with a capital letter and an end."""
    bare = _STRONG.sub("", line).rstrip(" ,;:-")
    if not bare:
        return bare
    begun = bare[0].upper() + bare[1:] if bare.split(maxsplit=1)[0].islower() else bare
    return begun if bare[-1] in ".!?\"')]…" else f"{begun}."


_PARAGRAPH: Final = "\n\n"
_LIMITS: Final = ("sentences", "sentences_at_most", "words_at_most")
_CASES: Final = frozenset({"lower", "upper"})
_AROUND: Final = frozenset({"opening", "closing", "closing_line"})
_KEEPERS: Final[Mapping[str, _Keep]] = {
    **dict.fromkeys(("no_greeting", "no_filler", "no_opening"), _unopened),
    "no_signoff": _unclosed,
    "no_lead": _unled,
    "plain": _plain,
    "no_headings": lambda text, _, __: "\n".join(HEADING.sub("", line) for line in text.splitlines()),
    "no_emphasis": lambda text, _, __: _STRONG.sub("", text),
    "no_lists": _no_lists,
    "bullets": _listed,
    "numbered": _listed,
    **dict.fromkeys(_LIMITS, _limited),
    "items_at_most": _few_items,
    "list_only": _list_only,
    "mark": _marked,
    "paragraphs": lambda text, one, told: _plain(text, one, told) if one.value == 1 else text,
    "one_a_line": _one_a_line,
    "paragraph_of": _in_paragraphs,
    "bold_lead": _bold_lead,
    "british": lambda text, _, __: spelled(text, "British"),
    "american": lambda text, _, __: spelled(text, "American"),
    "no_contractions": lambda text, _, __: uncontracted(text),
    "digits": lambda text, _, __: in_digits(text),
    "no_hedges": lambda text, _, __: reduce(without_adverb, HEDGES, text),
    "never": lambda text, one, _: without_adverb(text, str(one.value)),
    "wording": _worded,
    "no_exclamations": lambda text, _, __: text.replace("!", "."),
    "no_emoji": lambda text, _, __: re.sub(rf"{EMOJI.pattern} ?", "", text),
    "lower": lambda text, _, __: text.lower(),
    "upper": lambda text, _, __: text.upper(),
    "opening": _opened,
    "closing": _closed,
    "closing_line": _closed,
}
