"""What a run leaves behind: one file says what was run, one line a finished row; a killed run goes on from there."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import subprocess
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PACKAGES = ("langgraph", "langchain-core", "langchain-openai", "qdrant-edge-py", "xllamacpp", "onnxruntime")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One row as one system answered it, and what that cost."""

    system: str
    row: str
    user_id: str
    answer: str
    truth: str
    seconds: float
    calls: int
    input_tokens: int
    output_tokens: int


class Records:
    """The folder of a run. Rows are appended as they finish, so none is ever paid twice."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def begin(self, about: dict[str, Any]) -> None:
        """Write what this run is; raises ValueError where the folder holds another run's rows."""
        file = self.folder / "run.json"
        machine = {"python": platform.python_version(), "machine": platform.machine(), "commit": _commit()}
        packages = {name: importlib.metadata.version(name) for name in PACKAGES}
        if file.exists():
            known = json.loads(file.read_text(encoding="utf-8"))["about"]
            if known != json.loads(json.dumps(about)):
                raise ValueError(f"{self.folder} holds another run: give another --out, or delete it")
            return
        record = {"about": about, **machine, "packages": packages, "began": datetime.now(UTC).isoformat()}
        file.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")

    def rows(self) -> list[Answered]:
        """The finished rows; a last line that a kill cut off does not count."""
        file = self.folder / "rows.jsonl"
        found = []
        for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
            try:
                found.append(Answered(**json.loads(line)))
            except ValueError:
                continue
        return found

    def add(self, row: Answered) -> None:
        """Append a finished row."""
        with (self.folder / "rows.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(row), ensure_ascii=False) + "\n")

    def note(self, name: str, value: Any) -> None:
        """Keep something else of the run, for example the outcomes of the alignments."""
        (self.folder / f"{name}.json").write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def _commit() -> str:
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)  # noqa: S607
    return done.stdout.strip() or "unknown"
