"""Bring to mind what fits the query: episodes and facts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from typing import Any, TypeVar

from langgraph.runtime import Runtime

from personaagent.context import Context
from personaagent.errors import StoreError
from personaagent.head import VOTERS, vote
from personaagent.inputs import user_of
from personaagent.labels.statistics import turned_since
from personaagent.memory.earnest import tells
from personaagent.ports import EpisodicMemory, SemanticMemory, Where
from personaagent.state import RespondState
from personaagent.turn import personalized, query_of, without
from personaagent.types import Recall, UserProfile

NEAR = 0.4  # cosine to the query, from which on an earlier question that tells nothing of the user is worth a look
REACH = 5  # as many memories are looked at as are put before the model: those that tell of the user come first
T = TypeVar("T")


async def retrieve_memory(
    state: RespondState, runtime: Runtime[Context], *, episodic: EpisodicMemory, semantic: SemanticMemory
) -> dict[str, Any]:
    """Return the top k interactions for this turn's query and the profile (paper, episodic and semantic memory).

    What tells of the user (labelled, or said of themselves) comes before bare questions, however near these are; a
    bare question that is not ``NEAR`` is left out, since a model takes it for a part of what is asked.
    In a closed answer space the nearest labelled ones also ``vote`` (``personaagent.head``).
    What this turn takes the place of (``left``) is no memory. In a simulation both are cut to before
    ``state["before"]``. A profile that is there already is this turn's; where both are there nothing is looked up.
    Without one of them the turn goes on and says so.
    """
    context = runtime.context
    if not personalized(state, context):
        return {}
    known, choices = state.get("profile"), context.choices or ()
    if state.get("before") and "recalled" in state and known is not None:
        # a simulation of the same interaction under another persona has looked it up
        return {"vote": vote(state["recalled"], choices)}
    user_id = user_of(runtime)
    where, k, reach = _wanted(state, context)
    missing: list[str] = []
    recalling = _or(episodic.search(user_id, query_of(state["messages"]), reach, where), [], missing)
    if known is not None:
        recalled, profile = await recalling, known
    else:
        none = UserProfile(user_id=user_id)
        reading = _or(semantic.profile(user_id, before=where.before), none, missing)
        recalled, profile = await asyncio.gather(recalling, reading)
    recalled = _worth_telling(recalled)[:k]
    found = {"recalled": recalled, "profile": profile, "vote": vote(recalled, choices)}
    return found | {"degraded": [*state.get("degraded", []), *dict.fromkeys(missing)]} if missing else found


def _wanted(state: RespondState, context: Context) -> tuple[Where, int, int]:
    """Which memories, how many of them, and how many are looked at for these.

    In a task with a closed answer space only an answer that is known is evidence, and only while the taste holds.
    """
    before, persona, k = state.get("before"), state.get("persona"), context.recall_k
    where = Where(before=before, task=context.task, exclude=frozenset(state.get("left", ())))
    if not (context.task and context.choices):
        return where, k, REACH * k
    since = turned_since(persona.sections, context.task) if persona else None
    k = max(k, VOTERS) if k else k
    return replace(where, since=since, labelled=True), k, k


def _worth_telling(recalled: list[Recall]) -> list[Recall]:
    """What tells of the user, then the bare questions that are near: no answer that was wanted is known of these."""
    telling, bare = list[Recall](), list[Recall]()
    for recall in recalled:
        past = recall.interaction
        if past.ground_truth is not None or tells(past.query):
            telling.append(recall)
        elif recall.similarity is None or recall.similarity >= NEAR:
            bare.append(recall)
    return [*telling, *bare]


async def _or(reading: Awaitable[T], otherwise: T, missing: list[str]) -> T:
    """What is read, or what does instead of it while the store fails: neither memory is lost with the other."""
    try:
        return await reading
    except StoreError as error:
        missing.append(without("memory", error))
        return otherwise
