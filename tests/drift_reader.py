"""A model without weights that does what it reads: what the persona says decides its answers.

The agent counts, for each allowed answer, which words of the question stand beside that answer in the persona's
clauses; without a clause that decides it follows the most similar example it is shown, and without one the first
allowed answer that the persona names. Critic and editor write down words of the mistakes that they are shown. It knows
neither the rule by which labels are made nor that the rule ever changes.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage

from personaagent.errors import ModelOutputInvalid
from personaagent.models.card import Card
from personaagent.models.meter import counting
from personaagent.ports import Role
from personaagent.types import Section

SURE = 0.97  # the probability of its answer
SIGNS = 4  # words of a mistake that the critic names

_WORD = re.compile(r"[^\W\d_]{4,20}")
_DATA = r'<data label="{}">\n(.*?)\n</data>'
_WANTED = re.compile(r'Wants "([^"]+)" for ([^.]+)\.')
_FEEDBACK = re.compile(r"^examples ([\d, ]*?)(?: \(inferred.*?\))?:.*?(Wants \"[^\"]+\" for [^.]+\.)")
_CLAUSE = re.compile(r"^- (.*?) \[([\d, ]*)\]$")


class Reader:
    """Implements ``ports.Models``; deterministic."""

    embedded = False
    tool_calling = False

    def name(self, role: Role) -> str:
        """Say who this is."""
        return f"reader-{role}"

    async def card(self, role: Role) -> Card:
        """Nothing is known of it."""
        return Card()

    async def chat(self, role: Role) -> BaseChatModel:
        """There is no free text here."""
        raise ModelOutputInvalid(f"the reader only chooses and fills in forms, {role} asked for text")

    async def probabilities(
        self, role: Role, messages: Sequence[BaseMessage], choices: Sequence[str]
    ) -> dict[str, float] | None:
        """All but sure of what it answers."""
        answer = await self.choose(role, messages, choices)
        return {choice: SURE if choice == answer else (1 - SURE) / (len(choices) - 1) for choice in choices}

    async def choose(self, role: Role, messages: Sequence[BaseMessage], choices: Sequence[str]) -> str:
        """The answer that the persona speaks for, else that of the nearest example, else the first one named."""
        with counting(role, messages) as call:
            await asyncio.sleep(0)
            answer = read(messages, choices)
            call.received(AIMessage(answer))
        return answer

    async def structured(
        self, role: Role, messages: Sequence[BaseMessage], schema: Mapping[str, Any]
    ) -> dict[str, Any]:
        """A critique, or the persona with the critiques in it; there are no facts to be had here."""
        text = "\n".join(message.text for message in messages)
        with counting(role, messages):
            await asyncio.sleep(0)
            match schema["title"]:
                case "Critique":
                    return _critique(text)
                case "Verdicts":
                    return AGREED
                case "Persona":
                    return {"sections": _edited(text)}
        return {"operations": []}

    async def close(self) -> None:
        """There is nothing to close."""


def read(messages: Sequence[BaseMessage], choices: Sequence[str]) -> str:
    """What the reader answers to these messages."""
    persona = messages[0].text.partition("# The user's persona\n")[2].partition("\n# ")[0]
    # what is remembered may stand fenced before the question, and is not asked
    asked = words(messages[-1].text.rpartition("</data>\n")[2])
    votes = dict.fromkeys(choices, 0)
    named = []
    for clause in persona.splitlines():
        for label, beside in _beside(clause, choices):
            votes[label] += len(asked & words(beside))
            named.append(label)
    best = max(votes.values())
    leading = [label for label, count in votes.items() if count == best]
    if best and len(leading) == 1:
        return leading[0]
    shown = [(q, a) for q, a in pairwise(messages) if a.type == "ai" and a.text in choices]
    if shown:
        # of equally similar ones the last, which is the best match by memory's own measure
        return max(enumerate(shown), key=lambda pair: (len(asked & words(pair[1][0].text)), pair[0]))[1][1].text
    return named[0] if named else choices[0]


def words(text: str) -> set[str]:
    """The words that count."""
    return set(_WORD.findall(text.casefold()))


def _beside(clause: str, choices: Sequence[str]) -> list[tuple[str, str]]:
    """Each allowed answer that the clause names in quotes or with a share, and the text up to the next one."""
    names = "|".join(map(re.escape, choices))
    instead = re.sub(rf', not "(?:{names})"', "", clause)  # what was answered by mistake is not to be learnt
    found = list(re.finditer(rf'"(?P<quoted>{names})"|\b(?P<share>{names}) \d+ %', instead))
    ends = [*(match.start() for match in found[1:]), len(instead)]
    return [(m["quoted"] or m["share"], instead[m.end() : end]) for m, end in zip(found, ends, strict=False)]


AGREED: dict[str, Any] = {"verdicts": ["yes"] * 6}  # with every clause of its own that cannot be counted


def _critique(text: str) -> dict[str, str]:
    asked, wanted = _data(text, "question"), _data(text, "what the user really wanted")
    telling = sorted(words(asked.partition("Allowed answers:")[0]), key=lambda word: (-len(word), word))[:SIGNS]
    return {"persona_change": f'Wants "{wanted}" for {", ".join(telling)}.', "tool_use": "", "about_user": ""}


def _edited(text: str) -> dict[str, list[dict[str, Any]]]:
    """The persona as it is, with a clause a mistake; its own clauses that a mistake contradicts are left out."""
    sections: dict[str, list[dict[str, Any]]] = {section.value: [] for section in Section}
    here = ""
    for line in _data(text, "persona now").splitlines():
        if line.startswith("## "):
            here = line[3:]
        elif (clause := _CLAUSE.match(line)) and here:
            sections[here].append({"text": clause[1], "evidence": _numbers(clause[2])})
    told = [(found[2], _numbers(found[1])) for line in _data(text, "feedback").splitlines()
            if (found := _FEEDBACK.match(line))]  # fmt: skip
    fresh = [_WANTED.findall(text)[0] for text, _ in told]
    interests = [c for c in sections["interests"] if not any(_contradicts(c["text"], label, w) for label, w in fresh)]
    sections["interests"] = [*({"text": text, "evidence": numbers} for text, numbers in told), *interests][:20]
    return sections


def _contradicts(clause: str, label: str, telling: str) -> bool:
    return any(old != label and words(text) & words(telling) for old, text in _WANTED.findall(clause))


def _data(text: str, label: str) -> str:
    found = re.search(_DATA.format(re.escape(label)), text, re.DOTALL)
    return found[1] if found else ""


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]
