"""How values become text on the page. Everything is escaped; nothing that a model or a user wrote is markup.

Sentences about the user are said to the user: "The user eats vegetarian." becomes "You eat vegetarian." By rules for
English, and for the forms in which answers are counted; what no rule fits stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup, escape

from personaagent.text import clean, one_line
from personaagent.types import Section, Sections

HEADINGS = {
    Section.WHO: "Who you are",
    Section.ANSWERING: "How to answer you",
    Section.TOOLING: "Which tools to use for you",
    Section.INTERESTS: "What occupies you at present",
}
ORIGINS = {
    "seed": "first version",
    "aligned": "learnt",
    "manual": "written by you",
    "rollback": "rolled back",
    "rebuilt": "rebuilt after forgetting",
    "imported": "imported",
}
PROPOSERS = {
    "gradient": "a model, from critiques of its answers",
    "histogram": "statistics of your answers",
    "contrast": "what sets your answers apart",
    "examples": "examples of your answers",
    "retire": "taking out what did not help",
    "user": "you",
    "template": "the starting rules and what was known of you",
    "monitor": "the monitor, because live answers got worse",
}
SOURCES = {
    "imported": "from your imported history",
    "correction": "you corrected it",
    "choice": "you chose it",
    "rating": "you rated the answer",
    "edit": "you edited the answer",
    "pick": "you picked it of two",
    "implicit": "inferred from how you went on",
    "summarizer": "summarised by a model",
    "statistics": "counted from your answers",
    "user": "you said so",
}
_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


@cache
def environment() -> Environment:
    """The templates; autoescape is on for every one, and a name that is not there fails."""
    made = Environment(
        loader=PackageLoader("personaagent.app.server.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"day": day, "moment": moment, "line": one_line, "clean": clean, "percent": percent}
    made.filters |= {"markdown": markdown, "yours": yours, "counted": counted, "plainly": plainly}
    made.globals |= {"headings": HEADINGS, "origins": ORIGINS, "proposers": PROPOSERS, "sources": SOURCES}
    return made


def day(value: datetime) -> str:
    """For example ``3 Mar 2026``."""
    return f"{value.day} {value:%b %Y}"


def moment(value: datetime) -> str:
    """For example ``3 Mar 2026, 14:05 UTC``."""
    return f"{day(value)}, {value:%H:%M} UTC"


def counted(number: int, noun: str) -> str:
    """For example ``six attempts``."""
    word = _WORDS[number] if number < len(_WORDS) else str(number)
    return f"{word} {noun}{'' if number == 1 else 's'}"


def percent(value: Any) -> str:
    """A loss in 0..1 as the share of answers that were not what the user wanted."""
    return f"{float(value):.0%}"


MAX_MARKDOWN_CHARS: Final = 100_000  # longer answers are shown as they are


def markdown(text: str) -> Markup:
    """The text as HTML; what is no Markdown is escaped."""
    text = clean(text)
    if len(text) > MAX_MARKDOWN_CHARS:
        return Markup("<pre>{}</pre>").format(escape(text))
    return Markup(_parser().render(text))  # noqa: S704  # the parser escapes everything: html is off


@cache
def _parser() -> MarkdownIt:
    made = MarkdownIt("js-default", {"html": False, "linkify": False, "breaks": True}).disable("image")
    made.add_render_rule("heading_open", _heading)
    made.add_render_rule("heading_close", _heading)
    made.add_render_rule("link_open", _link)
    return made


def _heading(self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, _: MutableMapping[str, Any]) -> str:
    """All of them stand below the heading of the answer."""
    tokens[index].tag = "h3"
    return self.renderToken(tokens, index, options, {})


def _link(self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, _: MutableMapping[str, Any]) -> str:
    tokens[index].attrSet("rel", "noopener noreferrer nofollow")
    tokens[index].attrSet("target", "_blank")
    return self.renderToken(tokens, index, options, {})


_IRREGULAR: Final = {
    "is": "are", "was": "were", "has": "have", "does": "do", "goes": "go", "isn't": "aren't", "wasn't": "weren't",
    "hasn't": "haven't", "doesn't": "don't", "can": "can", "will": "will", "must": "must", "may": "may",
    "focuses": "focus",
}  # fmt: skip
_ADVERB: Final = (
    r"(?:also|always|never|often|rarely|usually|sometimes|currently|mostly|generally|strongly|really|still)"
)
_SUBJECT: Final = re.compile(rf"\b(?P<the>[Tt])he user(?P<adverbs>(?: {_ADVERB})*) (?P<verb>[a-z]+(?:n't)?)\b")
_OWNER: Final = re.compile(r"\b([Tt])he user(?:'s|\u2019s)")
_OBJECT: Final = re.compile(r"\b([Tt])he user\b")
_THEIR: Final = re.compile(r"\btheir\b")
_THEMSELVES: Final = re.compile(r"\bthemsel(?:ves|f)\b")
_AND_VERB: Final = re.compile(  # of what may as well be nouns ("jazz and blues") only verbs that are none
    r"(?<=\band |\bbut )(is|has|was|does|likes|dislikes|loves|hates|prefers|wants|needs|eats|drinks|reads|writes|plays"
    r"|enjoys|avoids|speaks|owns|studies|watches|works|lives|uses|asks|goes)\b"
)
_COUNTED: Final = re.compile(r'^(Answers|Scores|Length of answers) in "([^"]*)"(?:, all that there were)?: (.*)$', re.S)
_COUNTED_FORMS: Final = {
    "Answers": "Your answers in “{task}”: {rest}",
    "Scores": "Your scores in “{task}”: {rest}",
    "Length of answers": "Your answers in “{task}” have {rest}",
}
_VERDICT: Final = re.compile(r"(?P<head>[^()]*) \((?P<won>\d+) won, (?P<lost>\d+) lost, (?P<tied>\d+) tied\)")
_LOSSES: Final = re.compile(r"loss [\d.]+ \u2192 [\d.]+")
_NOT_PROVEN: Final = re.compile(r"not proven: evidence .*")
_ES: Final = ("sses", "shes", "ches", "xes", "zzes")


def yours(text: str) -> str:
    """The sentence, said to whom it is about."""
    if counted := _COUNTED.match(text):
        task = "free conversation" if counted[2] == "general" else counted[2]
        return _COUNTED_FORMS[counted[1]].format(task=task, rest=counted[3])
    if not _OBJECT.search(text):
        return text
    text = _OWNER.sub(lambda found: "Your" if found[1] == "T" else "your", text)
    about_them = _SUBJECT.search(text)
    text = _SUBJECT.sub(_second_person, text)
    text = _OBJECT.sub(lambda found: "You" if found[1] == "T" else "you", text)
    if about_them and about_them.start() == 0:
        text = _THEMSELVES.sub("yourself", _THEIR.sub("your", text))
        text = _AND_VERB.sub(lambda found: _verb(found[1]), text)
    return text


def spoken(sections: Sections) -> Sections:
    """The sections, said to whom they are about."""
    return {section: tuple(replace(one, text=yours(one.text)) for one in found) for section, found in sections.items()}


def plainly(reason: str) -> str:
    """Why a version came about or was turned down: what the gate counted as a sentence, the figures stand beside it."""

    def said(found: re.Match[str]) -> str:
        won, lost, tied = (int(found[name]) for name in ("won", "lost", "tied"))
        counted = f"better in {won} of {won + lost + tied} answers, worse in {lost or 'none'}"
        head = _NOT_PROVEN.sub("not sure enough", found["head"])
        return counted if _LOSSES.fullmatch(head) else f"{head}: {counted}"

    return _VERDICT.sub(said, reason)


def _second_person(found: re.Match[str]) -> str:
    return ("You" if found["the"] == "T" else "you") + found["adverbs"] + " " + _verb(found["verb"])


def _verb(verb: str) -> str:
    """The second person of a verb in the third; a word that is no such verb stays."""
    if verb in _IRREGULAR:
        return _IRREGULAR[verb]
    if verb.endswith("ies") and len(verb) > 4:
        return verb[:-3] + "y"
    if verb.endswith(_ES):
        return verb[:-2]
    if verb.endswith("s") and not verb.endswith(("ss", "us", "is")):
        return verb[:-1]
    return verb
