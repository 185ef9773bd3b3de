"""The shape of the repository is a promise: these tests hold it."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

from personaagent.evals.size import complexity

ROOT = Path(__file__).resolve().parents[2]
LINKED = ["graph", "nodes", "tools", "evals"]


def test_imports_go_one_way() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_no_module_is_in_a_circle_of_imports() -> None:
    """Of those that run when a module is imported: not those inside functions, and not those for types alone."""
    files = {
        ".".join((folder / name).relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): folder / name
        for folder, names in (
            (Path(where), names) for where, _, names in os.walk(ROOT / "personaagent", followlinks=True)
        )
        for name in names
        if name.endswith(".py")
    }
    wanted = {module: set(imported(ast.parse(file.read_text()).body)) for module, file in files.items()}
    assert len(files) > 200
    order = TopologicalSorter({module: (names & files.keys()) - {module} for module, names in wanted.items()})
    order.prepare()  # raises CycleError, with the circle


def imported(body: Sequence[ast.stmt]) -> Iterator[str]:
    """The names that these statements import, each from a module as a module of its own too."""
    for statement in body:
        match statement:
            case ast.Import(names=names):
                yield from (name.name for name in names)
            case ast.ImportFrom(module=str(module), names=names):
                yield from (f"{module}.{name.name}" for name in names)
                yield module
            case ast.If(test=test, body=then, orelse=otherwise):
                yield from imported(otherwise if "TYPE_CHECKING" in ast.dump(test) else [*then, *otherwise])
            case ast.Try(body=then, handlers=handlers):
                yield from imported([*then, *(one for handler in handlers for one in handler.body)])


def test_the_folders_at_the_top_are_rooms_of_the_one_package() -> None:
    for room in LINKED:
        link = ROOT / "personaagent" / room
        assert link.is_symlink() and str(link.readlink()) == f"../{room}"
        assert Path(str(import_module(f"personaagent.{room}").__file__)).resolve() == ROOT / room / "__init__.py"


@pytest.mark.parametrize(
    "path", [p for p in sorted(ROOT.glob("nodes/**/*.py")) if p.name != "__init__.py"], ids=lambda p: p.stem
)
def test_a_node_is_a_function_named_like_its_file(path: Path) -> None:
    module = import_module(".".join(("personaagent", *path.relative_to(ROOT).with_suffix("").parts)))
    assert callable(getattr(module, path.stem))


def test_no_function_takes_more_than_twelve_turns() -> None:
    assert [
        f"{path.relative_to(ROOT)}:{function.lineno} {function.name}"
        for folder in ("personaagent", *LINKED, "examples")
        for path in (ROOT / folder).rglob("*.py")
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and complexity(function) > 12
    ] == []


def test_langgraph_json_names_graphs_that_compile_without_a_checkpointer() -> None:
    graphs = json.loads((ROOT / "langgraph.json").read_text())["graphs"]
    assert set(graphs) == {"agent", "feedback", "alignment"}
    for entry in graphs.values():
        module, name = entry["path"].split(":")
        compiled = getattr(import_module(module), name)
        assert compiled.checkpointer is None
        assert compiled.store is None


def test_settings_and_context_share_no_field() -> None:
    from dataclasses import fields

    from personaagent.context import Context
    from personaagent.settings import Settings

    assert not {f.name for f in fields(Context)} & set(Settings.model_fields)


def test_every_setting_is_documented() -> None:
    from personaagent.settings import Settings

    text = (ROOT / "docs/settings.md").read_text()
    for name in Settings.model_fields:
        assert f"`{name}`" in text, name


def test_importing_the_graphs_loads_no_heavy_library() -> None:
    code = (
        "import sys; from personaagent.graph import agent, alignment, feedback; "
        "print([m for m in ('langchain_openai', 'openai', 'qdrant_client', 'langchain_community', 'onnxruntime', "
        "'xllamacpp', 'qdrant_edge', 'sqlalchemy.dialects.postgresql') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_a_data_command_makes_itself_alone_and_loads_no_part_of_a_server() -> None:
    from personaagent.app.cli import _called, app

    assert [group.name for group in _called(["memory", "list"]).registered_groups] == ["memory"]
    assert _called(["memory", "list"]).registered_commands == []
    assert [one.callback.__name__ for one in _called(["align"]).registered_commands if one.callback] == ["align"]
    assert all(_called(given) is app for given in ([], ["--help"], ["memroy"], ["--home", "x", "memory"]))
    code = (
        "import sys; import personaagent.app.cli, personaagent.graph.services; "
        "print([m for m in ('prometheus_client', 'langgraph', 'langchain_core', 'numpy') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
