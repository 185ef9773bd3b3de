"""What a run leaves behind: one file says what was run, one line a finished row; a killed run goes on from there."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
import threading
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from personaagent.errors import InputError

RUN, ROWS, USERS = "run.json", "rows.jsonl", "users.jsonl"
PACKAGES = ("langgraph", "langchain-core", "langchain-openai", "qdrant-edge-py", "xllamacpp", "onnxruntime", "numpy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One row as the system answered it, what that cost, and what the two floors say to it.

    ``query`` is empty and choices of a row's own are written as ``#place`` where the data may not be shown.
    """

    id: str
    user_id: str
    query: str
    answer: str
    truth: str
    majority: str
    last: str
    seconds: float
    calls: int
    input_tokens: int
    output_tokens: int
    tools: tuple[str, ...] = ()
    p_truth: float | None = None  # the probability that the system gave the truth, where it gives any
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """One user's preparation: what it cost, and what the system holds of the user (empty where it may not be shown)."""

    user_id: str
    history: int
    seconds: float
    calls: int
    input_tokens: int
    output_tokens: int
    persona: str = ""
    seed: str = ""
    outcome: str = ""
    aligned_after: int | None = None  # edits after which the first aligned persona was committed; None: never


class Records:
    """The folder of one system on one task. Rows are appended as they finish, so none is ever paid twice."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writing = threading.Lock()  # users side by side write their rows from threads

    def begin(self, about: dict[str, Any]) -> None:
        """Write what this run is; raises InputError where the folder holds another run's rows or cannot be written."""
        file = self.folder / RUN
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if file.exists():
                known = self.about()
                differing = [key for key, value in _as_json(about).items() if known.get(key) != value]
                if differing:
                    raise InputError(
                        f"{self.folder} holds another run ({', '.join(differing)} differ): give another --out, "
                        "or delete it"
                    )
                return
            record = {"about": about, **surroundings(), "began": datetime.now(UTC).isoformat(timespec="seconds")}
            part = file.with_suffix(".part")
            part.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            part.replace(file)
        except OSError as error:
            raise InputError(f"{self.folder} cannot be written ({error.strerror}): give another --out") from error

    def about(self) -> dict[str, Any]:
        """What was run: task, data, system, models; raises InputError where it is not a run's record."""
        about: dict[str, Any] = self._record()["about"]
        return about

    def surroundings(self) -> dict[str, Any]:
        """Where, when and with what the run was made."""
        return {key: value for key, value in self._record().items() if key != "about"}

    def _record(self) -> dict[str, Any]:
        try:
            record: dict[str, Any] = json.loads((self.folder / RUN).read_text(encoding="utf-8"))
            if not isinstance(record.get("about"), dict):
                raise ValueError("it says nothing about a run")
        except (OSError, ValueError) as error:
            raise InputError(f"{self.folder / RUN} is not the record of a run ({error}): delete the folder") from error
        return record

    def rows(self) -> dict[str, Answered]:
        """The finished rows by id, in the order in which they finished; a line that a kill cut off does not count."""
        return {row.id: row for row in _lines(self.folder / ROWS, Answered)}

    def users(self) -> dict[str, Prepared]:
        """The preparations by user; the newest of each."""
        return {user.user_id: user for user in _lines(self.folder / USERS, Prepared)}

    def add(self, row: Answered) -> None:
        """Append a finished row."""
        with self._writing:
            _append(self.folder / ROWS, asdict(row))

    def add_user(self, user: Prepared) -> None:
        """Append a user's preparation."""
        with self._writing:
            _append(self.folder / USERS, asdict(user))


def find_runs(folder: Path) -> list[Records]:
    """All runs at or below a folder, in the order of their paths; raises InputError where there is none."""
    found = [Records(file.parent) for file in sorted(folder.rglob(RUN))]
    runs = [records for records in found if "system" in records.about()]
    if not runs:
        raise InputError(f"there is no run below {folder}: `python -m evals run --out {folder}` makes one")
    return runs


def surroundings() -> dict[str, Any]:
    """Where and with what a run is made: commit, packages, machine."""
    packages = {}
    for name in PACKAGES:
        try:
            packages[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            packages[name] = "not installed"
    return {
        "commit": _git("rev-parse", "--short", "HEAD") or "unknown",
        "changed": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "packages": packages,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    }


def _git(*arguments: str) -> str:
    here = Path(__file__).parent
    try:
        done = subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, check=False)  # noqa: S603, S607
    except OSError:  # there is no git
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _lines(file: Path, kind: type[Any]) -> list[Any]:
    names = {field.name for field in fields(kind)}
    found = []
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines() if file.exists() else []:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and names >= row.keys():
            found.append(kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}))
    return found


def _append(file: Path, row: dict[str, Any]) -> None:
    with file.open("ab+") as opened:
        if opened.tell():
            opened.seek(-1, os.SEEK_END)
            if opened.read(1) != b"\n":
                opened.write(b"\n")  # a kill cut the last line off; it must not take this one with it
        opened.write((json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8", "replace"))


def _as_json(value: dict[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(value))
    return plain
