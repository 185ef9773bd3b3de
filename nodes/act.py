"""Carry out the tool calls of this step, all at once, for this user only."""

from __future__ import annotations

import asyncio
from typing import Any

from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime

from personaagent.context import Context
from personaagent.inputs import user_of
from personaagent.state import RespondState
from tools.registry import ActionSpaces


async def act(
    state: RespondState, runtime: Runtime[Context], config: RunnableConfig, *, actions: ActionSpaces
) -> dict[str, Any]:
    """Return one tool message a call, and the traces.

    A call outside the user's action space is refused here a second time, whatever was bound. In a simulation tools
    with side effects are frozen and memory tools see only what came before.
    """
    user_id = user_of(runtime)
    space = await actions.of(user_id, state.get("persona"), runtime.context.tools)
    message = state["messages"][-1]
    calls = message.tool_calls if isinstance(message, AIMessage) else []
    before = state.get("before")
    results = await asyncio.gather(
        *(
            actions.execute(
                space,
                user_id,
                call,
                before=before,
                thread_id=config.get("configurable", {}).get("thread_id"),
                simulate=before is not None,
                recorded=tuple(state.get("recorded", [])),
            )
            for call in calls
        )
    )
    answers = [
        ToolMessage(text, tool_call_id=call["id"] or "", name=call["name"])
        for call, (text, _) in zip(calls, results, strict=True)
    ]
    return {"messages": answers, "trace": [*state.get("trace", []), *(trace for _, trace in results)]}
