"""Sentences about the user as they are said to the user: "The user eats vegetarian." becomes "You eat vegetarian."

By rules for English, and for the forms in which answers are counted; what no rule fits stays as it is.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from personaagent.types import Sections

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
