"""Bring to mind what fits the query: episodes and facts."""

from __future__ import annotations

import asyncio
from typing import Any

from langgraph.runtime import Runtime

from personaagent.context import Context
from personaagent.errors import StoreError
from personaagent.inputs import user_of
from personaagent.memory.turned import turned_since
from personaagent.ports import EpisodicMemory, SemanticMemory, Where
from personaagent.state import RespondState
from personaagent.turn import personalized, query_of


async def retrieve_memory(
    state: RespondState, runtime: Runtime[Context], *, episodic: EpisodicMemory, semantic: SemanticMemory
) -> dict[str, Any]:
    """Return the top k interactions for this turn's query and the profile (paper, episodic and semantic memory).

    In a simulation both are cut to before ``state["before"]``, and a profile that is there already is of that moment.
    Without memory the turn goes on and says so.
    """
    context = runtime.context
    if not personalized(state, context):
        return {}
    user_id = user_of(runtime)
    before = state.get("before")
    # in a task with a closed answer space only an answer that is known is evidence, and only while the taste holds
    closed = bool(context.task and context.choices)
    persona = state.get("persona")
    since = turned_since(persona.sections, context.task) if closed and persona else None
    where = Where(before=before, since=since, task=context.task, labelled=True if closed else None)
    try:
        recalling = episodic.search(user_id, query_of(state["messages"]), context.recall_k, where)
        if before and "profile" in state:
            recalled, profile = await recalling, state["profile"]
        else:
            recalled, profile = await asyncio.gather(recalling, semantic.profile(user_id, before=before))
    except StoreError as error:
        return {"degraded": [*state.get("degraded", []), f"memory: {error}"]}
    return {"recalled": recalled, "profile": profile}
