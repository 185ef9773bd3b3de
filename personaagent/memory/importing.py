"""Import a user's history from JSONL: what they asked, and what they really answered.

A row is ``{"query", "response"}`` with, if known, ``created_at`` (ISO 8601, naive means UTC), ``task``, ``choices``,
``thread_id`` and ``metadata``; other keys are passed over. The
same file again adds nothing, a longer one its new rows. What other assistants export is read as well (``histories``),
and a history without any ``response`` becomes episodes without a truth.
"""

from __future__ import annotations

import asyncio
import json
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from personaagent.errors import BadRow
from personaagent.inputs import check_user_id, moment_of
from personaagent.masking import deep
from personaagent.memory.histories import (
    Place,
    form_of,
    form_of_array,
    is_array,
    is_table,
    kind_of,
    parsed,
    rows_of,
    rows_of_array,
    rows_of_table,
)
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

EXPORT = "personaagent-user"  # the format that `memory export` writes
BOM = b"\xef\xbb\xbf"
WIDE = (b"\xff\xfe", b"\xfe\xff")  # what a file of UTF-16 begins with
MAX_UNPACKED_BYTES = 1 << 30
_IDS = uuid5(NAMESPACE_URL, "personaagent:import")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What became of a file: rows read well, how many of them were new, and what is wrong with the others.

    ``found`` says what it is ("ChatGPT export, 412 conversations, 3,120 of your messages, 2019 to 2026").
    """

    read: int
    new: int
    bad: tuple[BadRow, ...]
    found: str = field(default="", compare=False)


async def import_file(
    memory: EpisodicMemory,
    user_id: str,
    path: Path,
    *,
    since: datetime | None = None,
    progress: Progress | None = None,
    now: datetime | None = None,
) -> ImportReport:
    """Append the file's rows, those from ``since`` on, to the user's memory; ``progress`` is told (stored, in all).

    Bad rows are reported by file and line and the good ones stay. Raises BadRow when the file itself cannot be read,
    and what the memory raises; then the rows of earlier chunks are kept, and the same import again goes on.
    """
    check_user_id(user_id)
    interactions, bad, form = await asyncio.to_thread(read_file, user_id, path, now or datetime.now(UTC))
    found = _found(form, interactions)
    interactions = [i for i in interactions if since is None or i.created_at >= since]
    new = 0
    for start in range(0, len(interactions), CHUNK):
        chunk = interactions[start : start + CHUNK]
        new += await memory.append_many(user_id, chunk)
        if progress is not None:
            progress(start + len(chunk), len(interactions))
    return ImportReport(read=len(interactions), new=new, bad=tuple(bad), found=found)


def _found(form: str, interactions: Sequence[Interaction]) -> str:
    if not interactions:
        return f"{form}, nothing in it"
    if form in {"rows", "table"}:
        told = f"{form}, {len(interactions):,} of them"
    else:
        threads = len({i.thread_id for i in interactions})
        told = f"{form}, {threads:,} conversations, {len(interactions):,} of your messages"
    years = sorted({i.created_at.year for i in interactions})
    return f"{told}, {years[0]} to {years[-1]}" if len(years) > 1 else f"{told}, {years[0]}"


def read_file(user_id: str, path: Path, now: datetime) -> tuple[list[Interaction], list[BadRow], str]:
    """The interactions of a file in its order, its bad rows, and what it is called. Blocking.

    Rows without a time are a second apart and end at ``now``.
    """
    good: list[Interaction] = []
    undated: list[int] = []
    bad: list[BadRow] = []
    seen: Counter[str] = Counter()
    form, places = _places(path)
    # where some rows say what was really wanted, one that does not is a slip; else it is a history without labels
    labelled = any(isinstance(row, dict) and row.get("response") is not None for _, row in places)
    for place, given in places:
        try:
            row = _row(given, now, labelled=labelled)
        except ValueError as error:
            bad.append(BadRow(f"{path}:{place}: {error}"))
            continue
        identity = json.dumps([row["task"], row["query"], row["ground_truth"], str(row["created_at"])])
        key = uuid5(uuid5(_IDS, user_id), f"{identity}#{seen[identity]}")
        seen[identity] += 1
        if row["created_at"] is None:
            undated.append(len(good))
            row["created_at"] = now
        good.append(Interaction(id=str(key), user_id=user_id, **row))
    for number, position in enumerate(undated):
        moment = now - timedelta(seconds=len(undated) - number)
        told = good[position].ground_truth is not None
        good[position] = replace(good[position], created_at=moment, labelled_at=moment if told else None)
    return good, bad, form


def _places(path: Path) -> tuple[str, list[Place]]:
    """What a file is called, and its rows with where each stands."""
    try:
        with path.open("rb") as file:
            head = file.read(4_096)
        if head.startswith(b"PK\x03\x04"):
            return _unpacked(path)
        text = _whole_text(head, path)
    except BadRow:
        raise
    except OSError as error:
        raise BadRow(f"{path} cannot be read: {error.strerror}") from error
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, zlib.error) as error:
        raise BadRow(f"{path} is an archive that cannot be read ({error}): unpack it, import its parts") from None
    if f'"format": "{EXPORT}"'.encode() in head:
        raise BadRow(f"{path} is an export of this program: take it in with `personaagent memory import {path}`")
    return _rows_of_lines(_lines(path)) if text is None else _rows_of_text(text)


def _whole_text(head: bytes, path: Path) -> str | None:
    """The text of a file that is read as a whole; None for rows a line, of which there may be any number."""
    if head.startswith(WIDE):
        return _text_of(path.read_bytes())
    if sum(byte < 9 for byte in head) * 10 > len(head):
        raise BadRow(f"{path} is no text: give a history as JSON, JSON lines or CSV, or the archive it came in")
    begun = _text_of(head)
    first = begun.lstrip().partition("\n")[0].rstrip()
    if is_array(begun) or is_table(begun) or (first.startswith("{") and not first.endswith("}")):
        return _text_of(path.read_bytes())
    return None


def _text_of(data: bytes) -> str:
    """The text of a file; what is not UTF-8 in it stays recognisable, and its row is refused (``_whole``)."""
    if data.startswith(WIDE):
        return data.decode("utf-16", "replace")
    return data.removeprefix(BOM).decode("utf-8", "surrogateescape")


def _rows_of_text(text: str) -> tuple[str, list[Place]]:
    if is_array(text):
        places = list(rows_of_array(text))
        return form_of_array(text), places
    if is_table(text):
        return "table", list(rows_of_table(text))
    if text.lstrip().startswith("{"):
        try:
            given = parsed(text)
        except ValueError:
            given = None  # rows a line
        if (form := form_of(given)) != "rows":
            return form, list(rows_of(given, "1"))
    lines = enumerate(text.encode("utf-8", "surrogateescape").split(b"\n"), start=1)
    return _rows_of_lines((number, line.removeprefix(BOM)) for number, line in lines if line.strip())


def _unpacked(path: Path) -> tuple[str, list[Place]]:
    """The conversations in an archive as an assistant's export comes; what else is in it is passed over."""
    form, places = "rows", list[Place]()
    with zipfile.ZipFile(path) as archive:
        entries = [e for e in archive.infolist() if e.filename.lower().endswith((".json", ".jsonl", ".csv"))]
        if sum(entry.file_size for entry in entries) > MAX_UNPACKED_BYTES:
            raise BadRow(f"{path} holds more than {MAX_UNPACKED_BYTES >> 20} MB of text: unpack it, import its parts")
        for entry in sorted(entries, key=lambda entry: entry.filename):
            with archive.open(entry) as file:
                data = file.read(MAX_UNPACKED_BYTES + 1)
            found, rows = _rows_of_text(_text_of(data))
            if found != "rows" or (len(entries) == 1 and rows):
                form = found
                places += [(f"{entry.filename}:{place}", row) for place, row in rows]
    if not places:
        raise BadRow(f"{path} holds no history that is known: unpack it, and give the file with the conversations")
    return form, places


