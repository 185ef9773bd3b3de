"""Every file in ``examples/`` is short, and runs as it stands: on an endpoint, and on the embedded model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stub_endpoint import endpoint

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SHORT = "import runpy, sys; import personaagent.models.chat as e; e.MAX_NEW_TOKENS = 8; runpy.run_path(sys.argv[1])"


def calling(body: dict[str, Any]) -> dict[str, Any]:
    """Answer with a tool call where tools are bound and the user spoke last, else with words."""
    last = body["messages"][-1]
    if not body.get("tools") or last["role"] != "user":
        return {"content": f"Heard: {str(last['content'])[-200:]}"}
    remembering = "Remember" in last["content"]
    arguments = {"text": "Keeps bees."} if remembering else {"query": "insects"}
    function = {"name": "remember" if remembering else "recall", "arguments": json.dumps(arguments)}
    return {"tool_calls": [{"id": "one", "type": "function", "function": function}]}


def run(example: str, home: Path, *how: str, **environment: str) -> str:
    told = {"PERSONAAGENT_HOME": str(home), "PYTHONPATH": str(EXAMPLES.parent)} | environment
    ran = subprocess.run(
        [sys.executable, *how, str(EXAMPLES / example)],
        env=os.environ | told,
        cwd=home.parent,  # no .env of the developer
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3_000:]
    return ran.stdout


EXPECTED = {
    "create_agent.py": ["['I am vegetarian.']", "It should have been: Lentil soup."],
    "own_graph.py": ["['I am vegetarian.']", "It should have been: Lentil soup."],
    "store.py": ["Noted. On insects: I keep bees.\nNoted. On insects: I keep bees."],
    "tools.py": ["Remembered as ", "- Keeps bees."],
}


def test_every_example_is_known_and_at_most_thirty_lines_long() -> None:
    lines = {file.name: len(file.read_text().splitlines()) for file in EXAMPLES.glob("*.py")}
    assert lines.keys() == EXPECTED.keys()
    assert max(lines.values()) <= 30


@pytest.mark.parametrize("example", EXPECTED)
def test_it_runs_on_an_endpoint(example: str, tmp_path: Path) -> None:
    with endpoint(calling) as (url, _):
        out = run(example, tmp_path / "home", OPENAI_BASE_URL=url, OPENAI_API_KEY="none")
    for expected in EXPECTED[example]:
        assert expected in out


@pytest.mark.model
@pytest.mark.parametrize("example", [name for name in EXPECTED if name != "tools.py"])  # that model calls no tools
def test_it_runs_on_the_embedded_model(example: str, tmp_path: Path) -> None:
    out = run(example, tmp_path / "home", "-c", SHORT)
    for expected in EXPECTED[example]:
        assert expected in out
