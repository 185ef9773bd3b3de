"""``python -m evals`` as a process: floors without a model, one clear line on an error, and going on after kill -9."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
SLOW = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from personaagent.evals.evaluation import Wanted, evaluate
from personaagent.evals.tasks import news
from personaagent.settings import Settings
from scripted import HashEmbedder, ScriptedModels
models = ScriptedModels(latency={latency})
out = Path({out!r})
evaluate(Wanted(task=news.task(), systems=["rag"], out=out, limit=10), Settings(home=out), models=models,
         embedder=HashEmbedder())
print(len(models.calls))
"""


def evals(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PERSONAAGENT_HOME": str(home)}
    return subprocess.run(
        [sys.executable, "-m", "evals", *arguments], cwd=ROOT, env=env, capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip


def test_floors_need_no_model_and_end_in_a_report(tmp_path: Path) -> None:
    done = evals("floors", "--out", str(tmp_path / "run"), "--limit", "2", home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "report.html").stat().st_size > 2_000
    run = json.loads(next((tmp_path / "run").rglob("run.json")).read_text())
    assert run["about"]["data"]
    assert run["commit"]
    again = evals("report", str(tmp_path / "run"), home=tmp_path)
    assert again.returncode == 0
    assert "nearest" in again.stdout


def test_an_error_is_one_line_and_says_what_to_do(tmp_path: Path) -> None:
    for arguments, said in (
        (("run", "--task", "rating", "--out", str(tmp_path / "a")), "give --file"),
        (("run", "--system", "oracle", "--out", str(tmp_path / "a")), "there is no system 'oracle'"),
        (("report", str(tmp_path)), "there is no run"),
        (("run", "--langsmith", "--out", str(tmp_path / "a")), "LANGSMITH_API_KEY"),
    ):
        done = evals(*arguments, home=tmp_path)
        assert done.returncode == 1
        assert done.stderr.startswith("error: ")
        assert said in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


def test_wrong_usage_exits_2(tmp_path: Path) -> None:
    assert evals("run", "--limit", "none", home=tmp_path).returncode == 2
    assert evals("list", home=tmp_path).returncode == 0


def test_a_killed_run_goes_on_and_pays_no_finished_row_twice(tmp_path: Path) -> None:
    def script(latency: float) -> list[str]:
        text = SLOW.format(tests=str(ROOT / "tests"), latency=latency, out=str(tmp_path / "run"))
        return [sys.executable, "-c", text]

    rows = tmp_path / "run" / "news_category" / "rag" / "rows.jsonl"
    process = subprocess.Popen(script(0.2), cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (rows.exists() and rows.read_bytes().count(b"\n") >= 4):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = rows.read_bytes().count(b"\n")
    done = subprocess.run(script(0.0), cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    ids = [json.loads(line)["id"] for line in rows.read_text().splitlines()]
    assert len(ids) == len(set(ids)) == 40
    assert 40 - before - 2 <= int(done.stdout) <= 40 - before
