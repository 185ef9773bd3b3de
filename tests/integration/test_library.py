"""The library: the ten lines of the README, and every use case, over the embedded model or a scripted one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from personaagent import PersonaAgent

ROOT = Path(__file__).resolve().parents[2]


async def test_the_ten_lines_run_without_a_key(tmp_path: Path) -> None:
    async with PersonaAgent(tmp_path / "data") as agent:
        ann = agent.user("ann")
        turn = await ann.ask("What shall I play tonight?", choices=["jazz", "rock"])
        assert turn.answer in {"jazz", "rock"}
        taken = await turn.correct("rock")
        assert taken.interaction.ground_truth == "rock"
        assert "at least 2 are needed" in str(await ann.align())
        assert "## answering" in str(await ann.persona())
        report = await ann.forget(everything=True)
        assert report.interactions == (turn.id,)
        assert report.remains == ()
        assert (await ann.memories()).count == 0


def test_importing_the_package_reads_no_environment_and_nothing_heavy() -> None:
    code = (
        "import os, sys; os.environ = None; import personaagent; from personaagent import PersonaAgent, Turn, User; "
        "print([m for m in ('langgraph', 'langchain_core', 'sqlalchemy', 'pydantic', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
