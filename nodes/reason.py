"""Think one step under the persona: call tools or answer."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langgraph.runtime import Runtime

from personaagent.context import Context
from personaagent.conversation import build_messages
from personaagent.errors import ModelOutputInvalid, ModelRefused
from personaagent.inputs import user_of
from personaagent.persona.loss import answer_from_text
from personaagent.ports import Models, Role
from personaagent.prompts import render
from personaagent.state import RespondState
from personaagent.turn import personalized, turn_start
from tools.calls import all_answered, calls_in_text, nothing_new
from tools.registry import ActionSpaces
from tools.repair import NOTE, call_schema, is_broken_call, repaired, sound_calls
from tools.space import ActionSpace

NO_ANSWER = "I could not work out an answer to this. Please ask again, or ask in other words."


async def reason(
    state: RespondState, runtime: Runtime[Context], *, models: Models, actions: ActionSpaces, max_steps: int
) -> dict[str, Any]:
    """Return the model's next message; with it ``answer`` once the turn is answered (paper, ``a_t ~ pi_P``).

    One model call where no tool is needed. In a closed answer space the answer is one of the choices, asked again by
    constrained output when the text names none. A tool call that came out broken is asked for again by constrained
    output, and the answer without tools where that gives none. A model that answers nothing degrades the turn. The
    last step binds no tool, and so does the one after results that say nothing new. Raises ModelUnreachable and
    ModelDenied.
    """
    context = runtime.context
    choices = list(context.choices or ())
    role: Role = "simulator" if state.get("before") else "agent"
    steps = state.get("steps", 0) + 1
    last = steps >= max_steps or nothing_new(state["messages"][turn_start(state["messages"]) :])
    personal, user_id = personalized(state, context), user_of(runtime)
    space = (
        await actions.of(user_id, state.get("persona"), context.tools, personal=personal)
        if models.tool_calling
        else None
    )
    tools = space.names if space else ()
    messages = build_messages(
        state, instructions=context.instructions, choices=choices, tools=tools, personalize=personal
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
        if reply.tool_calls and not all_answered(reply.tool_calls, state.get("trace", [])):
            return {"messages": [sound_calls(reply)], "steps": steps}
        broken = not reply.tool_calls and is_broken_call(reply, offered.names) and steps + 2 <= max_steps
        if broken:
            steps += 1
            call = await _asked_again(models, role, messages, reply, offered)
            if call is not None:
                return {"messages": [call], "steps": steps}
        if broken or reply.tool_calls:
            steps += 1
            if choices:
                return await _choose(models, role, messages, choices, state, steps)
            reply = await chat.ainvoke(_told_to_finish(messages))
    if choices:
        answer = answer_from_text(reply.text, choices)
        if answer is None:
            return await _choose(models, role, messages, choices, state, steps + 1)
        return _answered(answer, steps)
    if not reply.text.strip():
        return _unanswered(state, steps, "the model answered nothing")
    reply.tool_calls, reply.invalid_tool_calls = [], []
    return {"messages": [reply], "answer": reply.text.strip(), "steps": steps}


async def _asked_again(
    models: Models, role: Role, messages: list[BaseMessage], reply: AIMessage, space: ActionSpace
) -> AIMessage | None:
    """The call that the model meant, or None where it meant none or cannot give it in any form."""
    asked = [*messages, AIMessage(reply.text or "(a call that could not be read)"), HumanMessage(NOTE)]
    try:
        answer = await models.structured(role, asked, call_schema(space, reply))
    except (ModelOutputInvalid, ModelRefused):
        return None
    return repaired(reply, answer, space.names)


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
