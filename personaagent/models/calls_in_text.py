"""Tool calls that a model wrote as text: found, checked by name, and kept away from whoever reads the answer."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from langchain_core.messages import AIMessage, BaseMessage, ToolCall
from langchain_core.messages.tool import ToolCallChunk, tool_call_chunk

MAX_CHARS: Final = 20_000
_DECODER = json.JSONDecoder()
_OPENS = re.compile(r"```|<\|?(?:tool_call|function_call|tool)|\[TOOL_CALLS\]|\{", re.IGNORECASE)
_MAY_OPEN = re.compile(r"(?:`{1,2}|<\|?\w{0,13}|\[[A-Z_]{0,11})$", re.IGNORECASE)
_FENCE = re.compile(r"\A```\w*\s*|\s*```\Z")
_MAY_BE_CALL = re.compile(r"\s*(?:`{1,2}\Z|```\w*\s*(?:\{|\Z)|\{)")
_WRAPPED = re.compile(
    r"```(?:json|tool_call|xml)?\s*\n(?P<fenced>.*?)```|<\|?(?P<tag>tool_call|function_call|tool)\|?>.*?"
    r"(?:</?\|?/?(?P=tag)\|?>|\Z)|\[TOOL_CALLS\].*",
    re.DOTALL | re.IGNORECASE,
)


def calls_of(text: str, names: Collection[str]) -> list[ToolCall]:
    """The calls that a text holds, each once, without ids.

    A call is a JSON object, bare, fenced, tagged or in a list, with a ``name`` among ``names`` and arguments. JSON
    that names no tool is an answer.
    """
    calls: list[ToolCall] = []
    for found, _, _ in _objects(text[:MAX_CHARS]):
        call = _call(found, names)
        if call is not None and call not in calls:
            calls.append(call)
    return calls


def without_calls(text: str, names: Collection[str]) -> str:
    """The text without the calls in it and what they are wrapped in; the same text where it holds none."""
    if not names or not calls_of(text, names):
        return text

    def emptied(found: re.Match[str]) -> str:
        return "" if calls_of(found[0], names) else found[0]

    rest = _WRAPPED.sub(emptied, text)
    for _, start, end in reversed([o for o in _objects(rest[:MAX_CHARS]) if _call(o[0], names) is not None]):
        rest = rest[:start] + rest[end:]
    return re.sub(r"\A[\[\],\s]*\Z", "", rest).strip()


def is_call_alone(text: str) -> bool:
    """Whether a text is one call and nothing else, of a tool of whatever name, fenced or not."""
    bare = _FENCE.sub("", text[:MAX_CHARS].strip())
    found = next(_objects(bare), None)
    return found is not None and found[1:] == (0, len(bare)) and _call(found[0], None) is not None


def spoken(text: str, names: Collection[str]) -> str:
    """What of a text is said to the user: it without calls, nothing where it is one call of whatever tool."""
    return "" if is_call_alone(text) else without_calls(text, names)


def may_be_call(text: str) -> bool:
    """Whether a text that is still being written is one call and nothing else so far, or may become one."""
    if not _MAY_BE_CALL.match(text) or len(text) > MAX_CHARS:
        return False
    bare = _FENCE.sub("", text.strip())
    return not bare.startswith("{") or _end(bare) is None or is_call_alone(text)


def numbered(calls: Sequence[ToolCall], key: str | None) -> list[ToolCall]:
    """The calls under ids that follow from their content, so that a replay gives the same."""
    return [
        {**call, "id": f"call_{uuid5(NAMESPACE_URL, f'{key}{index}{call}').hex[:24]}"}
        for index, call in enumerate(calls)
    ]


def names_in(tools: Any, messages: Sequence[BaseMessage]) -> frozenset[str]:
    """The names of the tools that are bound or were called: what a call in a text may be of."""
    bound = {tool["function"]["name"] for tool in tools or () if "function" in tool}
    called = {call["name"] for m in messages if isinstance(m, AIMessage) for call in m.tool_calls}
    return frozenset(bound | called)


class CallFilter:
    """Of a stream of text: what looks like a call is held back until it is one, or is let go of."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = names
        self._held = ""
        self.found: list[ToolCall] = []

    def feed(self, piece: str) -> str:
        """What of the text so far is answer and was not given back yet."""
        if not self._names:
            return piece
        self._held += piece
        given = ""
        while opening := _OPENS.search(self._held):
            given, self._held = given + self._held[: opening.start()], self._held[opening.start() :]
            end = _end(self._held)
            if end is None:
                return given
            given += self._settled(self._held[:end])
            self._held = self._held[end:]
        rest = _MAY_OPEN.search(self._held)
        keep = rest.start() if rest else len(self._held)
        given, self._held = given + self._held[:keep], self._held[keep:]
        return given

    def end(self) -> str:
        """What was held back and is answer after all."""
        held, self._held = self._held, ""
        return self._settled(held)

    def chunks(self) -> list[ToolCallChunk]:
        """The calls that were found, for the stream's last chunk."""
        return [
            tool_call_chunk(name=call["name"], args=json.dumps(call["args"]), id=call["id"], index=index)
            for index, call in enumerate(numbered(self.found, "text"))
        ]

    def _settled(self, text: str) -> str:
        calls = calls_of(text, self._names)
        self.found += [call for call in calls if call not in self.found]
        return without_calls(text, self._names) if calls else text


def _end(held: str) -> int | None:
    """Where what begins here ends; None while it goes on. What never ends is let go of at ``MAX_CHARS``."""
    if len(held) > MAX_CHARS:
        return len(held)
    if held.startswith("{"):
        try:
            return _DECODER.raw_decode(held)[1]
        except json.JSONDecodeError as error:
            return 1 if error.pos < len(held) - 1 and not _open_text(error) else None
        except (ValueError, RecursionError):
            return 1
    if held.startswith("```"):
        closing = held.find("```", 3)
        return None if closing < 0 else closing + 3
    closing = held.find("</", 1)
    return None if closing < 0 or ">" not in held[closing:] else held.index(">", closing) + 1


def _open_text(error: json.JSONDecodeError) -> bool:
    return error.msg.startswith("Unterminated string")


def _objects(text: str) -> Iterator[tuple[dict[str, Any], int, int]]:
    """Every outermost JSON object in the text, also those inside lists, and where it is; all else is passed over."""
    at = 0
    while (start := text.find("{", at)) >= 0:
        try:
            value, at = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            at = start + 1
            continue
        if isinstance(value, dict):
            yield value, start, at


def _call(found: dict[str, Any], names: Collection[str] | None) -> ToolCall | None:
    """The call that an object is, of one of the names (None: of any); None where it is none."""
    function = found.get("function")
    if isinstance(function, dict):
        found = function
    elif isinstance(function, str) and "name" not in found:
        found = {**found, "name": function}
    name = found.get("name", found.get("tool"))
    if not isinstance(name, str) or (names is not None and name not in names):
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
