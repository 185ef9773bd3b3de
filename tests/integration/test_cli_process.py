"""The installed command as a process of its own: pipes, signals, streams, and how fast it says what it can do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from cli_house import history_file
from stub_endpoint import endpoint

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-c", "import sys; from personaagent.app.cli import main; sys.exit(main())"]
CLOSED_PORT = "http://127.0.0.1:9/v1"


def environment(home: Path, **more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI_", "PERSONAAGENT_"))}
    return kept | {"PERSONAAGENT_HOME": str(home), "LANGSMITH_TRACING": "false"} | more


def run(home: Path, *arguments: str, given: str | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], cwd=ROOT, env=environment(home, **more), input=given, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip


def test_help_needs_none_of_the_heavy_imports(tmp_path: Path) -> None:
    code = (
        "import sys; from personaagent.app.cli import main; code = main(['--help']);"
        "heavy = {'langgraph', 'langchain_core', 'langchain_openai', 'qdrant_client', 'qdrant_edge', 'sqlalchemy',"
        " 'numpy', 'onnxruntime', 'pydantic'} & set(sys.modules); sys.exit(f'imported: {heavy}' if heavy else code)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(tmp_path), capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert "persona" in ran.stdout


def test_json_is_all_there_is_on_stdout_with_the_real_embedder(tmp_path: Path) -> None:
    file = history_file(tmp_path, [("does it rain in Oslo", "yes"), ("is the moon made of cheese", "no")])
    imported = run(tmp_path / "home", "import", str(file), "--user", "ann", "--json")
    assert (imported.returncode, json.loads(imported.stdout)["new"]) == (0, 2)
    found = run(tmp_path / "home", "memory", "search", "lunar dairy", "--user", "ann", "-k", "1", "--json")
    assert json.loads(found.stdout)[0]["interaction"]["query"] == "is the moon made of cheese"
    assert "\x1b" not in run(tmp_path / "home", "memory", "list", "--user", "ann").stdout


def test_an_endpoint_answers_or_is_named_when_it_cannot_be_reached(tmp_path: Path) -> None:
    arguments = ("chat", "--user", "ann", "--once", "hello", "--json")
    with endpoint() as (url, _):
        answered = run(tmp_path, *arguments, OPENAI_BASE_URL=url, OPENAI_API_KEY="any", PERSONAAGENT_TOOL_CALLING="off")
    assert "hello" in json.loads(answered.stdout)["answer"]
    failed = run(
        tmp_path, *arguments, OPENAI_BASE_URL=CLOSED_PORT, OPENAI_API_KEY="any", PERSONAAGENT_MODEL_RETRIES="0"
    )
    assert failed.returncode == 1
    assert json.loads(failed.stdout)["error"]["name"] == "ModelUnreachable"
    assert CLOSED_PORT in failed.stderr
    assert "Traceback" not in failed.stderr


def test_a_conversation_comes_from_a_pipe(tmp_path: Path) -> None:
    lines = "hello\n/wrong good day to you\nhello again\n/why\n/nonsense\n/new\n/good\n/quit\n"
    with endpoint() as (url, _):
        ran = run(tmp_path, "chat", "--user", "ann", given=lines, OPENAI_BASE_URL=url, OPENAI_API_KEY="any",
                  PERSONAAGENT_TOOL_CALLING="off", COLUMNS="120")  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert sum(line.startswith("You said:") for line in ran.stdout.splitlines()) == 2
    assert "It should have been: good day to you" in ran.stdout.splitlines()
    assert "hello → good day to you" in ran.stdout  # /why shows what was recalled
    assert "/wrong TEXT" in ran.stdout  # what is no command gets the help
    assert "ask something first" in ran.stderr  # /good right after /new


def test_a_reader_that_goes_away_is_no_error_message(tmp_path: Path) -> None:
    file = history_file(tmp_path, [(f"question {n} " + "x" * 2_000, "yes") for n in range(28)])
    run(tmp_path / "home", "import", str(file), "--user", "ann")
    command = [*COMMAND, "memory", "list", "--user", "ann", "-n", "1000", "--json"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment(tmp_path / "home"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.wait(60) == 141
    assert process.stderr.read() == b""


def interruptible() -> None:
    """An interrupt is ignored by whoever is started from a background job, as the tests may be."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_an_interrupt_ends_the_worker_with_130_and_a_termination_with_0(tmp_path: Path) -> None:
    for kind, code in ((signal.SIGINT, 130), (signal.SIGTERM, 0)):
        home = tmp_path / kind.name
        process = subprocess.Popen(
            [*COMMAND, "worker"], cwd=ROOT, env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            preexec_fn=interruptible,  # noqa: PLW1509 (this process has no other threads)
        )  # fmt: skip
        until = time.monotonic() + 60
        while not (home / "ledger.sqlite").exists() and time.monotonic() < until:
            time.sleep(0.1)
        process.send_signal(kind)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (code, b""), out


def test_two_processes_on_one_home_find_what_each_other_wrote(tmp_path: Path) -> None:
    holder = (
        "import asyncio, itertools, sys\n"
        "from datetime import UTC, datetime\n"
        "from personaagent.graph.services import Services\n"
        "from personaagent.types import Interaction\n"
        "async def hold():\n"
        "    services = Services()\n"
        "    told = Interaction(id='a', user_id='ann', query='I am allergic to nuts', created_at=datetime.now(UTC))\n"
        "    await services.episodic.append('ann', told)\n"
        "    for line in itertools.chain(['held'], map(str.strip, iter(sys.stdin.readline, ''))):\n"
        "        found = await services.episodic.search('ann', 'nuts', 4)\n"
        "        print(line, sorted(r.interaction.query for r in found), flush=True)\n"
        "        await asyncio.to_thread(lambda: None)\n"
        "asyncio.run(hold())\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", holder], cwd=ROOT, env=environment(tmp_path), stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert other.stdout is not None
    assert other.stdin is not None
    assert other.stdout.readline() == "held ['I am allergic to nuts']\n"
    try:
        history = history_file(tmp_path, [("Which nuts are in it?", "none")])
        for command in (["import", str(history)], ["memory", "search", "nuts"]):
            ran = run(tmp_path, *command, "--user", "ann", "--json")
            assert ran.returncode == 0, ran.stderr
        found = [recall["interaction"]["query"] for recall in json.loads(ran.stdout)]
        assert sorted(found) == ["I am allergic to nuts", "Which nuts are in it?"]
        other.stdin.write("again\n")
        other.stdin.flush()
        assert other.stdout.readline() == "again ['I am allergic to nuts', 'Which nuts are in it?']\n"
    finally:
        other.communicate("", timeout=60)
