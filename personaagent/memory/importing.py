"""Import a user's history from JSONL: what they asked, and what they really answered.

A row is ``{"query", "response"}`` with, if known, ``created_at`` (ISO 8601, naive means UTC), ``task``, ``choices``,
``thread_id`` and ``metadata``; other keys are passed over. The same file again adds nothing, a longer one its new rows.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from personaagent.errors import BadRow
from personaagent.inputs import check_user_id
from personaagent.memory.indexer import Progress
from personaagent.ports import EpisodicMemory
from personaagent.types import Interaction

CHUNK = 500  # rows a transaction
MAX_LINE_BYTES = 4_000_000
MAX_QUERY_CHARS = 32_000
MAX_RESPONSE_CHARS = 32_000
MAX_NAME_CHARS = 256  # of task, thread and choice
MAX_CHOICES = 1_000
MAX_METADATA_CHARS = 16_000

_IDS = uuid5(NAMESPACE_URL, "personaagent:import")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What became of a file: rows read well, how many of them were new, and what is wrong with the others."""

    read: int
    new: int
    bad: tuple[BadRow, ...]


async def import_file(
    memory: EpisodicMemory, user_id: str, path: Path, *, progress: Progress | None = None, now: datetime | None = None
) -> ImportReport:
    """Append the file's rows to the user's memory; ``progress`` is told (rows stored, rows in all).

    Bad rows are reported by file and line and the good ones stay. Raises BadRow when the file itself cannot be read,
    and what the memory raises; then the rows of earlier chunks are kept, and the same import again goes on.
    """
    check_user_id(user_id)
    interactions, bad = await asyncio.to_thread(read_file, user_id, path, now or datetime.now(UTC))
    new = 0
    for start in range(0, len(interactions), CHUNK):
        chunk = interactions[start : start + CHUNK]
        new += await memory.append_many(user_id, chunk)
        if progress is not None:
            progress(start + len(chunk), len(interactions))
    return ImportReport(read=len(interactions), new=new, bad=tuple(bad))


def read_file(user_id: str, path: Path, now: datetime) -> tuple[list[Interaction], list[BadRow]]:
    """The interactions of a file in its order, and its bad rows. Blocking.

    Rows without a time are a second apart and end at ``now``.
    """
    good: list[Interaction] = []
    undated: list[int] = []
    bad: list[BadRow] = []
    seen: Counter[str] = Counter()
    for number, line in _lines(path):
        try:
            row = _row(line, now)
        except ValueError as error:
            bad.append(BadRow(f"{path}:{number}: {error}"))
            continue
        identity = json.dumps([row["task"], row["query"], row["ground_truth"], str(row["created_at"])])
        key = uuid5(uuid5(_IDS, user_id), f"{identity}#{seen[identity]}")
        seen[identity] += 1
        if row["created_at"] is None:
            undated.append(len(good))
            row["created_at"] = now
        good.append(Interaction(id=str(key), user_id=user_id, **row))
    for place, position in enumerate(undated):
        moment = now - timedelta(seconds=len(undated) - place)
        good[position] = replace(good[position], created_at=moment, labelled_at=moment)
    return good, bad


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """(number, bytes) of every line that is not blank; a line that is too long comes cut, and is refused as such."""
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                cut = line
                while len(cut) > MAX_LINE_BYTES and not cut.endswith(b"\n"):
                    cut = file.readline(MAX_LINE_BYTES + 1)
                if number == 1:
                    line = line.removeprefix(b"\xef\xbb\xbf")
                if line.strip():
                    yield number, line
    except OSError as error:
        raise BadRow(f"{path} cannot be read: {error.strerror}") from error


def _row(line: bytes, now: datetime) -> dict[str, Any]:
    """The fields of an interaction, or ValueError with what is wrong."""
    if len(line) > MAX_LINE_BYTES:
        raise ValueError(f"the line is longer than {MAX_LINE_BYTES} bytes")
    try:
        given = json.loads(line.decode("utf-8"), parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise ValueError("the line is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"the line is not JSON: {error.msg} at column {error.colno}") from None
    except RecursionError:
        raise ValueError("the line is nested too deeply") from None
    if not isinstance(given, dict):
        raise ValueError(f'the line is {_kind(given)}, not an object like {{"query": ..., "response": ...}}')
    choices = _choices(given.get("choices"))
    truth = _text(given, "response", MAX_RESPONSE_CHARS)
    if choices and truth not in choices:
        raise ValueError(f"response {truth[:60]!r} is not among the choices")
    moment = _moment(given.get("created_at"), now)
    return {
        "query": _text(given, "query", MAX_QUERY_CHARS),
        "ground_truth": truth,
        "truth_source": "imported",
        "truth_confidence": 1.0,
        "created_at": moment,
        "labelled_at": moment,
        "task": _name(given, "task"),
        "thread_id": _name(given, "thread_id"),
        "choices": choices,
        "metadata": _metadata(given.get("metadata")),
    }


def _text(given: dict[str, Any], key: str, limit: int) -> str:
    value = given.get(key)
    if value is None:
        raise ValueError(f"{key} is missing")
    if not isinstance(value, str):
        raise ValueError(f'{key} is {_kind(value)}, not text: put it in quotation marks, like "{str(value)[:20]}"')
    text = value.strip()
    if not text:
        raise ValueError(f"{key} is empty")
    if len(text) > limit:
        raise ValueError(f"{key} has {len(text)} characters, {limit} at most are kept")
    return _whole(text)


def _name(given: dict[str, Any], key: str) -> str | None:
    return None if given.get(key) in (None, "") else _text(given, key, MAX_NAME_CHARS)


def _choices(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > MAX_CHOICES or not all(isinstance(item, str) for item in value):
        raise ValueError(f"choices are not a list of at most {MAX_CHOICES} texts")
    choices = tuple(dict.fromkeys(_whole(item.strip()) for item in value))
    if any(not choice or len(choice) > MAX_NAME_CHARS for choice in choices):
        raise ValueError(f"a choice is empty or has more than {MAX_NAME_CHARS} characters")
    return choices


def _metadata(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"metadata is {_kind(value)}, not an object")
    if len(json.dumps(value)) > MAX_METADATA_CHARS:
        raise ValueError(f"metadata has more than {MAX_METADATA_CHARS} characters")
    return value


def _moment(value: Any, now: datetime) -> datetime | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"created_at {str(value)[:40]!r} is not a time like 2026-01-31T12:00:00Z") from None
    if moment > now:
        raise ValueError(f"created_at {value} lies in the future")
    return moment


def _whole(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("the text has half of a surrogate pair, which no text can have") from None
    return text


def _kind(value: Any) -> str:
    names = {bool: "a truth value", int: "a number", float: "a number", list: "a list", dict: "an object", str: "text"}
    return names.get(type(value), "null")


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
