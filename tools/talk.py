"""What a model says where tools are offered: calls that can be carried out, or an answer, whatever form it came in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from personaagent.errors import ModelOutputInvalid, ModelRefused
from personaagent.ports import Models, Role
from personaagent.prompts import quote, render
from personaagent.tools.calls import all_answered, calls_in_text
from personaagent.tools.repair import NOTE, call_schema, is_broken_call, repaired, sound_calls
from personaagent.tools.space import ActionSpace
from personaagent.types import ToolTrace


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """The reply, with the tool calls to carry out or none; None where only an answer without tools is left to ask for.

    ``steps`` counts the model calls of the turn so far.
    """

    reply: AIMessage | None
    steps: int


async def ask_with_tools(
    models: Models,
    role: Role,
    messages: Sequence[BaseMessage],
    space: ActionSpace,
    *,
    trace: Sequence[ToolTrace],
    steps: int,
    max_steps: int,
) -> Said:
    """Ask the model with the space's tools bound. A call that came out broken is asked for again by constrained output.

    Calls that were all made before in this turn (``trace``) are not made again. Raises ModelError.
    """
    chat = await models.chat(role)
    reply = await chat.bind_tools(space.bindings).ainvoke(list(messages))
    if not reply.tool_calls:
        reply = calls_in_text(reply, space.parameters)
    if reply.tool_calls:
        repeated = all_answered(reply.tool_calls, trace)
        return Said(reply=None if repeated else sound_calls(reply), steps=steps)
    if is_broken_call(reply, space.names):
        if steps + 2 > max_steps:
            return Said(reply=None, steps=steps)
        return Said(reply=await _asked_again(models, role, messages, reply, space), steps=steps + 1)
    return Said(reply=reply, steps=steps)


def told_to_finish(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """The same messages, with the word that no more tools are to be had; one system message, as templates want it."""
    return [SystemMessage(f"{messages[0].text}\n\n{render('last_answer')}"), *messages[1:]]


def plain_talk(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """The same without any tool talk: the results stand behind the question, as part of it."""
    spoken = [m for m in messages if not isinstance(m, ToolMessage) and not (isinstance(m, AIMessage) and m.tool_calls)]
    results = [f"{m.name}: {m.text}" for m in messages if isinstance(m, ToolMessage)]
    if not results or not isinstance(spoken[-1], HumanMessage):
        return spoken
    asked = f"{spoken[-1].text}\n\n{quote(chr(10).join(results), 'tool results')}\n\n{render('last_answer')}"
    return [*spoken[:-1], HumanMessage(asked)]


async def _asked_again(
    models: Models, role: Role, messages: Sequence[BaseMessage], reply: AIMessage, space: ActionSpace
) -> AIMessage | None:
    """The call that the model meant, or None where it meant none or cannot give it in any form."""
    asked = [*messages, AIMessage(reply.text or "(a call that could not be read)"), HumanMessage(NOTE)]
    try:
        answer = await models.structured(role, asked, call_schema(space, reply))
    except (ModelOutputInvalid, ModelRefused):
        return None
    return repaired(reply, answer, space.names)
