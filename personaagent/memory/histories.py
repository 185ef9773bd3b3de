"""The histories that people have: what other assistants export, and plain tables, read as rows of an import.

Recognised by what is in them: ChatGPT's ``conversations.json`` (the branch that is in sight), Claude's export,
conversations as ``messages`` with roles, CSV with a header, a JSON array of rows, and rows a line. Only what the user
wrote is taken from a conversation; it says nothing of what they really wanted, so these rows have no ``response``.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

Row = dict[str, Any]
Place = tuple[str, Row | ValueError]  # where it stands ("conversation 3, message 2"), and the row or what is wrong

MAX_DEPTH: Final = 100
HEAD_CHARS: Final = 20_000
IMAGE: Final = "[image]"
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_COLUMNS: Final = {
    "query": ("query", "prompt", "question", "message", "content", "text", "input"),
    "response": ("response", "answer", "ground_truth", "output", "completion"),
    "created_at": ("created_at", "date", "time", "timestamp", "datetime", "create_time"),
    "thread_id": ("thread_id", "conversation_id", "conversation", "thread", "session_id"),
    "role": ("role", "sender", "author"),
    "task": ("task",),
}
_USER: Final = {"user", "human"}


def is_array(head: bytes) -> bool:
    """Whether a file that begins so is one JSON array of objects rather than rows a line."""
    return re.match(rb"\s*\[\s*(?:\{|\]|$)", head) is not None


def is_table(head: bytes) -> bool:
    """Whether a file that begins so is CSV with a header that names what a user asked."""
    names = {name.strip(' "').lower() for name in re.split(r"[,;\t]", head.split(b"\n")[0].decode("utf-8", "replace"))}
    return len(names) > 1 and not names.isdisjoint(_COLUMNS["query"])


def rows_of_array(text: str) -> Iterator[Place]:
    """The rows of a JSON array, one element after the other, so that an odd one costs no other."""
    for number, element in enumerate(_elements(text), start=1):
        try:
            given = parsed(element)
        except ValueError as error:
            yield f"entry {number}", error
            continue
        yield from rows_of(given, f"entry {number}")


def rows_of_table(text: str) -> Iterator[Place]:
    """The rows of a CSV file; one whose role is not the user's is passed over."""
    first = text.split("\n", 1)[0]
    reader = csv.reader(io.StringIO(text), delimiter=max(",;\t", key=first.count))
    header = [name.strip().lower() for name in next(reader, [])]
    columns = {
        field: next((header.index(name) for name in names if name in header), None) for field, names in _COLUMNS.items()
    }
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield str(reader.line_num), ValueError(f"the row is no CSV: {error}")
            continue
        found = {field: cells[at] for field, at in columns.items() if at is not None and at < len(cells) and cells[at]}
        if found and found.pop("role", "user").lower() in _USER:
            yield str(reader.line_num), dict(found)


def rows_of(given: Any, place: str) -> Iterator[Place]:
    """The rows of one parsed value: a conversation of one of the known forms, or a row as it is."""
    read = next((reader for key, reader in _FORMS.items() if isinstance(given, dict) and key in given), None)
    if read is None:
        yield place, given if isinstance(given, dict) else ValueError(_NO_OBJECT.format(kind=kind_of(given)))
        return
    try:
        yield from ((f"{place}, message {number}", row) for number, row in enumerate(read(given), start=1))
    except (TypeError, KeyError, AttributeError, ValueError, IndexError) as error:
        yield place, ValueError(f"the conversation cannot be read ({type(error).__name__}: {str(error)[:80]})")


def form_of(given: Any) -> str:
    """What one parsed value is called."""
    if isinstance(given, dict):
        return next((name for key, name in _NAMES.items() if key in given), "rows")
    return "rows"


def form_of_array(text: str) -> str:
    """The same of an array by its beginning: not all of its elements need be sound."""
    return next((name for key, name in _NAMES.items() if f'"{key}"' in text[:HEAD_CHARS]), "rows")


def parsed(text: str) -> Any:
    """JSON of a depth that can be kept; raises ValueError with what is wrong."""
    try:
        given = json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise ValueError(f"the line is not JSON: {error.msg} at column {error.colno}") from None
    except RecursionError:
        raise ValueError("the line is nested too deeply") from None
    # a conversation's tree of messages is flat in these files, whatever their number
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth(text) > MAX_DEPTH:
        raise ValueError("the line is nested too deeply")
    return given


