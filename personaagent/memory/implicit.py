"""Implicit truth: what the user's next message in a thread says of the answer before it.

By rules, in English, German, French and Spanish, without a model and within microseconds; and, off the turn, by a
model that reads what the rules leave open. Silence is no truth: a user who just moves on has not said that the
answer was right. What is found is marked ``implicit``, never certain, and gives way to anything the user says.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

from langchain_core.messages import HumanMessage

from personaagent.errors import ModelError
from personaagent.persona.answers import answer_from_text
from personaagent.ports import EpisodicMemory, Models
from personaagent.prompts import quote, render
from personaagent.text import one_line, skeleton
from personaagent.types import Interaction

Kind = Literal["correction", "rejection", "acceptance", "repetition"]

CORRECTED, CORRECTED_TEXT, REJECTED, ACCEPTED, BY_MODEL = 0.8, 0.5, 0.4, 0.6, 0.6
SAME = 0.9  # share of characters from which a question is the same one again
HEAD = 200  # characters of a message in which a reaction stands
MAX_TRUTH_CHARS = 300
READ_CHARS = 1_000
MAX_ASKED = 8  # model calls of one alignment

REACTION_SCHEMA: dict[str, Any] = {
    "title": "Reaction",
    "type": "object",
    "properties": {
        "reaction": {"type": "string", "enum": ["correction", "rejection", "acceptance", "none"]},
        "wanted": {"type": "string", "maxLength": MAX_TRUTH_CHARS},
    },
    "required": ["reaction", "wanted"],
    "additionalProperties": False,
}

_NO = r"(?:no|nope|wrong|nein|falsch|non|incorrecto?|faux|ne)"
_MEANT = (
    r"(?:i (?:actually |really )?(?:meant|mean|wanted)|it(?:'s| is| should be)|should (?:have been|be)|the (?:right|"
    r"correct) (?:answer|one) (?:is|was)|ich (?:meinte?|wollte)|(?:richtig|korrekt) (?:ist|ware)|gemeint war|"
    r"je voulais(?: dire)?|c'est plutot|la bonne reponse est|(?:yo )?queria(?: decir)?|quise decir|me referia a|"
    r"la respuesta correcta es)"
)
_STATED = re.compile(
    rf"^(?:{_NO}\b[\s,.:;!-]*)?(?:actually|eigentlich|en fait|en realidad)?[\s,]*{_MEANT}\b[\s:,]*(?P<wanted>.+)"
)
_INSTEAD = re.compile(rf"^{_NO}\b[\s,.:;!-]+(?P<wanted>[^.?!]{{1,60}})[.!]?$")
_REJECTED = re.compile(
    r"^(?:(?:no|nope|nein|non)\b[\s,.!]*$|(?:no|nein|non)?[\s,.!]*(?:(?:that|this|it)(?:'s| is| was) (?:not (?:right|"
    r"correct|true|it|what i)|wrong|incorrect)|(?:that|this) isn't|wrong\b|incorrect\b|not (?:right|correct|what i)\b|"
    r"(?:das (?:ist|war|stimmt) )?(?:falsch|nicht (?:richtig|korrekt|was ich))\b|das stimmt nicht|stimmt nicht|"
    r"(?:c'est )?(?:faux|incorrect)\b|ce n'est pas (?:ca|correct|juste|ce que)|"
    r"(?:eso )?(?:no es (?:correcto|eso|lo que)|esta mal|es incorrecto)|incorrecto\b))"
)
_ACCEPTED = re.compile(
    r"^(?:ok(?:ay)?|yes|ja|oui|si|ah|oh|super|great)?[\s,.!]*(?:(?:many )?thanks?\b|thank you|perfect\b|exactly\b|"
    r"that's (?:right|correct|it|perfect)|great\b|danke\b|vielen dank|perfekt\b|genau\b|stimmt\b(?! nicht)|merci\b|"
    r"parfait\b|c'est (?:ca|juste|parfait)|exactement\b|gracias\b|muchas gracias|perfecto\b|exacto\b)"
)
_RESERVED = re.compile(
    r"\b(?:but|however|not|isn't|wrong|aber|jedoch|nicht|leider|falsch|mais|pas|pero|sin embargo|no)\b|\?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaction:
    """How the user took an answer. ``truth`` is what they wanted where that is known, ``confidence`` below 1."""

    kind: Kind
    truth: str | None
    confidence: float


def reaction(earlier: Interaction, message: str) -> Reaction | None:
    """Return what ``message`` says of the answer to ``earlier``, or None where it says nothing of it.

    A correction names the truth, an acceptance makes the answer the truth. A rejection, and the same question asked
    again, name it only where there are two choices: then it is the other one.
    """
    if not earlier.response:
        return None
    plain = skeleton(message[: 4 * HEAD].replace("’", "'"))  # noqa: RUF001 (the typographic apostrophe)
    head = plain[:HEAD]
    found = _STATED.match(plain) or _INSTEAD.match(head)
    if found and (truth := _wanted(earlier, message, found["wanted"], stated=found.re is _STATED)):
        return Reaction(kind="correction", truth=truth, confidence=CORRECTED if earlier.choices else CORRECTED_TEXT)
    if _REJECTED.match(head):
        return Reaction(kind="rejection", truth=_other_choice(earlier), confidence=REJECTED)
    if _repeats(earlier.query, plain):
        return Reaction(kind="repetition", truth=_other_choice(earlier), confidence=REJECTED)
    if (accepted := _ACCEPTED.match(head)) and not _RESERVED.search(re.split(r"[.!\n]", head[accepted.end() :])[0]):
        return Reaction(kind="acceptance", truth=_answer(earlier), confidence=ACCEPTED)
    return None


async def infer_by_model(
    models: Models, episodic: EpisodicMemory, user_id: str, interactions: Sequence[Interaction]
) -> int:
    """Label, all at once, the unlabelled answers whose thread goes on in ``interactions``; returns how many.

    ``interactions`` come oldest first; the newest ``MAX_ASKED`` are asked about, so the cost is bounded.
    """
    threads: dict[str, Interaction] = {}
    followed: list[tuple[Interaction, str]] = []
    for interaction in interactions:
        earlier = threads.get(interaction.thread_id or "")
        if earlier is not None and earlier.ground_truth is None and interaction.user_id == user_id:
            followed.append((earlier, interaction.query))
        if interaction.thread_id is not None:
            threads[interaction.thread_id] = interaction
    asked = followed[-MAX_ASKED:]
    found = await asyncio.gather(*(reaction_by_model(models, earlier, message) for earlier, message in asked))
    labels = [(earlier, told) for (earlier, _), told in zip(asked, found, strict=True) if told is not None]
    known = [(earlier, told.truth, told.confidence) for earlier, told in labels if told.truth is not None]
    for earlier, truth, confidence in known:
        await episodic.label(user_id, earlier.id, truth, "implicit", confidence=confidence)
    return len(known)


async def reaction_by_model(models: Models, earlier: Interaction, message: str) -> Reaction | None:
    """The same by a model, for what the rules leave open; None with the embedded model and where the model fails."""
    if models.embedded or not earlier.response:
        return None
    choices = ", ".join(earlier.choices) or "any text"
    asked = render(
        "reaction",
        query=quote(f"{earlier.query[:READ_CHARS]}\nAllowed answers: {choices}", "question"),
        answer=quote(earlier.response[:READ_CHARS], "answer"),
        message=quote(message[:READ_CHARS], "next message"),
    )
    try:
        said = await models.structured("summarizer", [HumanMessage(asked)], REACTION_SCHEMA)
    except ModelError:
        return None
    wanted = one_line(str(said.get("wanted") or ""), MAX_TRUTH_CHARS)
    if earlier.choices:
        wanted = answer_from_text(wanted, earlier.choices) or ""
    match said.get("reaction"):
        case "correction" if wanted:
            return Reaction(kind="correction", truth=wanted, confidence=BY_MODEL)
        case "rejection" | "correction":
            return Reaction(kind="rejection", truth=_other_choice(earlier), confidence=REJECTED)
        case "acceptance":
            return Reaction(kind="acceptance", truth=_answer(earlier), confidence=BY_MODEL)
    return None


def _wanted(earlier: Interaction, message: str, named: str, *, stated: bool) -> str | None:
    """The truth that a correction names: a choice, or in free text what follows "I meant", as the user wrote it."""
    said = " ".join(message[: 4 * HEAD].split()[-len(named.split()) :])  # as the user wrote it, accents and all
    if earlier.choices:
        truth = answer_from_text(said, earlier.choices)
        return truth if truth != _answer(earlier) else None
    # "no, thanks" and "no, tell me more" name no answer
    return one_line(said, MAX_TRUTH_CHARS).rstrip(" .!") or None if stated else None


def _answer(earlier: Interaction) -> str | None:
    """The answer as a truth; None where it is none of the choices."""
    if not earlier.choices or not earlier.response:
        return earlier.response
    return answer_from_text(earlier.response, earlier.choices)


def _other_choice(earlier: Interaction) -> str | None:
    answer = _answer(earlier)
    others = [choice for choice in earlier.choices if choice != answer]
    return others[0] if answer and len(earlier.choices) == 2 else None


def _repeats(query: str, plain: str) -> bool:
    before = skeleton(query[: 4 * HEAD].replace("’", "'"))  # noqa: RUF001
    if min(len(before), len(plain)) < 8:
        return False
    return SequenceMatcher(None, before, plain, autojunk=False).ratio() >= SAME
