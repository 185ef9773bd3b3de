"""Reading the files of tasks: every fault is named by file and line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from personaagent.errors import BadRow, InputError


def read_text(path: Path | Traversable) -> str:
    """The file's text; raises InputError where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}): give the path of a UTF-8 text file") from error


def json_lines(path: Path | Traversable, *required: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, object) of a JSONL file; raises BadRow for a line without one of the required fields."""
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise BadRow(f"{path.name} line {number}: not JSON ({error})") from error
        if not isinstance(row, dict):
            raise BadRow(f"{path.name} line {number}: a JSON object is needed")
        missing = [name for name in required if name not in row]
        if missing:
            raise BadRow(f"{path.name} line {number}: {', '.join(missing)} is missing")
        yield number, row
