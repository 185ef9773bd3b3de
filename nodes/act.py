"""Carry out the tool calls of this step, all at once, for this user only."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from langchain_core.messages import AIMessage, ToolCall, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime
from langgraph.types import interrupt

from personaagent.context import Context
from personaagent.inputs import user_of
from personaagent.state import RespondState
from personaagent.tools.addresses import known_addresses
from personaagent.tools.approval import Decision, approval_request, parse_decisions
from personaagent.tools.registry import ActionSpaces
from personaagent.tools.space import ActionSpace
from personaagent.turn import personalized
from personaagent.types import ToolTrace

Remember = Callable[[str, str], Awaitable[None]]
NOT_ASKED = Decision(verb="approve")


async def act(
    state: RespondState,
    runtime: Runtime[Context],
    config: RunnableConfig,
    *,
    actions: ActionSpaces,
    approve_for_good: Remember,
) -> dict[str, Any]:
    """Return one tool message a call, and the traces.

    A call outside the user's action space is refused here a second time, whatever was bound. Tools with side effects,
    and calls to addresses that only the model names, wait for the user's approval: the graph is interrupted once for
    all of a step, before anything runs. In a simulation they are frozen instead, and memory tools see only what came
    before.
    """
    user_id, before = user_of(runtime), state.get("before")
    personal = personalized(state, runtime.context)
    space = await actions.of(user_id, state.get("persona"), runtime.context.tools, personal=personal)
    message = state["messages"][-1]
    calls = message.tool_calls if isinstance(message, AIMessage) else []
    known = known_addresses(state["messages"], space.searches)
    asked = [] if before else [c for c in calls if await actions.needs_approval(space, user_id, c, known)]
    decisions = _ask(space, asked, config)
    for call, decision in zip(asked, decisions, strict=True):
        if decision.remember:
            await approve_for_good(user_id, call["name"])
    decided = {call["id"]: decision for call, decision in zip(asked, decisions, strict=True)}

    async def run(call: ToolCall) -> tuple[ToolMessage, ToolTrace]:
        decision = decided.get(call["id"], NOT_ASKED)
        if decision.verb == "reject":
            text = f"The user did not allow {call['name']}. {decision.message}".strip()
            return _message(call, text), ToolTrace(name=call["name"], arguments=call["args"], outcome="rejected")
        text, trace = await actions.execute(
            space,
            user_id,
            call if decision.arguments is None else {**call, "args": dict(decision.arguments)},
            before=before,
            thread_id=config.get("configurable", {}).get("thread_id"),
            left=frozenset(state.get("left", ())),
            simulate=before is not None,
            recorded=tuple(state.get("recorded", [])),
            approved=call["id"] in decided,
            known=known,
        )
        return _message(call, text), trace

    results = await asyncio.gather(*(run(call) for call in calls))
    traces = [trace for _, trace in results]
    return {"messages": [answer for answer, _ in results], "trace": [*state.get("trace", []), *traces]}


def _ask(space: ActionSpace, calls: Sequence[ToolCall], config: RunnableConfig) -> list[Decision]:
    """What the user decides about each call; nobody can be asked in a run that keeps no thread."""
    if not calls:
        return []
    if "thread_id" not in config.get("configurable", {}):
        return [Decision(verb="reject", message="Nobody could be asked: the run has no thread.")] * len(calls)
    asked = [(spec, call["args"]) for call in calls if (spec := space.get(call["name"]))]
    return parse_decisions(interrupt(approval_request(asked)), len(calls))


def _message(call: ToolCall, text: str) -> ToolMessage:
    return ToolMessage(text, tool_call_id=call["id"] or "", name=call["name"])
