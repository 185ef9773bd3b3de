"""Tool calls that came out broken: recognised, and asked for again by constrained output where that is to be had."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from langchain_core.messages import AIMessage, ToolCall

from personaagent.models.replies import is_call_alone
from personaagent.tools.calls import MAX_CALLS
from personaagent.tools.space import ActionSpace

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
