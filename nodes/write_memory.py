"""Keep what happened: the turn becomes one interaction, exactly once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime

from personaagent.context import Context
from personaagent.errors import StoreError
from personaagent.grounding import mark_used
from personaagent.inputs import user_of
from personaagent.ports import EpisodicMemory, Where
from personaagent.state import AgentState
from personaagent.tracing.runs import TRACE_KEY, trace_of
from personaagent.turn import RUN_KEY, interaction_id, personalized, query_of, run_of, turn_start
from personaagent.types import Interaction

EARLIER = 4  # of a thread's newest interactions, among which an earlier attempt of this run is


async def write_memory(
    state: AgentState, runtime: Runtime[Context], config: RunnableConfig, *, episodic: EpisodicMemory
) -> dict[str, Any]:
    """Append the turn to episodic memory, once: under an id that a retry or a replay of the message repeats.

    A run that a server carries out again from before its first checkpoint has a new id for a message that came
    without one; its earlier attempt is known by the run.
    """
    context, user_id = runtime.context, user_of(runtime)
    thread_id = config.get("configurable", {}).get("thread_id")
    message = state["messages"][turn_start(state["messages"])]
    key = interaction_id(user_id, thread_id, str(message.id))
    if not personalized(state, context):
        return {"interaction_id": ""}
    run = run_of(config, state["messages"])
    interaction = Interaction(
        id=key,
        user_id=user_id,
        query=query_of(state["messages"]),
        created_at=datetime.now(UTC),
        thread_id=thread_id,
        task=context.task,
        choices=tuple(context.choices or ()),
        response=state["answer"] or None,
        tools=mark_used(state.get("trace", []), state["messages"], state["answer"], context.choices or ()),
        persona_version=state.get("persona_version"),
        metadata=_metadata(context, config, run),
    )
    try:
        if thread_id and run and (earlier := await _earlier_attempt(episodic, user_id, thread_id, run)):
            return {"interaction_id": earlier}
        await episodic.append(user_id, interaction)
    except StoreError as error:
        return {"interaction_id": key, "degraded": [*state.get("degraded", []), f"write: {error}"]}
    return {"interaction_id": key}


async def _earlier_attempt(episodic: EpisodicMemory, user_id: str, thread_id: str, run: str) -> str | None:
    newest = await episodic.newest(user_id, EARLIER, Where(thread_id=thread_id))
    return next((past.id for past in newest if past.metadata.get(RUN_KEY) == run), None)


def _metadata(context: Context, config: RunnableConfig, run: str | None) -> dict[str, Any]:
    """What else is kept of the turn: the task's words, its server run, and the trace that feedback on it belongs to."""
    told = {"instructions": context.instructions, RUN_KEY: run, TRACE_KEY: trace_of(config)}
    return {name: value for name, value in told.items() if value}
