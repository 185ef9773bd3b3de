"""The command line in this process, over a real ledger and index, with scripted models."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from personaagent.app.cli import main
from personaagent.graph import services as wiring
from personaagent.graph.services import Services
from personaagent.settings import Settings
from scripted import HashEmbedder, ScriptedModels


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Exactly one JSON document, or it fails."""
        return json.loads(self.out)


Cli = Callable[..., Ran]


@pytest.fixture
def scripted_models() -> ScriptedModels:
    return ScriptedModels("an answer", tool_calling=False)


@pytest.fixture
def cli(scripted_models: ScriptedModels, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run ``personaagent ...`` and return its exit code and what it wrote."""
    real = wiring.Services

    def services(settings: Settings | None = None) -> Services:
        return real(settings, models=scripted_models, embedder=HashEmbedder())

    monkeypatch.setattr(wiring, "Services", services)

    def run(*arguments: str) -> Ran:
        capsys.readouterr()
        code = main(arguments)
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run


def history_file(folder: Path, rows: Sequence[tuple[str, str]], **fields: Any) -> Path:
    file = folder / "history.jsonl"
    lines = [
        json.dumps({"query": query, "response": response, "created_at": f"2026-01-{n + 1:02}T08:00:00Z", **fields})
        for n, (query, response) in enumerate(rows)
    ]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file
