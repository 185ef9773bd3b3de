"""Learn from how the conversation goes on: this turn's message may say how the last answer was taken."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime

from personaagent.context import Context
from personaagent.errors import InputError, StoreError
from personaagent.inputs import user_of
from personaagent.memory.implicit import reaction
from personaagent.ports import EpisodicMemory, Where
from personaagent.state import AgentState
from personaagent.turn import query_of
from personaagent.types import Interaction, Persona


async def infer_feedback(
    state: AgentState,
    runtime: Runtime[Context],
    config: RunnableConfig,
    *,
    episodic: EpisodicMemory,
    note_label: Callable[[str, Context], Awaitable[bool]],
    watch: Callable[[str], Awaitable[Persona | None]],
    report: Callable[[Interaction], object],
) -> dict[str, Any]:
    """Label the thread's previous interaction implicitly where this message speaks of its answer, by rules alone.

    It runs when the answer is out, asks no model, and never fails or changes a turn. What the user said explicitly
    stays. Threads are needed: without one nobody can tell which answer a message is about.
    """
    thread_id = config.get("configurable", {}).get("thread_id")
    if thread_id is None or not runtime.context.personalize or not state.get("interaction_id"):
        return {}
    user_id = user_of(runtime)
    try:
        newest = await episodic.newest(user_id, 2, Where(thread_id=thread_id))
        if len(newest) < 2 or newest[-1].id != state["interaction_id"]:
            return {}  # the first turn of its thread, or a replayed one
        earlier = newest[0]
        found = reaction(earlier, query_of(state["messages"]))
        if found is None or found.truth is None:
            return {}
        labelled = await episodic.label(user_id, earlier.id, found.truth, "implicit", confidence=found.confidence)
        if labelled != earlier:
            report(labelled)
            await note_label(user_id, runtime.context)
            await watch(user_id)
    except (InputError, StoreError) as error:
        return {"degraded": [*state.get("degraded", []), f"feedback: {error}"]}
    return {}