def _rows_of_lines(lines: Iterable[tuple[int, bytes]]) -> tuple[str, list[Place]]:
    form: str = "rows"
    places: list[Place] = []
    for number, line in lines:
        try:
            given = _value(line)
        except ValueError as error:
            places.append((str(number), error))
            continue
        form = form if form != "rows" else form_of(given)
        found = list(rows_of(given, str(number)))
        places += [(str(number), row) for _, row in found] if form == "rows" else found
    return form, places


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
                line = line.removeprefix(BOM)  # files that were put together have one in the middle
                if line.strip():
                    yield number, line
    except OSError as error:
        raise BadRow(f"{path} cannot be read: {error.strerror}") from error


def _value(line: bytes) -> Any:
    """The JSON of a line, or ValueError with what is wrong."""
    if len(line) > MAX_LINE_BYTES:
        raise ValueError(f"the line is longer than {MAX_LINE_BYTES} bytes")
    try:
        return parsed(line.decode("utf-8"))
    except UnicodeDecodeError:
        raise ValueError("the line is not UTF-8") from None


def _row(given: dict[str, Any] | ValueError, now: datetime, *, labelled: bool) -> dict[str, Any]:
    """The fields of an interaction, or ValueError with what is wrong."""
    if isinstance(given, ValueError):
        raise given
    choices = _choices(given.get("choices"))
    truth = _text(given, "response", MAX_RESPONSE_CHARS) if labelled or given.get("response") is not None else None
    if choices and truth is not None and truth not in choices:
        raise ValueError(f"response {truth[:60]!r} is not among the choices")
    moment = _moment(given.get("created_at"), now)
    known = {"truth_source": "imported", "truth_confidence": 1.0, "labelled_at": moment} if truth is not None else {}
    return {
        "query": _text(given, "query", MAX_QUERY_CHARS),
        "ground_truth": truth,
        "created_at": moment,
        "task": _name(given, "task"),
        "thread_id": _name(given, "thread_id"),
        "choices": choices,
        "metadata": _metadata(given.get("metadata")),
        **known,
    }


def _text(given: dict[str, Any], key: str, limit: int) -> str:
    value = given.get(key)
    if value is None:
        raise ValueError(f"{key} is missing")
    if not isinstance(value, str):
        raise ValueError(f'{key} is {kind_of(value)}, not text: put it in quotation marks, like "{str(value)[:20]}"')
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
        raise ValueError(f"metadata is {kind_of(value)}, not an object")
    if deep(value):
        raise ValueError("metadata is nested too deeply")
    if len(json.dumps(value)) > MAX_METADATA_CHARS:
        raise ValueError(f"metadata has more than {MAX_METADATA_CHARS} characters")
    return value


def _moment(value: Any, now: datetime) -> datetime | None:
    if value is None:
        return None
    try:
        moment = moment_of(value)
    except (AttributeError, ValueError):
        raise ValueError(f"created_at {str(value)[:40]!r} is not a time like 2026-01-31T12:00:00Z") from None
    if moment > now:
        raise ValueError(f"created_at {value} lies in the future")
    return moment


def _whole(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        if "\udc80" <= text[error.start] <= "\udcff":  # a byte, as it was read
            raise ValueError("the text is not UTF-8: save the file as UTF-8") from None
        raise ValueError("the text has half of a surrogate pair, which no text can have") from None
    return text
