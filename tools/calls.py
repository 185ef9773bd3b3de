"""Tool calls that a small model wrote as text: found, checked by name, and made real calls."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import takewhile

from langchain_core.messages import AIMessage, AnyMessage, ToolCall, ToolMessage

from personaagent.models.replies import calls_of, numbered
from personaagent.types import ToolTrace

MAX_CALLS = 8


def calls_in_text(message: AIMessage, names: Collection[str]) -> AIMessage:
    """The message with the calls that its text holds, or the same message when it holds none.

    ``names``: of the tools, with their parameters where these are known (``models.calls_in_text``). JSON that names no
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
