"""Think one step under the persona: call tools or answer."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, SystemMessage
from langgraph.runtime import Runtime

from personaagent.context import Context
from personaagent.conversation import build_messages
from personaagent.errors import ModelOutputInvalid
from personaagent.inputs import user_of
from personaagent.persona.loss import answer_from_text
from personaagent.ports import Models, Role
from personaagent.prompts import render
from personaagent.state import RespondState
from tools.calls import calls_in_text
from tools.registry import ActionSpaces

NO_ANSWER = "I could not work out an answer to this. Please ask again, or ask in other words."


async def reason(
    state: RespondState, runtime: Runtime[Context], *, models: Models, actions: ActionSpaces, max_steps: int
) -> dict[str, Any]:
    """Return the model's next message; with it ``answer`` once the turn is answered (paper, ``a_t ~ pi_P``).

    One model call where no tool is needed. In a closed answer space the answer is one of the choices, asked again by
    constrained output when the text names none. A model that answers nothing degrades the turn. The last step binds
    no tool. Raises ModelUnreachable and ModelDenied.
    """
    context = runtime.context
    choices = list(context.choices or ())
    role: Role = "simulator" if state.get("before") else "agent"
    steps = state.get("steps", 0) + 1
    last = steps >= max_steps
    space = await actions.of(user_of(runtime), state.get("persona"), context.tools) if models.tool_calling else None
    tools = space.describe() if space else []
    messages = build_messages(
        state, instructions=context.instructions, choices=choices, tools=tools, personalize=context.personalize
    )
    if choices and (last or not tools):
        return await _choose(models, role, messages, choices, state, steps)
    if last:
        messages = _told_to_finish(messages)
    chat = await models.chat(role)
    offered = space if tools and not last else None
    bound = chat.bind_tools(offered.bindings()) if offered else chat
    reply = await bound.ainvoke(messages)
    if offered:
        if not reply.tool_calls:
            reply = calls_in_text(reply, offered.names)
        if reply.tool_calls:
            return {"messages": [reply], "steps": steps}
    if choices:
        answer = answer_from_text(reply.text, choices)
        if answer is None:
            return await _choose(models, role, messages, choices, state, steps + 1)
        return _answered(answer, steps)
    if not reply.text.strip():
        return _unanswered(state, steps, "the model answered nothing")
    reply.tool_calls = []
    return {"messages": [reply], "answer": reply.text.strip(), "steps": steps}


async def _choose(
    models: Models, role: Role, messages: list[BaseMessage], choices: list[str], state: RespondState, steps: int
) -> dict[str, Any]:
    try:
        return _answered(await models.choose(role, messages, choices), steps)
    except ModelOutputInvalid as error:
        return _unanswered(state, steps, str(error))


def _answered(answer: str, steps: int) -> dict[str, Any]:
    return {"messages": [AIMessage(answer)], "answer": answer, "steps": steps}


def _unanswered(state: RespondState, steps: int, why: str) -> dict[str, Any]:
    return {
        "messages": [AIMessage(NO_ANSWER)],
        "answer": "",
        "steps": steps,
        "degraded": [*state.get("degraded", []), f"model: {why}"],
    }


def _told_to_finish(messages: list[BaseMessage]) -> list[BaseMessage]:
    """The same messages, with the word that no more tools are to be had; one system message, as templates want it."""
    return [SystemMessage(f"{messages[0].text}\n\n{render('last_answer')}"), *messages[1:]]
