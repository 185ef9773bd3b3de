"""The answer in the form that the persona and the pins state."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from langchain_core.runnables.config import ensure_config, var_child_runnable_config
from langgraph.constants import TAG_NOSTREAM
from langgraph.runtime import Runtime

from personaagent.context import Context
from personaagent.persona.keeping import keeper
from personaagent.persona.render import stated
from personaagent.state import RespondState
from personaagent.turn import personalized, query_of

Reason = Callable[[RespondState, Runtime[Context]], Awaitable[dict[str, Any]]]


async def stated_form(state: RespondState, runtime: Runtime[Context], *, reason: Reason) -> dict[str, Any]:
    """Return what ``reason`` returns, an answer in free text as the persona and the pins want it.

    Only what a machine can do is done (``persona.keeping``), after the model wrote. An answer that may be changed is
    streamed as a whole. Raises what ``reason`` raises.
    """
    context, query = runtime.context, query_of(state["messages"])
    free = not context.choices and personalized(state, context)
    clauses = stated(state.get("persona"), state.get("pins", [])) if free else []
    keep = keeper(clauses, query)
    if keep is None:
        return await reason(state, runtime)
    with unstreamed():
        said = await reason(state, runtime)
    answer = said.get("answer")
    if not answer or (formed := keep(answer)) == answer:
        return said
    reply = said["messages"][-1].model_copy(update={"content": formed})
    return said | {"messages": [*said["messages"][:-1], reply], "answer": formed}


@contextmanager
def unstreamed() -> Iterator[None]:
    """Within it no model's words are streamed by LangGraph as they come: the node's message is, when it is done."""
    config = ensure_config()
    token = var_child_runnable_config.set({**config, "tags": [*(config.get("tags") or ()), TAG_NOSTREAM]})
    try:
        yield
    finally:
        var_child_runnable_config.reset(token)
