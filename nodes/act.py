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
from personaagent.tools.registry import ActionSpaces, Result
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
    all of a step, before anything runs, and says what the calls would do where their tools can tell. In a simulation
    they are frozen instead, and memory tools see only what came before.
    """
    user_id, before = user_of(runtime), state.get("before")
    personal = personalized(state, runtime.context)
    space = await actions.of(user_id, state.get("persona"), runtime.context.tools, personal=personal)
    message = state["messages"][-1]
    calls = message.tool_calls if isinstance(message, AIMessage) else []
    known = known_addresses(state["messages"], space.searches)
    asked = [] if before else [c for c in calls if await actions.needs_approval(space, user_id, c, known)]
    decided = await _decided(asked, space, user_id, actions, config)
    for name in [c["name"] for c in asked if getattr(decided[c["id"]], "remember", False)]:
        await approve_for_good(user_id, name)

    async def run(call: ToolCall) -> tuple[ToolMessage, ToolTrace]:
        decision = decided.get(call["id"], NOT_ASKED)
        if not isinstance(decision, Decision):
            return _message(call, decision[0]), decision[1]
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


async def _decided(
    calls: Sequence[ToolCall], space: ActionSpace, user_id: str, actions: ActionSpaces, config: RunnableConfig
) -> dict[str | None, Decision | Result]:
    """What the user decides about each call that they are asked about, or how a call failed that could not be shown.

    Nobody can be asked in a run that keeps no thread.
    """
    seen = {call["id"]: await actions.preview(space, user_id, call) for call in calls}
    decided: dict[str | None, Decision | Result] = {
        key: told for key, told in seen.items() if not isinstance(told, str)
    }
    asked = [call for call in calls if call["id"] not in decided]
    if asked and "thread_id" not in config.get("configurable", {}):
        answers = [Decision(verb="reject", message="Nobody could be asked: the run has no thread.")] * len(asked)
    elif asked:
        told = [(spec, c["args"], str(seen[c["id"]])) for c in asked if (spec := space.get(c["name"]))]
        answers = parse_decisions(interrupt(approval_request(told)), len(asked))
    else:
        answers = []
    return decided | {call["id"]: answer for call, answer in zip(asked, answers, strict=True)}


def _message(call: ToolCall, text: str) -> ToolMessage:
    return ToolMessage(text, tool_call_id=call["id"] or "", name=call["name"])
