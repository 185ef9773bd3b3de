"""Consolidation: from what happened to who the user is (paper, semantic memory ``P^u = f_s(S_t, D^u)``).

Incremental: a model reads the new interactions and the facts that hold, never the whole past. It sees only what the
user said (query and ground truth), never an answer, a persona or a tool's output, so nothing that the agent made up
can come back as a fact about the user.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from langchain_core.messages import HumanMessage, SystemMessage

from personaagent.errors import ContextTooLong, ModelError, ModelOutputInvalid, ModelRefused
from personaagent.labels.answers import numbered
from personaagent.labels.implicit import infer_by_model
from personaagent.labels.statistics import HISTORY, STATISTICS, is_statistic, statistic_facts
from personaagent.ledger.facts import Facts
from personaagent.ledger.interactions import Interactions
from personaagent.ledger.users import Budget
from personaagent.memory.earnest import bears, may_stand, of_oneself, replaces, speaks_of, supported, tells
from personaagent.models.meter import metering
from personaagent.models.tokens import count_messages
from personaagent.ports import EpisodicMemory, Models, SemanticMemory, Where
from personaagent.prompts import quote, render
from personaagent.rules import advises, broken_rule
from personaagent.text import MIN_PASTED_WORDS, clean, one_line, own_words
from personaagent.types import Fact, FactOperation, Interaction, UserProfile, is_wish


class Reader:
    """Makes facts of interactions: an interaction is marked as read in the moment that a model has read it."""

    def __init__(
        self,
        interactions: Interactions,
        facts: Facts,
        episodic: EpisodicMemory,
        semantic: SemanticMemory,
        budget: Budget,
        models: Callable[[], Models],
        *,
        readings: int,
        implicit_by_model: bool,
    ) -> None:
        """``readings`` are calls at a time, within the day's ``budget``; ``implicit_by_model``: labels too."""
        self._interactions, self._facts = interactions, facts
        self._episodic, self._semantic = episodic, semantic
        self._budget, self._models = budget, models
        self._readings, self._implicit_by_model = readings, implicit_by_model

    async def refresh(self, user_id: str, *, reading: bool = True) -> UserProfile:
        """Count the labels and read what waits; returns the profile as it is then.

        What no model read waits for the next time; without ``reading`` that is all that waits.
        """
        history = await self._interactions.newest(user_id, HISTORY, Where(labelled=True))
        if history:
            counted = statistic_facts(history, await self._facts.holding(user_id))
            await self._semantic.apply(user_id, counted, through=history[-1].created_at)
        times = min(self._readings, await self._budget.remaining(user_id)) if reading else 0
        for time in range(times):
            if not await self._read_some(user_id, implied=self._implicit_by_model and time == 0):
                break
        return await self._semantic.profile(user_id)

    async def read(self, user_id: str) -> tuple[Fact, ...]:
        """``refresh``, with what it takes booked; returns the facts that are new."""
        before = {fact.id for fact in await self._facts.holding(user_id)}
        with metering() as meter:
            await self.refresh(user_id)
        await self._budget.book(user_id, meter)
        return tuple(f for f in await self._facts.holding(user_id) if f.id not in before and f.source == "summarizer")

    async def _read_some(self, user_id: str, *, implied: bool) -> bool:
        """Read the newest that wait; whether there were any, and a model read them."""
        new = await self._interactions.unread(user_id, MAX_READ)
        wishes = [interaction for interaction in new if is_wish(interaction)]
        models = self._models()
        found, _ = await asyncio.gather(
            summarized(models, user_id, [i for i in new if i not in wishes], await self._facts.holding(user_id)),
            infer_by_model(models, self._episodic, user_id, new if implied else ()),
        )
        if found is None and len(new) == len(wishes):
            found = Reading()
        if not new or found is None:
            return False
        await self._semantic.apply(user_id, found.operations, through=new[-1].created_at)
        await self._interactions.mark_read(user_id, [i.id for i in (*wishes, *found.read)])
        return True


MAX_READ = 24  # interactions of one call, what a small model reads in time
MAX_FACTS = 60  # active facts shown
ANSWER_TOKENS = 800  # left for the operations
MAX_OPERATIONS = 6
MAX_EVIDENCE = 6
MAX_FACT_CHARS = 200
QUERY_CHARS = 200
TRUTH_CHARS = 200
COPIED_WORDS = 6  # in a row, from what was shown, make a text a copy
MAX_LOSS = 0.2  # of the active facts may be replaced or retired at once, one always may

