"""The threat model names tests: each of them exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_test_that_the_threat_model_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs/threat_model.md").read_text()))
    files = (ROOT / "tests").rglob("test_*.py")
    defined = {name for file in files for name in re.findall(r"def (test_\w+)\(", file.read_text())}
    assert named
    assert sorted(named - defined) == []


def test_every_module_that_the_threat_model_names_exists() -> None:
    text = (ROOT / "docs/threat_model.md").read_text()
    named = re.findall(r"`((?:app|tools|personaagent|tests)/[\w/]+(?:\.py)?)", text)
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []
