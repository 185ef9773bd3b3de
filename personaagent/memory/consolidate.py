"""Consolidation: from what happened to who the user is (paper, semantic memory ``P^u = f_s(S_t, D^u)``).

Incremental: a model reads the new interactions and the facts that hold, never the whole past. It sees only what the
user said (query and ground truth), never an answer, a persona or a tool's output, so nothing that the agent made up
can come back as a fact about the user.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

from langchain_core.messages import HumanMessage, SystemMessage

from personaagent.errors import ModelError
from personaagent.memory.statistics import is_statistic, statistic_facts
from personaagent.persona.rules import broken_rule
from personaagent.ports import Models
from personaagent.prompts import quote, render
from personaagent.text import clean, one_line
from personaagent.types import Fact, FactOperation, Interaction

MAX_READ = 24  # newest new interactions, what a small model reads in time; of a longer import statistics tell the rest
MAX_FACTS = 60  # active facts shown
MAX_OPERATIONS = 6
MAX_EVIDENCE = 6
MAX_FACT_CHARS = 200
QUERY_CHARS = 200
TRUTH_CHARS = 200
COPIED_WORDS = 6  # in a row, from what was shown, make a text a copy
MAX_LOSS = 0.2  # of the active facts may be replaced or retired at once, one always may

_KINDS: tuple[Literal["add", "supersede", "retire", "keep"], ...] = ("add", "supersede", "retire", "keep")
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


async def consolidate(
    models: Models,
    user_id: str,
    new_interactions: Sequence[Interaction],
    active_facts: Sequence[Fact],
    history: Sequence[Interaction],
) -> list[FactOperation]:
    """Return the valid operations on this user's facts: statistics of ``history``, then what the summarizer proposes.

    ``new_interactions`` and ``history`` (labelled ones) come oldest first; what is not this user's is passed over.
    With the embedded model, without new interactions and where the model fails or answers in another form there are
    the statistics only. Facts that the user wrote and statistical ones are never the model's to change, and it may
    take away a fifth of the facts at most, so a bad answer cannot wipe a memory.
    """
    facts = [fact for fact in active_facts if fact.user_id == user_id and fact.status == "active"]
    operations = statistic_facts([i for i in history if i.user_id == user_id], facts)
    read = [i for i in new_interactions if i.user_id == user_id][-MAX_READ:]
    if models.embedded or not read:
        return operations
    open_facts = [fact for fact in facts if fact.source not in {"user", "statistics"}][:MAX_FACTS]
    try:
        answer = await models.structured("summarizer", _messages(read, open_facts), FACTS_SCHEMA)
    except ModelError:
        return operations
    return operations + _validated(answer, read, open_facts, facts)


def _messages(read: Sequence[Interaction], facts: Sequence[Fact]) -> list[SystemMessage | HumanMessage]:
    known = "\n".join(f"{n}. {one_line(fact.text, MAX_FACT_CHARS)}" for n, fact in enumerate(facts, start=1))
    entries = "\n".join(f"{n}. {_entry(interaction)}" for n, interaction in enumerate(read, start=1))
    case = render("summarize_case", facts=quote(known or "none", "known facts"), entries=quote(entries, "new entries"))
    return [SystemMessage(render("summarize", limit=str(MAX_OPERATIONS))), HumanMessage(case)]


def _entry(interaction: Interaction) -> str:
    """What the user said: the query, and the truth as the user gave it."""
    truth = interaction.ground_truth
    doubt = " (inferred)" if interaction.truth_source == "implicit" else ""
    wanted = f" → wanted: {one_line(truth, TRUTH_CHARS)}{doubt}" if truth else ""
    return f"({interaction.created_at:%Y-%m-%d}) {one_line(interaction.query, QUERY_CHARS)}{wanted}"


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
    kind, number, confidence = item.get("kind"), item.get("fact"), item.get("confidence")
    numbers = item.get("evidence")
    evidence = [
        read[n - 1].id for n in (numbers if isinstance(numbers, list) else []) if type(n) is int and 1 <= n <= len(read)
    ]
    fact = facts[number - 1] if type(number) is int and 1 <= number <= len(facts) else None
    if kind not in _KINDS or not evidence or (kind != "add" and fact is None):
        return None
    writes = kind in {"add", "supersede"}
    text = " ".join(clean(str(item.get("text") or "")).split()) if writes else ""
    if writes and (not text or len(text) > MAX_FACT_CHARS or broken_rule(text) or is_statistic(text)):
        return None
    if writes and _copied(text, read):
        return None
    return FactOperation(
        kind=kind,
        fact_id=fact.id if fact and kind != "add" else None,
        text=text,
        evidence=tuple(dict.fromkeys(evidence)),
        confidence=min(1.0, max(0.0, confidence / 100)) if type(confidence) is int else 0.5,
    )


def _copied(text: str, read: Sequence[Interaction]) -> bool:
    """Whether a text is what the summarizer was shown: an entry line, words of the prompt, or of a labelled question.

    Such a text says nothing about the user. A question without a truth is the user's own words and may be repeated.
    """
    if _ENTRY.search(text):
        return True
    shown = [render("summarize_case", facts="", entries=""), render("summarize", limit=str(MAX_OPERATIONS))]
    labelled = [f"{i.query} {i.ground_truth}" for i in read if i.ground_truth]
    if any(_same(text) in _same(one) for one in labelled):
        return True
    known = {run for one in (*shown, *labelled) for run in _runs(one)}
    return not known.isdisjoint(_runs(text))


def _runs(text: str) -> set[tuple[str, ...]]:
    words = _WORD.findall(text.casefold())
    return {tuple(words[at : at + COPIED_WORDS]) for at in range(len(words) - COPIED_WORDS + 1)}


def _same(text: str) -> str:
    return " ".join(text.casefold().rstrip(".").split())
