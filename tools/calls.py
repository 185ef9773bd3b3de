"""Tool calls that a small model wrote as text: found, checked by name, and made real calls."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from itertools import takewhile
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from langchain_core.messages import AIMessage, AnyMessage, ToolCall, ToolMessage

from personaagent.types import ToolTrace

MAX_CHARS = 20_000
MAX_CALLS = 8
_DECODER = json.JSONDecoder()


def calls_in_text(message: AIMessage, names: Collection[str]) -> AIMessage:
    """The message with the calls that its text holds, or the same message when it holds none.

    A call is a JSON object, bare, fenced, tagged or in a list, with a ``name`` among ``names`` and arguments. JSON
    that names no tool is an answer, and stays one. Ids follow from the content, so that a replay gives the same.
    """
    if message.tool_calls:
        return message
    calls: list[ToolCall] = []
    for found in _objects(message.text[:MAX_CHARS]):
        call = _call(found, names)
        if call is not None and call not in calls:
            calls.append(call)
    if not calls:
        return message
    numbered: list[ToolCall] = [
        {**call, "id": f"call_{uuid5(NAMESPACE_URL, f'{message.id}{index}{call}').hex[:24]}"}
        for index, call in enumerate(calls[:MAX_CALLS])
    ]
    return AIMessage(
        content="", tool_calls=numbered, id=message.id, usage_metadata=message.usage_metadata,
        response_metadata=message.response_metadata,
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


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """Every outermost JSON object in the text, also those inside lists; anything else is passed over."""
    at = 0
    while (start := text.find("{", at)) >= 0:
        try:
            value, at = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            at = start + 1
            continue
        if isinstance(value, dict):
            yield value


def _call(found: dict[str, Any], names: Collection[str]) -> ToolCall | None:
    function = found.get("function")
    if isinstance(function, dict):
        found = function
    elif isinstance(function, str) and "name" not in found:
        found = {**found, "name": function}
    name = found.get("name", found.get("tool"))
    if not isinstance(name, str) or name not in names:
        return None
    for key in ("arguments", "parameters", "args", "input"):
        if key in found:
            return _with(name, found[key])
    return None


def _with(name: str, arguments: object) -> ToolCall | None:
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError):
            return None
    return ToolCall(name=name, args=arguments, id=None, type="tool_call") if isinstance(arguments, dict) else None
