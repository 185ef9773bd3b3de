"""Wishes from a conversation become pins, in force from that very turn, and are taken back by the user's word."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Any, Final

from langchain_core.messages import HumanMessage

from personaagent.errors import InvalidPersona, ModelError
from personaagent.masking import storable_text
from personaagent.persona.wishes import MAX_WISH_CHARS, Wish, may_be_wish, subject_of, wishes_in
from personaagent.ports import EpisodicMemory, Models, PersonaStore, Where
from personaagent.prompts import quote, render
from personaagent.rules import broken_rule
from personaagent.text import clean, fold, one_line, skeleton
from personaagent.types import Pin

MAX_WISHES: Final = 20  # of a user
OWN_WORDS: Final = 0.7  # share of a wish's words that the message must have, where a model worded it
STEM: Final = 5  # letters by which a word is found again
SCHEMA: Final[dict[str, Any]] = {
    "title": "Wish",
    "type": "object",
    "properties": {"lasting": {"type": "boolean"}, "wish": {"type": "string", "maxLength": MAX_WISH_CHARS}},
    "required": ["lasting", "wish"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Heeded:
    """What became of a message's wishes: sentences to the user, and whether the message is nothing else."""

    noted: tuple[str, ...]
    alone: bool

    def __str__(self) -> str:
        return "\n".join(self.noted)


class StandingWishes:
    """Keeps and takes back the wishes of users; a model is asked only where the rules leave something open."""

    def __init__(self, personas: PersonaStore, episodic: EpisodicMemory, models: Models) -> None:
        self._personas = personas
        self._episodic = episodic
        self._models = models

    async def state(self, user_id: str, wish: str) -> Heeded:
        """Keep or take back what is given as a wish, whether or not it reads like one.

        Raises InvalidPersona (empty, over 200 characters), StoreError.
        """
        text = " ".join(clean(wish).split())
        if not 0 < len(text) <= MAX_WISH_CHARS:
            raise InvalidPersona(f"a wish has 1 to {MAX_WISH_CHARS} characters, this one {len(text)}: say it shorter")
        heeded = await self.heed(user_id, text, None, None)
        if heeded is not None:
            return heeded
        if any(read.kind == "take_back" for read in wishes_in(text)):
            return Heeded(noted=("There is no such wish to take back.",), alone=True)
        stated = Wish(kind="set", text=text.rstrip(".!"), subject=subject_of(text), alone=True)
        return Heeded(noted=(await self._keep(user_id, stated, None),), alone=True)

    async def heed(
        self,
        user_id: str,
        message: str,
        interaction_id: str | None,
        thread_id: str | None,
        *,
        left: Set[str] = frozenset(),
    ) -> Heeded | None:
        """Keep or take back what the message wishes; None where it wishes nothing. Raises StoreError.

        What of the thread is ``left`` did not come before the message. The same wish again, of a replayed turn for
        example, adds nothing.
        """
        found = wishes_in(message) or await self._by_model(message)
        if not found:
            return None
        if found[0].kind == "take_back":
            return await self._take_back(user_id, found[0].text, thread_id, frozenset(left))
        noted = [await self._keep(user_id, wish, interaction_id) for wish in found]
        return Heeded(noted=tuple(noted), alone=found[0].alone and not any(broken_rule(wish.text) for wish in found))

    async def _keep(self, user_id: str, wish: Wish, interaction_id: str | None) -> str:
        """Pin the wish in the place of what it repeats or contradicts; returns what the user is told."""
        text = storable_text(wish.text)
        if rule := broken_rule(text):
            return f"Not taken as a lasting wish, because it speaks to the assistant's rules ({rule}): {text}"
        pins = await self._personas.pins(user_id)
        same = [pin for pin in pins if skeleton(pin.text) == skeleton(text)]
        if any(pin.origin == "user" for pin in same):
            return f"Pinned by you already: {text}."
        if not any(pin.said_in == interaction_id for pin in same):
            wishes = [pin for pin in pins if pin.origin == "wish"]
            rivals = [pin.id for pin in wishes if pin in same or _contradicts(wish, pin)]
            if len(wishes) - len(rivals) >= MAX_WISHES:
                return f"Not kept, because {MAX_WISHES} wishes are kept already: remove some on the page, at /me."
            await self._personas.pin(user_id, text, origin="wish", said_in=interaction_id, replaces=rivals)
        return f'I will: {text}. (undo: say "forget that")'

    async def _take_back(self, user_id: str, named: str, thread_id: str | None, left: frozenset[str]) -> Heeded | None:
        wishes = [pin for pin in await self._personas.pins(user_id) if pin.origin == "wish"]
        if named:
            gone = _about(named, wishes)
        elif wishes and thread_id is not None:
            last = await self._episodic.newest(user_id, 1, Where(thread_id=thread_id, exclude=left))
            if not last:  # a new thread goes on from where the user was
                last = await self._episodic.newest(user_id, 1, Where(exclude=left))
            gone = [pin for pin in wishes if last and pin.said_in == last[0].id]
        else:
            gone = []
        for pin in gone:
            await self._personas.unpin(user_id, pin.id)
        noted = tuple(f"I no longer hold to: {pin.text}." for pin in gone)
        return Heeded(noted=noted, alone=True) if gone else None

    async def _by_model(self, message: str) -> list[Wish]:
        """What a model that can write reads in a message that says that something is to last."""
        if self._models.embedded or not may_be_wish(message):
            return []
        asked = HumanMessage(render("wish", message=quote(message, "message")))
        try:
            said = await self._models.structured("summarizer", [asked], SCHEMA)
        except ModelError:
            return []
        text = one_line(str(said.get("wish") or ""), MAX_WISH_CHARS).rstrip(".!")
        if said.get("lasting") is not True or not _in_own_words(text, message):
            return []
        return [Wish(kind="set", text=text, subject=subject_of(text), alone="?" not in message)]


def _contradicts(wish: Wish, pin: Pin) -> bool:
    return wish.subject is not None and subject_of(pin.text) == wish.subject


def _about(named: str, wishes: Sequence[Pin]) -> list[Pin]:
    """The wishes that share the most words, by their beginnings, with what the user names; none where none does."""
    wanted = _stems(named)
    shared = {pin.id: len(wanted & _stems(pin.text)) for pin in wishes}
    most = max(shared.values(), default=0)
    return [pin for pin in wishes if most and shared[pin.id] == most]


def _stems(text: str) -> set[str]:
    return {word.strip(".,!?\"'")[:STEM] for word in fold(text).split() if len(word.strip(".,!?\"'")) > 3}


def _in_own_words(text: str, message: str) -> bool:
    words, said = skeleton(text).split(), set(skeleton(message).replace(",", " ").replace(".", " ").split())
    return bool(words) and sum(word.strip(".,;:") in said for word in words) >= OWN_WORDS * len(words)
