"""Notes: the user's own folder of text files, read only, and nothing outside of it."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, Field

from personaagent.tools.spec import ToolCall, ToolFault, ToolSpec

SUFFIXES = {".md", ".txt", ".org", ".rst"}
MAX_BYTES = 200_000
MAX_FILES = 2_000


class NotesArgs(BaseModel):
    """Search in all notes, or read one."""

    query: str = Field("", max_length=300, description="words to find; empty lists the notes")
    path: str = Field("", max_length=300, description="a note to read, as a search shows it")


def notes_tool(folder: Path) -> ToolSpec:
    """The tool over one user's folder; in simulation notes changed at or after ``before`` do not exist."""

    async def run(call: ToolCall) -> str:
        path, query = str(call.arguments["path"]), str(call.arguments["query"])
        try:
            if path:
                return await asyncio.to_thread(_read, folder, path, call.before)
            return await asyncio.to_thread(_find, folder, query, call.before)
        except OSError as error:
            raise ToolFault("The notes cannot be read now.") from error

    return ToolSpec(
        name="notes",
        description="Search or read the user's own notes.",
        args=NotesArgs,
        run=run,
        scopes=frozenset({"files:read"}),
        reads_user_data=True,
    )


def _files(folder: Path, before: datetime | None) -> list[Path]:
    """The notes that may be seen, by name; hidden files and links that lead out are passed over."""
    root = folder.resolve()
    found: list[Path] = []
    for place, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(place, name)
            if path.suffix.lower() in SUFFIXES and not name.startswith(".") and _inside(root, path, before):
                found.append(path)
        if len(found) >= MAX_FILES:
            break
    return found[:MAX_FILES]


def _inside(root: Path, path: Path, before: datetime | None) -> bool:
    real = path.resolve()
    if not real.is_relative_to(root) or not real.is_file():
        return False
    return before is None or datetime.fromtimestamp(real.stat().st_mtime, UTC) < before


def _read(folder: Path, name: str, before: datetime | None) -> str:
    # only a listed file is read, so no path that a model writes is ever opened
    wanted = {path.relative_to(folder.resolve()).as_posix(): path for path in _files(folder, before)}
    if name not in wanted:
        raise ToolFault(f"There is no note {name[:100]!r}. Search first, and give the path as it is shown.")
    return _content(wanted[name])


def _find(folder: Path, query: str, before: datetime | None) -> str:
    root = folder.resolve()
    words = query.lower().split()
    scored = []
    for path in _files(folder, before):
        name = path.relative_to(root).as_posix()
        text = _content(path) if words else ""
        low = f"{name}\n{text}".lower()
        score = sum(word in low for word in words)
        if score or not words:
            line = next((one.strip() for one in text.splitlines() if any(w in one.lower() for w in words)), "")
            scored.append((-score, f"- {name}: {line[:200]}" if line else f"- {name}"))
    return "\n".join(text for _, text in sorted(scored)[:20]) or "No note fits. Try fewer or other words."


def _content(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(MAX_BYTES).decode("utf-8", errors="replace")