_Kind = Literal["add", "supersede", "retire", "keep"]
_KINDS: tuple[_Kind, ...] = ("add", "supersede", "retire", "keep")
_WORD = re.compile(r"\w+")
_ENTRY = re.compile(r"→|->|=>|^\W*\(?\d{4}-\d\d-\d\d\)|\bwanted:|\buser said or chose\b", re.IGNORECASE)
FACTS_SCHEMA: dict[str, Any] = {
    "title": "FactOperations",
    "type": "object",
    "properties": {
        "operations": {
            "type": "array",
            "maxItems": MAX_OPERATIONS,
            "items": {
                "type": "object",
                "properties": {
                    "kind": {"type": "string", "enum": list(_KINDS)},
                    "fact": {"type": "integer"},
                    "text": {"type": "string", "maxLength": MAX_FACT_CHARS},
                    "evidence": {"type": "array", "items": {"type": "integer"}, "maxItems": MAX_EVIDENCE},
                    "confidence": {"type": "integer", "minimum": 0, "maximum": 100},
                },
                "required": ["kind", "fact", "text", "evidence", "confidence"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["operations"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a model made of interactions, and which it read: the newest that its context has room for."""

    operations: Sequence[FactOperation] = ()
    read: Sequence[Interaction] = ()


async def summarized(
    models: Models, user_id: str, new_interactions: Sequence[Interaction], active_facts: Sequence[Fact]
) -> Reading | None:
    """What the summarizer proposes from the newest of them, at most ``MAX_READ``; None where no model read any.

    A model that read them and answered in another form has proposed nothing; one that did not answer has not read.
    Material that was labelled counts as read: statistics say what the labels do. Facts that the user wrote and
    statistical ones are never the model's to change, and it may take away a fifth of the facts at most, so a bad answer
    cannot wipe a memory. What is not this user's is passed over.
    What is too much for the endpoint is asked once more with the newer half; one that alone is too much counts as read.
    """
    facts = [fact for fact in active_facts if fact.user_id == user_id and fact.status == "active"]
    mine = [i for i in new_interactions if i.user_id == user_id]
    if models.embedded or not mine:
        return None
    material = [i for i in mine if _is_material(i)]
    read: Sequence[Interaction] = [i for i in mine if i not in material][-MAX_READ:]
    reading = await _read(models, user_id, read, facts) if read else Reading()
    return reading and replace(reading, read=[*material, *reading.read])


async def _read(models: Models, user_id: str, read: Sequence[Interaction], facts: Sequence[Fact]) -> Reading | None:
    open_facts: Sequence[Fact] = [fact for fact in facts if fact.source not in {"user", STATISTICS}][:MAX_FACTS]
    read, open_facts = _fitting(read, open_facts, (await models.card("summarizer")).window)
    try:
        answer = await models.structured("summarizer", _messages(read, open_facts), FACTS_SCHEMA)
    except ContextTooLong:
        if len(read) > 1:
            return await _read(models, user_id, read[len(read) // 2 :], facts)
        return Reading(read=read)
    except (ModelOutputInvalid, ModelRefused):
        return Reading(read=read)
    except ModelError:
        return None
    return Reading(operations=_validated(answer, read, open_facts, facts), read=read)


def _is_material(interaction: Interaction) -> bool:
    """Whether it is a choice for a text that is longer than a question and does not speak of the user."""
    query = interaction.query
    labelled = bool(interaction.choices and interaction.ground_truth)
    return labelled and len(query.split()) >= MIN_PASTED_WORDS and not of_oneself(query)


def _fitting(
    read: Sequence[Interaction], facts: Sequence[Fact], window: int
) -> tuple[Sequence[Interaction], Sequence[Fact]]:
    """The newest interactions, and the first facts, that the context has room for beside the answer; one at least."""
    while (count_messages(_messages(read, facts)) > window - ANSWER_TOKENS) and (len(read) > 1 or facts):
        if len(read) > 1 and len(read) >= len(facts) // 2:
            read = read[(len(read) + 3) // 4 :]
        else:
            facts = facts[: len(facts) * 3 // 4]
    return read, facts


def _messages(read: Sequence[Interaction], facts: Sequence[Fact]) -> list[SystemMessage | HumanMessage]:
    known = "\n".join(f"{n}. {one_line(fact.text, MAX_FACT_CHARS)}" for n, fact in enumerate(facts, start=1))
    entries = "\n".join(f"{n}. {_entry(interaction)}" for n, interaction in enumerate(read, start=1))
    case = render("summarize_case", facts=quote(known or "none", "known facts"), entries=quote(entries, "new entries"))
    return [SystemMessage(render("summarize", limit=str(MAX_OPERATIONS))), HumanMessage(case)]


def _entry(interaction: Interaction) -> str:
    """What the user said: the query, of one without a truth their own words only, and the truth as they gave it."""
    truth = interaction.ground_truth
    doubt = " (inferred)" if interaction.truth_source == "implicit" else ""
    wanted = f" → wanted: {one_line(truth, TRUTH_CHARS)}{doubt}" if truth else ""
    return f"({interaction.created_at:%Y-%m-%d}) {one_line(_said(interaction), QUERY_CHARS)}{wanted}"


def _said(interaction: Interaction) -> str:
    return interaction.query if interaction.ground_truth else own_words(interaction.query)


def _validated(
    answer: dict[str, Any], read: Sequence[Interaction], open_facts: Sequence[Fact], facts: Sequence[Fact]
) -> list[FactOperation]:
    given = answer.get("operations")
    may_lose = max(1, int(MAX_LOSS * len(open_facts)))
    said = {_same(fact.text) for fact in facts}
    touched: set[str] = set()
    valid: list[FactOperation] = []
    for item in (given if isinstance(given, list) else [])[:MAX_OPERATIONS]:
        operation = _operation(item, read, open_facts) if isinstance(item, dict) else None
        if operation is None or operation.fact_id in touched:
            continue
        if operation.kind in {"add", "supersede"}:
            if _same(operation.text) in said:
                continue
            said.add(_same(operation.text))
        if operation.kind in {"supersede", "retire"}:
            if may_lose == 0:
                continue
            may_lose -= 1
        if operation.fact_id is not None:
            touched.add(operation.fact_id)
        valid.append(operation)
    return valid


def _operation(item: dict[str, Any], read: Sequence[Interaction], facts: Sequence[Fact]) -> FactOperation | None:
    """One operation with its numbers resolved, or None where something that it needs is missing or unsound."""
    kind = _kind(item)
    confidence = item.get("confidence")
    stands_on = numbered(item.get("evidence"), read)
    if kind is None or not stands_on:
        return None
    fact = None if kind == "add" else _changed(item, facts, stands_on)
    text = _written(item, read, stands_on) if kind in {"add", "supersede"} else ""
    if text is None or (fact is None and kind != "add"):
        return None
    operation = FactOperation(
        kind=kind,
        fact_id=fact.id if fact else None,
        text=text,
        evidence=tuple(dict.fromkeys(interaction.id for interaction in stands_on)),
        confidence=min(1.0, max(0.0, confidence / 100)) if type(confidence) is int else 0.5,
    )
    return operation if fact is None else _beside(operation, fact, stands_on)


def _beside(operation: FactOperation, fact: Fact, stands_on: Sequence[Interaction]) -> FactOperation:
    """The operation, as an addition where it would put something else in the place of the fact: both hold then."""
    if operation.kind != "supersede" or replaces(fact.text, operation.text, _told(stands_on)):
        return operation
    return replace(operation, kind="add", fact_id=None)


def _kind(item: dict[str, Any]) -> _Kind | None:
    return next((known for known in _KINDS if known == item.get("kind")), None)


def _changed(item: dict[str, Any], facts: Sequence[Fact], stands_on: Sequence[Interaction]) -> Fact | None:
    """The fact that an operation is about, or None where the user said nothing that ends it.

    A question ends no fact, nor does what says nothing of it. A history is read newest first: what is older does not
    end what is newer.
    """
    fact = next(iter(numbered([item.get("fact")], facts)), None)
    if fact is None or item["kind"] == "keep":
        return fact
    if item["kind"] == "retire":
        ending = [i for i in stands_on if i.ground_truth or tells(i.query)]
        if not speaks_of(fact.text, _told(ending)):
            return None
    return fact if max(interaction.created_at for interaction in stands_on) >= fact.valid_from else None


def _told(rows: Sequence[Interaction]) -> list[str]:
    """What is the user's own in them."""
    return [f"{own_words(i.query)} {i.ground_truth or ''}" for i in rows]


def _written(item: dict[str, Any], read: Sequence[Interaction], stands_on: Sequence[Interaction]) -> str | None:
    """The text of a fact, or None where it is not one: of its length, the user's own, and said in what it stands on."""
    text = " ".join(clean(str(item.get("text") or "")).split())
    if not text or len(text) > MAX_FACT_CHARS or broken_rule(text) or advises(text) or is_statistic(text):
        return None
    borne = any((may_stand if i.ground_truth else bears)(text, i.query) for i in stands_on)
    return text if borne and not _copied(text, read) and supported(text, stands_on) else None


def _copied(text: str, read: Sequence[Interaction]) -> bool:
    """Whether a text is what the summarizer was shown: an entry line, words of the prompt, or of a labelled question.

    Such a text says nothing about the user. In a question without a truth their own words may be repeated, no others.
    """
    if _ENTRY.search(text):
        return True
    shown = [render("summarize_case", facts="", entries=""), render("summarize", limit=str(MAX_OPERATIONS))]
    labelled = [f"{i.query} {i.ground_truth}" for i in read if i.ground_truth]
    own = {run for i in read if not i.ground_truth for run in _runs(own_words(i.query))}
    pasted = {run for i in read if not i.ground_truth for run in _runs(i.query)} - own
    if any(_same(text) in _same(one) for one in labelled):
        return True
    known = {run for one in (*shown, *labelled) for run in _runs(one)}
    return not (known | pasted).isdisjoint(_runs(text))


def _runs(text: str) -> set[tuple[str, ...]]:
    words = _WORD.findall(text.casefold())
    return {tuple(words[at : at + COPIED_WORDS]) for at in range(len(words) - COPIED_WORDS + 1)}


def _same(text: str) -> str:
    return " ".join(text.casefold().rstrip(".").split())
