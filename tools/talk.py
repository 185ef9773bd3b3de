"""What a model says where tools are offered: calls that can be carried out, or an answer, whatever form it came in."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from langchain_core.messages import (
    AIMessage,
    AnyMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolCall,
    ToolMessage,
)

from personaagent.errors import ModelOutputInvalid, ModelRefused
from personaagent.models.replies import calls_of, is_call_alone, numbered
from personaagent.ports import Models, Role
from personaagent.prompts import quote, render
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


READ_CHARS = 20_000
NOTE = (
    "What you just wrote is not a valid tool call. If you meant to call a tool, give that call now: its name and its "
    'arguments. If you meant to answer, give the tool "none".'
)
_TAG = re.compile(r"<\|?(?:tool_call|function_call|tool|function)\b|\[TOOL_CALLS\]", re.IGNORECASE)
_KEYS = re.compile(r"[\"'](?:arguments|parameters|args|tool_input)[\"']\s*:")


def sound_calls(message: AIMessage) -> AIMessage:
    """The message with calls that can be carried out: at most ``MAX_CALLS``, each under an id of its own.

    Endpoints leave ids out or repeat them, and answers and approvals go by id. Calls that could not be read are
    dropped where others can be: sent back, an endpoint would want an answer to them.
    """
    calls: list[ToolCall] = []
    seen: set[str] = set()
    for index, call in enumerate(message.tool_calls[:MAX_CALLS]):
        key = call["id"] or ""
        if not key or key in seen:
            key = _id(message.id, f"{index}{call['name']}")
        seen.add(key)
        calls.append({**call, "id": key})
    if calls == message.tool_calls and not message.invalid_tool_calls:
        return message
    return AIMessage(
        content=message.content, tool_calls=calls, id=message.id, usage_metadata=message.usage_metadata,
        response_metadata=message.response_metadata,
    )  # fmt: skip


def is_broken_call(message: AIMessage, names: Collection[str]) -> bool:
    """Whether a message without calls was meant to be one: the endpoint could not read it, or its text looks like it.

    That is a tool-call tag, JSON-like text with a key for arguments that names a tool or is nothing but a call, or a
    tool's name in front of a bracket at the start of the text. Prose that speaks of a tool is an answer.
    """
    if message.tool_calls:
        return False
    if message.invalid_tool_calls:
        return True
    text = message.text[:READ_CHARS].strip()
    if _TAG.search(text):
        return True
    if "{" in text and _KEYS.search(text):
        return any(name in text for name in names) or is_call_alone(text)
    named = "|".join(map(re.escape, names))
    return (
        bool(named)
        and re.match(rf"(?:```\w*\s*|(?:action|call|tool)\s*:\s*)?(?:{named})\s*[({{]", text, re.I) is not None
    )


def call_schema(space: ActionSpace, message: AIMessage) -> dict[str, Any]:
    """The JSON schema of one call of a tool of the space, or of ``none``; only of the tools that the message names."""
    written = message.text + " ".join(str(call["name"]) for call in message.invalid_tool_calls)
    specs = [spec for spec in space.specs if spec.name in written] or list(space.specs)
    forms = [_form(spec.name, spec.schema) for spec in specs]
    return {
        "title": "ToolCall",
        "type": "object",
        "properties": {"call": {"anyOf": [*forms, _form("none", {"type": "object", "properties": {}})]}},
        "required": ["call"],
        "additionalProperties": False,
    }


def repaired(message: AIMessage, answer: Mapping[str, Any], names: Collection[str]) -> AIMessage | None:
    """The message with the call that the answer to ``call_schema`` gives; None where it is none."""
    call = answer.get("call")
    if not isinstance(call, Mapping) or call.get("tool") not in names or not isinstance(call.get("arguments"), Mapping):
        return None
    name = str(call["tool"])
    made = ToolCall(name=name, args=dict(call["arguments"]), id=_id(message.id, f"repaired{name}"), type="tool_call")
    return AIMessage(content="", tool_calls=[made], id=message.id)


def _form(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    # definitions are referred to from the root of a schema, which this is not
    nested = "$defs" in arguments or "$ref" in str(arguments)
    return {
        "type": "object",
        "properties": {
            "tool": {"type": "string", "enum": [name]},
            "arguments": {"type": "object"} if nested else {"type": "object", **arguments},
        },
        "required": ["tool", "arguments"],
        "additionalProperties": False,
    }


def _id(message_id: str | None, what: str) -> str:
    """An id that a replay of the same message repeats."""
    return f"call_{uuid5(NAMESPACE_URL, f'{message_id}{what}').hex[:24]}"


MAX_CALLS = 8


def calls_in_text(message: AIMessage, names: Collection[str]) -> AIMessage:
    """The message with the calls that its text holds, or the same message when it holds none.

    ``names``: of the tools, with their parameters where these are known (``models.replies``). JSON that names no
    tool is an answer, and stays one. Ids follow from the content, so that a replay gives the same.
    """
    if message.tool_calls:
        return message
    calls = calls_of(message.text, names)
    if not calls:
        return message
    return AIMessage(
        content="", tool_calls=numbered(calls[:MAX_CALLS], message.id), id=message.id,
        usage_metadata=message.usage_metadata, response_metadata=message.response_metadata,
    )  # fmt: skip


def all_answered(calls: Sequence[ToolCall], traces: Sequence[ToolTrace]) -> bool:
    """Whether every one of the calls was made before in this turn and did not fail: making it again teaches nothing."""
    had = [(trace.name, dict(trace.arguments)) for trace in traces if trace.outcome not in {"error", "timeout"}]
    return all((call["name"], call["args"]) in had for call in calls)


def nothing_new(turn: Sequence[AnyMessage]) -> bool:
    """Whether the newest results of a turn only repeat what earlier ones said: more calls would do no better."""
    newest = list(takewhile(lambda message: isinstance(message, ToolMessage), reversed(turn)))
    earlier = {message.text for message in turn[: len(turn) - len(newest)] if isinstance(message, ToolMessage)}
    return bool(newest) and all(message.text in earlier for message in newest)
