"""How large the project is, and through how many files one turn, one label and one forgetting pass.

``python -m evals.size`` prints two Markdown tables; ``--root DIR`` reads the first of another checkout. Lines are those
of the Python files outside of tests, complexity is McCabe's, as the test of the tree holds it, and files and functions
of a journey are our own in which anything ran: the second turn of a user on the embedded model, who has one labelled
memory; a label on it that makes an alignment due, which is queued; a forgetting of everything by the JSON API.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
_BRANCHES = (
    ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.IfExp, ast.comprehension, ast.Assert,
    ast.match_case,
)  # fmt: skip


def tree(root: Path) -> dict[str, int]:
    """The figures of a checkout, by name."""
    command = ["git", "-C", str(root), "ls-files", "*.py"]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()  # noqa: S603
    files = {name: (root / name).read_text(encoding="utf-8") for name in names if not name.startswith("tests/")}
    parsed = {name: ast.parse(text) for name, text in files.items()}
    functions = [
        node for code in parsed.values() for node in ast.walk(code)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]  # fmt: skip
    lines = {name: text.count("\n") for name, text in files.items()}
    return {
        "lines": sum(lines.values()),
        "lines without evals": sum(n for name, n in lines.items() if not name.startswith("evals/")),
        "files": len(files),
        "packages": sum(name.endswith("__init__.py") for name in files),
        "imports of graph/services.py": sum(
            isinstance(node, ast.Import | ast.ImportFrom) for node in parsed["graph/services.py"].body
        ),
        "highest complexity": max(map(complexity, functions)),
    }


def complexity(function: ast.AST) -> int:
    """One, and one more for each place where a function may go on in two ways, those inside of it included."""
    return 1 + sum(map(_turns, ast.walk(function)))


def _turns(node: ast.AST) -> int:
    return len(node.values) - 1 if isinstance(node, ast.BoolOp) else int(isinstance(node, _BRANCHES))


class Passed:
    """Our own files and functions in which anything ran while it was asked to look, in every thread."""

    def __init__(self) -> None:
        self._functions: set[tuple[str, str]] = set()
        self._looking = False
        threading.setprofile(self._saw)
        sys.setprofile(self._saw)

    def _saw(self, frame: FrameType, event: str, _: object) -> None:
        if self._looking and event == "call":
            code = frame.f_code
            if code.co_filename.startswith(str(ROOT)) and "site-packages" not in code.co_filename:
                self._functions.add((str(Path(code.co_filename).resolve()), code.co_qualname))

    @contextmanager
    def looking(self) -> Iterator[dict[str, int]]:
        """Count until the end of the block; the figures are there after it."""
        figures: dict[str, int] = {}
        self._functions.clear()
        self._looking = True
        yield figures
        self._looking = False
        ran = [
            (file, name)
            for file, name in self._functions
            if name != "<module>" and Path(file) != Path(__file__).resolve()
        ]
        figures |= {"files": len({file for file, _ in ran}), "functions": len(ran)}


async def journeys(home: Path, passed: Passed) -> dict[str, dict[str, int]]:
    """The figures of the three journeys, by name."""
    import httpx
    from langchain_core.messages import HumanMessage

    from personaagent.app.server.http import build_app
    from personaagent.context import Context
    from personaagent.graph.agent import build_agent
    from personaagent.graph.feedback import build_feedback
    from personaagent.graph.services import Services
    from personaagent.settings import Settings

    services = Services(Settings(home=home, align_after=2))
    agent, feedback = build_agent(services).compile(), build_feedback(services).compile()
    context, found = Context(user_id="ann"), {}

    async def turn(query: str) -> dict[str, Any]:
        asked: Any = {"messages": [HumanMessage(query)]}
        return dict(await agent.ainvoke(asked, {"configurable": {"thread_id": query}}, context=context))

    async def label(interaction_id: str) -> None:
        given: Any = {"interaction_id": interaction_id, "ground_truth": "Tea.", "source": "correction"}
        await feedback.ainvoke(given, context=context)

    first = await turn("What shall I drink?")
    await label(first["interaction_id"])
    await services.indexer.flush()  # what is indexed behind an answer belongs to it
    with passed.looking() as found["one turn"]:
        second = await turn("And what with soup?")
        await services.indexer.flush()
    with passed.looking() as found["one label"]:
        await label(second["interaction_id"])
        await services.indexer.flush()
    app = build_app(lambda: services, services.settings)
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 5_000))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        with passed.looking() as found["one forgetting"]:
            answer = await client.post("/api/v1/me/forget", json={"everything": True}, headers={"X-User-Id": "ann"})
            answer.raise_for_status()
    await services.close()
    return found


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m evals.size", description=__doc__)
    parser.add_argument("--root", type=Path, help="another checkout: its first table")
    given = parser.parse_args()
    print("| what | |\n|---|---|")
    for name, figure in tree(given.root or ROOT).items():
        print(f"| {name} | {figure:,} |")
    if given.root is None:
        with tempfile.TemporaryDirectory() as home:
            found = asyncio.run(journeys(Path(home), Passed()))
        print("\n| journey | files | functions |\n|---|---|---|")
        for name, figures in found.items():
            print(f"| {name} | {figures['files']} | {figures['functions']} |")


if __name__ == "__main__":
    main()
