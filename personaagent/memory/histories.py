"""The histories that people have: what other assistants export, and plain tables, read as rows of an import.

Recognised by what is in them: ChatGPT's and DeepSeek's conversations (the branch that is in sight), Claude's export,
Gemini's activity in a Takeout, conversations as lists of messages whatever their keys are called, CSV with a header, a
JSON array of rows, and rows a line; the archive as it was downloaded, too. Only what the user wrote is taken from a
conversation; it says nothing of what they really wanted, so these rows have no ``response``.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

Row = dict[str, Any]
Place = tuple[str, Row | ValueError]  # where it stands ("conversation 3, message 2"), and the row or what is wrong

MAX_DEPTH: Final = 100
IMAGE: Final = "[image]"
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_COLUMNS: Final = {
    "query": ("query", "prompt", "question", "message", "content", "text", "input", "instruction", "value", "frage"),
    "response": ("response", "answer", "ground_truth", "antwort"),
    "created_at": ("created_at", "createdat", "date", "time", "timestamp", "datetime", "create_time", "created",
                   "creation_time", "inserted_at", "datum"),
    "thread_id": ("thread_id", "conversation_id", "conversation", "thread", "session_id", "chatid", "chat_id"),
    "role": ("role", "sender", "author", "from", "type", "rolle"),
    "task": ("task",),
}  # fmt: skip
_USER: Final = {"user", "human", "you", "me", "prompter"}
_OTHERS: Final = {"assistant", "ai", "bot", "gpt", "chatgpt", "claude", "gemini", "model", "system", "tool", "function",
                  "developer"}  # fmt: skip
_DELIMITERS: Final = ",;\t|"
_PROMPTED: Final = re.compile(r"^(?:Prompted|Said|Asked)\s+|^[^:]{3,30}:\s+")  # in front of a prompt in a Takeout
MAX_LEVELS: Final = 6  # of lists and objects around a conversation


def is_array(head: str) -> bool:
    """Whether a text that begins so is one JSON array of objects rather than rows a line."""
    return re.match(r"\s*\[\s*(?:[\[{]|\]|$)", head) is not None


def is_table(head: str) -> bool:
    """Whether a text that begins so is CSV with a header that names what a user asked."""
    if head.lstrip().startswith(("{", "[")):
        return False
    first = re.sub(r"\Asep=.\s*", "", head.lstrip()).splitlines()[:1]
    names = {name.strip(' "').lower() for line in first for name in re.split(f"[{_DELIMITERS}]", line)}
    return not names.isdisjoint(_COLUMNS["query"])


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
    text = re.sub(r"\Asep=.\n", "", text.lstrip().replace("\r\n", "\n").replace("\r", "\n"))
    first = text.split("\n", 1)[0]
    reader = csv.reader(io.StringIO(text), delimiter=max(_DELIMITERS, key=first.count))
    header = [name.strip().lower() for name in next(reader, [])]
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield str(reader.line_num), ValueError(f"the row is no CSV: {error}")
            continue
        row = _by_columns({name: cell for name, cell in zip(header, cells, strict=False) if cell})
        if row is not None and any(cells):
            yield str(reader.line_num), row


def rows_of(given: Any, place: str) -> Iterator[Place]:
    """The rows of one parsed value: a conversation of one of the known forms, several in a list or an object, or a row.

    Messages of others than the user give none.
    """
    reader = _reader(given)
    if reader is not None:
        try:
            yield from ((f"{place}, message {number}", row) for number, row in enumerate(reader(given), start=1))
        except (TypeError, KeyError, AttributeError, ValueError, IndexError) as error:
            yield place, ValueError(f"the conversation cannot be read ({type(error).__name__}: {str(error)[:80]})")
        return
    inner = _inside(given)
    if inner is not None:
        for number, one in enumerate(inner, start=1):
            yield from rows_of(one, f"{place}, entry {number}" if len(inner) > 1 else place)
    elif not isinstance(given, dict):
        yield place, ValueError(_NO_OBJECT.format(kind=kind_of(given)))
    elif "query" in given:
        yield place, given
    elif (row := _by_columns({str(key).lower(): value for key, value in given.items()})) is not None:
        yield place, row


def form_of(given: Any, levels: int = MAX_LEVELS) -> str:
    """What one parsed value is called."""
    reader = _reader(given)
    if reader is not None:
        return _NAMES[reader]
    inner = _inside(given) if levels else None
    return form_of(inner[0], levels - 1) if inner else _NAMES[_messages] if _said_by(given) else "rows"


def form_of_array(text: str) -> str:
    """The same of an array by its beginning: not all of its elements need be sound."""
    for element in islice(_elements(text), 20):
        try:
            found = form_of(parsed(element))
        except ValueError:
            continue
        if found != "rows":
            return found
    return "rows"


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


def _reader(given: Any) -> Callable[[Any], Iterator[Row]] | None:
    """What reads the value as one conversation; None where it is none."""
    if isinstance(given, list):
        return _messages if given and _said_by(given[0]) is not None else None
    if not isinstance(given, dict) or "query" in given:
        return None
    if isinstance(given.get("title"), str) and {"header", "products"} & set(given) and "time" in given:
        return _gemini
    known = next((reader for key, reader in _FORMS.items() if key in given), None)
    return known or (_messages if _spoken(given) is not None else None)


def _inside(given: Any) -> list[Any] | None:
    """The values in which conversations may be: of a list, or of an object that is but a cover."""
    if isinstance(given, list):
        return given if _of_values(given) else None
    if not isinstance(given, dict) or "query" in given or _said_by(given) is not None:
        return None
    lists = list(filter(_of_values, given.values()))
    known = [found for found in lists if _reader(found) or _reader(found[0])] or lists
    return known[0] if len(known) == 1 else None


def _of_values(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict | list) for one in value)


def _said_by(message: Any) -> str | None:
    """Who said a message, in lower case; None where the value is no message of anybody known."""
    if not isinstance(message, dict):
        return None
    for key in _COLUMNS["role"]:
        who = message.get(key)
        who = who.get("role") if isinstance(who, dict) else who
        if isinstance(who, str) and who.lower() in _USER | _OTHERS:
            return who.lower()
    return None


def _by_columns(given: Row) -> Row | None:
    """A row under the names of our own, by what its keys (in lower case) usually mean; None where another said it."""
    role = _said_by(given)
    if role in _OTHERS:
        return None
    row = {}
    for field, names in _COLUMNS.items():
        key = next((name for name in names if given.get(name) not in (None, "")), None)
        if key is not None and field != "role":
            row[field] = given[key]
    if role is not None:
        row.pop("response", None)
        row["query"] = _joined(row.get("query"))
    elif any(isinstance(given.get(key), str) for key in _COLUMNS["role"] if key != "type"):
        return None  # somebody's of whom it is not known that they are the user
    return row | {key: given[key] for key in ("choices", "metadata") if key in given} | _dated(row)


def _dated(row: Row) -> Row:
    return {"created_at": _time(row["created_at"])} if "created_at" in row else {}


def _branch(given: Row) -> list[Row]:
    """The messages of a conversation that are in sight, oldest first."""
    nodes: Mapping[str, Any] = given["mapping"]
    here: Any = given.get("current_node")
    if here not in nodes:  # the newest message is in sight
        here = max(nodes, key=lambda key: str(_moment_of(nodes[key].get("message") or {}) or ""), default=None)
    branch: dict[Any, Row] = {}
    while here in nodes and here not in branch:
        branch[here] = nodes[here].get("message") or {}
        here = nodes[here].get("parent")
    return list(branch.values())[::-1]


def _moment_of(message: Row) -> Any:
    """When a message was written, under any of the names for that."""
    named = {str(key).lower(): value for key, value in message.items()}
    return next((named[name] for name in _COLUMNS["created_at"] if named.get(name)), None)


def _chatgpt(given: Row) -> Iterator[Row]:
    thread = given.get("conversation_id") or given.get("id")
    for message in _branch(given):
        moment = _moment_of(message) or _moment_of(given)
        parts = [p.get("content") for p in message.get("fragments") or () if p.get("type") == "REQUEST"]  # DeepSeek's
        yield from _said("\n".join(filter(None, parts)), moment, thread)
        content, kept = message.get("content") or {}, message.get("metadata") or {}
        if (message.get("author") or {}).get("role") != "user" or kept.get("is_visually_hidden_from_conversation"):
            continue
        if content.get("content_type", "text") in {"text", "multimodal_text"}:
            yield from _said(_joined(content.get("parts")), moment, thread)


def _claude(given: Row) -> Iterator[Row]:
    messages = given["chat_messages"]
    known = {message["uuid"]: message for message in messages if message.get("uuid")}
    leaf = given.get("current_leaf_message_uuid")
    if leaf not in known and any(message.get("parent_message_uuid") in known for message in messages):
        leaf = messages[-1].get("uuid")  # the newest is in sight
    if leaf in known:
        branch, here = [], leaf
        while here in known:
            branch.append(known.pop(here))
            here = branch[-1].get("parent_message_uuid")
        messages = branch[::-1]
    for message in messages:
        if message.get("sender") in _USER:
            text = message.get("text") or _joined(message.get("content"))
            yield from _said(text, _moment_of(message) or _moment_of(given), given.get("uuid"))


def _spoken(given: Row) -> list[Any] | None:
    """The messages of an object that is a conversation, straight in it or in its ``chat``."""
    for value in (given, given.get("chat")):
        if isinstance(value, dict):
            for inner in value.values():
                if isinstance(inner, list) and inner and _said_by(_bare(inner[0])) is not None:
                    return inner
    return None


def _bare(message: Any) -> Any:
    """A message without the object around it (``{"response": {…}}``)."""
    if isinstance(message, dict) and len(message) == 1 and isinstance(inner := next(iter(message.values())), dict):
        return inner
    return message


def _messages(given: Any) -> Iterator[Row]:
    outer = given if isinstance(given, dict) else {}
    about = outer.get("conversation")
    outer = {**(about if isinstance(about, dict) else {}), **outer}
    thread = outer.get("id") or outer.get("conversation_id") or outer.get("thread_id")
    for message in map(_bare, _listed(given)):
        if _said_by(message) in _USER:
            moment = _moment_of(message) or _moment_of(outer)
            named = {str(key).lower(): value for key, value in message.items()}
            yield from _said(_joined(_content(named)), moment, thread or named.get("chatid"))


def _listed(given: Any) -> list[Any]:
    """The messages of a conversation; raises TypeError where they are no list."""
    messages = given if isinstance(given, list) else (_spoken(given) or given["messages"])
    if not isinstance(messages, list):
        raise TypeError("its messages are no list")
    return messages


def _content(named: Row) -> Any:
    return next((named[name] for name in ("content", *_COLUMNS["query"], "parts") if named.get(name)), None)


def _gemini(given: Row) -> Iterator[Row]:
    """One entry of "My Activity": a prompt, where the title says so in front of it."""
    words = _PROMPTED.sub("", given["title"], count=1)
    if words != given["title"]:
        yield from _said(words, given["time"], None)


def _said(text: str, moment: Any, thread: Any) -> Iterator[Row]:
    if text.strip():
        yield {"query": text, "created_at": _time(moment), "thread_id": str(thread) if thread else None}


def _joined(content: Any) -> str:
    """The text of a message's content: plain, or parts of text and of what is not text."""
    if isinstance(content, str):
        return content
    parts = []
    for part in [content] if isinstance(content, dict) else content or []:
        if isinstance(part, str):
            parts.append(part)
        elif isinstance(part, dict):
            text = part.get("text")
            kind = str(part.get("type") or part.get("content_type") or "")
            parts.append(text if isinstance(text, str) else IMAGE if "image" in kind else "")
    return "\n".join(part for part in parts if part)


def _time(moment: Any) -> Any:
    """Seconds, milli- or microseconds since 1970 as a time; a text as it is."""
    while isinstance(moment, dict) and len(moment) == 1:  # {"$date": {"$numberLong": "1735689600000"}}
        moment = next(iter(moment.values()))
    if isinstance(moment, str):
        moment = moment.strip().removesuffix(" UTC")
        if not re.fullmatch(r"\d{9,16}(?:\.\d+)?", moment):
            return moment
        moment = float(moment)
    if isinstance(moment, int | float) and not isinstance(moment, bool) and 0 < moment < 1e17:
        while moment > 1e11:
            moment /= 1_000
        return datetime.fromtimestamp(moment, UTC).isoformat()
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
_FORMS: Final[dict[str, Callable[[Any], Iterator[Row]]]] = {
    "mapping": _chatgpt,
    "chat_messages": _claude,
    "messages": _messages,
}
_NAMES: Final[dict[Callable[[Any], Iterator[Row]], str]] = {
    _chatgpt: "ChatGPT export",
    _claude: "Claude export",
    _gemini: "Gemini activity",
    _messages: "conversations",
}
