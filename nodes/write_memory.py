"""Keep what happened: the turn becomes one interaction, exactly once, and labels the one before if it speaks of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime

from personaagent.context import Context
from personaagent.conversation import FORGOTTEN, is_edited
from personaagent.errors import InputError, StoreError, UnknownInteraction
from personaagent.grounding import mark_used
from personaagent.head import PREDICTED_KEY
from personaagent.inputs import Feedback, user_of
from personaagent.labels.implicit import reaction
from personaagent.masking import storable_text
from personaagent.memory.about import names
from personaagent.ports import EpisodicMemory
from personaagent.state import AgentState
from personaagent.tools.forget import NAME as FORGET
from personaagent.tracing.runs import TRACE_KEY, trace_of
from personaagent.turn import (
    BROKEN_OFF,
    EXAMPLES_KEY,
    MESSAGE_KEY,
    RUN_KEY,
    interaction_id,
    personalized,
    place_of,
    query_of,
    run_of,
    turn_start,
    without,
    words_of,
)
from personaagent.types import STATEMENT_KEY, WISH, Interaction, Kept, Persona, is_statement

MAX_MESSAGE_ID = 64  # characters; a longer one is some client's own, and not kept
LOST = "feedback: {} that waited for memory spoke of no answer that is there, and is dropped"
DEGRADED_KEY = "degraded"  # of an interaction's metadata: what its answer had to do without


async def write_memory(
    state: AgentState,
    runtime: Runtime[Context],
    config: RunnableConfig,
    *,
    episodic: EpisodicMemory,
    note_turn: Callable[[str, Context, int, str], Awaitable[None]],
    note_label: Callable[[str, Context], Awaitable[bool]],
    watch: Callable[[str], Awaitable[Persona | None]],
    report: Callable[[Interaction], object],
) -> dict[str, Any]:
    """Append the turn to episodic memory, once: under an id that a retry or a replay of the message repeats.

    A run that a server carries out again from before its first checkpoint has a new id for a message that came
    without one; its earlier attempt is known by the run. What the message says of the thread's last answer becomes that
    one's implicit label, by rules alone; this asks no model and never fails a turn.
    """
    context, user_id = runtime.context, user_of(runtime)
    key, thread_id, path = place_of(state["messages"], user_id, config)
    if not personalized(state, context):
        return {"interaction_id": ""}
    if ended := _wished(state):
        blanked = await _forgotten(state, user_id, thread_id, episodic) if "ok" in ended else []
        return {"interaction_id": "", "messages": blanked}
    run = run_of(config, state["messages"])
    metadata = _metadata(state, context, config, run)
    interaction = _turn(state, context, id=key, user_id=user_id, thread_id=thread_id, metadata=metadata)
    try:
        kept = await episodic.keep(
            user_id,
            interaction,
            lambda past: bool(run) and past.metadata.get(RUN_KEY) == run,
            path,
        )
        if kept.new:
            await note_turn(user_id, context, kept.unread, interaction.query)
    except StoreError as error:
        return {"interaction_id": key, "degraded": [*state.get("degraded", []), without("write", error)]}
    written: dict[str, Any] = {"interaction_id": kept.turn.id, **_lost(state, kept)}
    earlier = _spoken_of(state, kept)
    if earlier is None:
        return written
    try:
        labelled = await _inferred(earlier, query_of(state["messages"]), episodic)
        if labelled is not None:
            report(labelled)
            await note_label(user_id, context)
            await watch(user_id)
    except (InputError, StoreError) as error:
        notes = written.get("degraded", state.get("degraded", []))
        written["degraded"] = [*notes, without("feedback", error)]
    return written


def _lost(state: AgentState, kept: Kept) -> dict[str, Any]:
    """The notes with one on feedback that had no place, where there was some."""
    return {"degraded": [*state.get("degraded", []), LOST.format(kept.lost)]} if kept.lost else {}


def _turn(state: AgentState, context: Context, **known: Any) -> Interaction:
    choices = tuple(context.choices or ())
    return Interaction(
        query=query_of(state["messages"]),
        created_at=datetime.now(UTC),
        task=context.task,
        choices=choices,
        response=state["answer"] or None,
        tools=mark_used(state.get("trace", []), state["messages"], state["answer"], choices),
        persona_version=state.get("persona_version"),
        **known,
    )


async def _inferred(earlier: Interaction, message: str, episodic: EpisodicMemory) -> Interaction | None:
    """The thread's earlier interaction with the label that this message gives it; None where it gives none.

    What the user said explicitly stays. A wish is no reaction, and nobody reacts to one.
    """
    found = None if is_statement(earlier) else reaction(earlier, message)
    if found is None or found.truth is None:
        return None
    if found.kind == "acceptance" and BROKEN_OFF in earlier.metadata.get(DEGRADED_KEY, ()):
        return None  # half an answer is not what was wanted
    given = Feedback(ground_truth=found.truth, source="implicit", confidence=found.confidence)
    labelled = await episodic.feedback(earlier.user_id, earlier.id, given)
    return labelled if labelled != earlier else None


def _wished(state: AgentState) -> set[str]:
    """How calls to forget ended that carried out the user's wish, or tried: that is not remembered in words.

    One that did not, and whose matter the message does not name, somebody else may have wished: the turn is kept.
    """
    calls = [call for call in state.get("trace", []) if call.name == FORGET]
    query = query_of(state["messages"])
    return {call.outcome for call in calls if call.outcome == "ok" or names(query, call.arguments.get("about"))}


def _spoken_of(state: AgentState, kept: Kept) -> Interaction | None:
    """The interaction that this turn may be a reaction to: the one right before it, which memory may not have."""
    if kept.before is None or state.get("statement"):
        return None
    messages = state["messages"]
    before = [m for m in messages[: turn_start(messages)] if isinstance(m, HumanMessage)]
    asked = words_of(before[-1]) if before else kept.before.query
    return kept.before if kept.before.query in (asked, storable_text(asked)) else None


async def _forgotten(
    state: AgentState, user_id: str, thread_id: str | None, episodic: EpisodicMemory
) -> list[BaseMessage]:
    """The thread's messages without the words of turns that memory has no longer, and of the wish to forget itself.

    A wish to forget is not remembered in words; its reply stays for the user to see.
    """
    start = turn_start(state["messages"])
    blanked: list[BaseMessage] = []
    gone = False
    for place, message in enumerate(state["messages"]):
        if isinstance(message, HumanMessage):
            gone = place == start or not await _has(
                episodic, user_id, interaction_id(user_id, thread_id, str(message.id))
            )
        if gone and (place <= start or not isinstance(message, AIMessage) or message.tool_calls):
            blanked.append(message.model_copy(update={"content": FORGOTTEN}))
    return blanked


async def _has(episodic: EpisodicMemory, user_id: str, key: str) -> bool:
    try:
        await episodic.get(user_id, key)
    except UnknownInteraction:
        return False
    except StoreError:
        return True
    return True


def _metadata(state: AgentState, context: Context, config: RunnableConfig, run: str | None) -> dict[str, Any]:
    """What else is kept: the task's words, the server run, its trace, whether it is no question, what was missing."""
    key = str(state["messages"][turn_start(state["messages"])].id)
    told = {
        "instructions": context.instructions,
        RUN_KEY: run,
        TRACE_KEY: trace_of(config),
        PREDICTED_KEY: state.get("predicted"),
        STATEMENT_KEY: WISH if state.get("statement") else None,
        DEGRADED_KEY: state.get("degraded"),
        MESSAGE_KEY: key if len(key) <= MAX_MESSAGE_ID else None,
        EXAMPLES_KEY: 0 if context.choices else sum(is_edited(r.interaction) for r in state.get("recalled", [])),
    }
    return {name: value for name, value in told.items() if value}