def _branch(given: Row) -> list[Row]:
    """The messages of a conversation that are in sight, oldest first."""
    nodes: Mapping[str, Any] = given["mapping"]
    here: Any = given.get("current_node")
    if here not in nodes:  # the newest message is in sight
        here = max(nodes, key=lambda key: (nodes[key].get("message") or {}).get("create_time") or 0, default=None)
    branch: dict[Any, Row] = {}
    while here in nodes and here not in branch:
        branch[here] = nodes[here].get("message") or {}
        here = nodes[here].get("parent")
    return list(branch.values())[::-1]


def _chatgpt(given: Row) -> Iterator[Row]:
    thread = given.get("conversation_id") or given.get("id")
    for message in _branch(given):
        content, kept = message.get("content") or {}, message.get("metadata") or {}
        if (message.get("author") or {}).get("role") != "user" or kept.get("is_visually_hidden_from_conversation"):
            continue
        if content.get("content_type", "text") in {"text", "multimodal_text"}:
            moment = message.get("create_time") or given.get("create_time")
            yield from _said(_joined(content.get("parts")), moment, thread)


def _claude(given: Row) -> Iterator[Row]:
    messages = given["chat_messages"]
    known = {message.get("uuid"): message for message in messages}
    if given.get("current_leaf_message_uuid") in known:
        branch, here = [], given["current_leaf_message_uuid"]
        while here in known:
            branch.append(known.pop(here))
            here = branch[-1].get("parent_message_uuid")
        messages = branch[::-1]
    for message in messages:
        if message.get("sender") in _USER:
            text = message.get("text") or _joined(message.get("content"))
            moment = message.get("created_at") or given.get("created_at")
            yield from _said(text, moment, given.get("uuid"))


def _messages(given: Row) -> Iterator[Row]:
    thread = given.get("id") or given.get("conversation_id") or given.get("thread_id")
    for message in given["messages"]:
        if message.get("role") in _USER:
            moment = next((v for v in (message.get(k) for k in ("created_at", "timestamp", "create_time")) if v), None)
            moment = moment or given.get("created_at") or given.get("created") or given.get("timestamp")
            yield from _said(_joined(message.get("content")), moment, thread)


def _said(text: str, moment: Any, thread: Any) -> Iterator[Row]:
    if text.strip():
        yield {"query": text, "created_at": _time(moment), "thread_id": str(thread) if thread else None}


def _joined(content: Any) -> str:
    """The text of a message's content: plain, or parts of text and of what is not text."""
    if isinstance(content, str):
        return content
    parts = []
    for part in content or []:
        if isinstance(part, str):
            parts.append(part)
        elif isinstance(part, dict):
            text = part.get("text")
            kind = str(part.get("type") or part.get("content_type") or "")
            parts.append(text if isinstance(text, str) else IMAGE if "image" in kind else "")
    return "\n".join(part for part in parts if part)


def _time(moment: Any) -> Any:
    """Seconds or milliseconds since 1970 as a time; a text as it is."""
    if isinstance(moment, int | float) and not isinstance(moment, bool) and 0 < moment < 1e14:
        return datetime.fromtimestamp(moment / 1_000 if moment > 1e11 else moment, UTC).isoformat()
    return moment


def _elements(text: str) -> Iterator[str]:
    """The texts of the elements of a JSON array; what is cut off at the end comes as it is."""
    depth, start = 0, text.index("[") + 1
    for token in _TOKEN.finditer(text):
        mark = token[0]
        if mark in "[{":
            depth += 1
            if depth == 2:
                start = token.start()
        elif mark in "]}":
            depth -= 1
            if depth == 1:
                yield text[start : token.end()]
                start = token.end()
    rest = text[start:].strip(" \t\r\n,]")
    if rest:
        yield rest


def _depth(text: str) -> int:
    depth = deepest = 0
    for token in _TOKEN.finditer(text):
        depth += 1 if token[0] in "[{" else -1 if token[0] in "]}" else 0
        deepest = max(deepest, depth)
    return deepest


def kind_of(value: Any) -> str:
    """What a JSON value is called."""
    names = {bool: "a truth value", int: "a number", float: "a number", list: "a list", dict: "an object", str: "text"}
    return names.get(type(value), "null")


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_NO_OBJECT: Final = 'the line is {kind}, not an object like {{"query": ..., "response": ...}}'
_FORMS: Final = {"mapping": _chatgpt, "chat_messages": _claude, "messages": _messages}
_NAMES: Final = {"mapping": "ChatGPT export", "chat_messages": "Claude export", "messages": "conversations"}
