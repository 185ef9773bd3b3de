"""Every snippet of the library's guide and of the tutorial runs without a key.

Those of the guide are each a script of its own; those of the tutorial are one session, commands among them.
"""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import personaagent

ROOT = Path(__file__).resolve().parents[2]
SNIPPET = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
STEP = re.compile(r"^## ([^\n]+)$|^```(sh|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SAYS = {
    "Ten lines": r"No change: 1 labelled answers(.|\n)*## answering(.|\n)*1 interactions forgotten",
    "Stream": r"Something slow\.\nmemories: 0 clauses in force: \d",
    "Your own model": r"^Something slow\.$",
    "Your own tool": r"shelf \(granted\): The records on the user's shelf\.\norder \(asks first\): Order a record\.",
    "Your own agent": r"(?i)version 1(.|\n)*\nrock$",
    "Your own proposer": r"(?i)version 1: in the evening it is rock(.|\n)*\nevenings$",
    "Your own store": r"^Rex, I think\.\nRex, I think\.\n[2-9] checkpoints$",
    "In a web app": r"^(jazz|rock)$",
}
SAYS_IN_AN_HOUR = {
    "Ask": r"rainy",
    "Wish": r"one sentence",
    "Teach": r"before: jazz\nVersion 1(.|\n)*\nafter: rock",
    "See why": r"rock",
    "Undo": r"rollback · by user",
    "Forget": r"ann\.json(.|\n)*no memories yet$",
}


def snippets() -> dict[str, str]:
    """The snippets of the guide, by the heading that they stand under."""
    parts = HEADING.split((ROOT / "docs/library.md").read_text())
    return {name: found.group(1) for name, text in zip(parts[1::2], parts[2::2], strict=True)
            if (found := SNIPPET.search(text))}  # fmt: skip


def test_every_snippet_is_expected_to_say_something() -> None:
    assert snippets().keys() == SAYS.keys()
    assert len(SNIPPET.findall((ROOT / "docs/library.md").read_text())) == len(SAYS)


def test_the_reference_is_written_from_the_docstrings_as_they_are() -> None:
    maker = runpy.run_path(str(ROOT / "docs/make_reference.py"))
    assert maker["reference"]() == maker["PAGE"].read_text(), "write it anew: python docs/make_reference.py"
    assert {*personaagent.__all__} - {"__version__"} == {*maker["PLACES"]["personaagent"]}


def test_every_page_is_in_the_index_and_no_link_is_dead() -> None:
    pages = [*(ROOT / "docs").glob("*.md"), *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md"))]
    index = (ROOT / "docs/README.md").read_text()
    for page in pages:
        assert page.name in index or page.name in {"README.md"}, page
        for target, _, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(#([^)]*))?\)", page.read_text()):
            file = (page.parent / target).resolve() if target else page
            assert file.exists(), f"{page.name}: {target}"
            assert not anchor or anchor in anchors(file), f"{page.name}: {target}#{anchor}"


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_shows_the_ten_lines() -> None:
    assert snippets()["Ten lines"] in SNIPPET.findall((ROOT / "README.md").read_text())


@pytest.mark.model
@pytest.mark.parametrize("name", SAYS)
def test_the_snippet_runs(name: str, tmp_path: Path) -> None:
    said = run([sys.executable, "-c", snippets()[name]], tmp_path)
    assert re.search(SAYS[name], said), said


@pytest.mark.model
def test_the_first_hour_goes_as_the_tutorial_says(tmp_path: Path) -> None:
    said = re.split(r"^=== (.+)$", run(["bash", "-e", "-c", hour()], tmp_path), flags=re.MULTILINE)
    steps = {name: text.strip() for name, text in zip(said[1::2], said[2::2], strict=True)}
    assert list(steps) == [*SAYS_IN_AN_HOUR, "Where to go from here"]
    for name, says in SAYS_IN_AN_HOUR.items():
        assert re.search(says, steps[name]), f"{name}: {steps[name]}"


def hour() -> str:
    """The tutorial as a shell script that says its headings."""
    lines = []
    for heading, language, code in STEP.findall((ROOT / "docs/tutorial.md").read_text()):
        if heading:
            lines.append(f"echo '=== {heading}'")
        else:
            lines.append(code if language == "sh" else f"python - <<'END'\n{code}END")
    return "\n".join(lines)


def run(command: list[str], folder: Path) -> str:
    """What the command says in this folder, without a setting of the developer's."""
    ours = ("PERSONAAGENT_", "OPENAI_", "LANGSMITH_", "DATABASE_URL", "QDRANT_")
    plain = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    own = {"PYTHONPATH": str(ROOT), "PATH": path, "PERSONAAGENT_CONFIG": str(folder / "own.env")}
    done = subprocess.run(
        command, cwd=folder, env=plain | own, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
