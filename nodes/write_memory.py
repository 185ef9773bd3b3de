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
from personaagent.ports import EpisodicMemory
from personaagent.state import AgentState
from personaagent.tracing.runs import TRACE_KEY, trace_of
from personaagent.turn import interaction_id, personalized, query_of, turn_start
from personaagent.types import Interaction


async def write_memory(
    state: AgentState, runtime: Runtime[Context], config: RunnableConfig, *, episodic: EpisodicMemory
) -> dict[str, Any]:
    """Append the turn to episodic memory under an id that a retry or a replay repeats."""
    context, user_id = runtime.context, user_of(runtime)
    thread_id = config.get("configurable", {}).get("thread_id")
    message = state["messages"][turn_start(state["messages"])]
    key = interaction_id(user_id, thread_id, str(message.id))
    if not personalized(state, context):
        return {"interaction_id": ""}
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
        metadata=_metadata(context, config),
    )
    try:
        await episodic.append(user_id, interaction)
    except StoreError as error:
        return {"interaction_id": key, "degraded": [*state.get("degraded", []), f"write: {error}"]}
    return {"interaction_id": key}


def _metadata(context: Context, config: RunnableConfig) -> dict[str, Any]:
    """What else is kept of the turn: the task's words, and the trace that feedback on it belongs to."""
    told = {"instructions": context.instructions, TRACE_KEY: trace_of(config)}
    return {name: value for name, value in told.items() if value}
