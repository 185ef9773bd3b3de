"""The shape of the repository is a promise: these tests hold it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ["app", "evals", "graph", "nodes", "tools", "personaagent"]


def test_imports_go_one_way() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_our_packages_win_over_any_installed_distribution_of_the_same_name() -> None:
    code = f"import importlib.util as u; print([u.find_spec(p).origin for p in {PACKAGES}])"
    out = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd="/", capture_output=True, text=True, check=True, env=dict(os.environ)
    ).stdout
    for package in PACKAGES:
        assert str(ROOT / package / "__init__.py") in out


@pytest.mark.parametrize(
    "path", [p for p in sorted(ROOT.glob("nodes/**/*.py")) if p.name != "__init__.py"], ids=lambda p: p.stem
)
def test_a_node_is_a_function_named_like_its_file(path: Path) -> None:
    module = import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    assert callable(getattr(module, path.stem))


@pytest.mark.parametrize("path", sorted(p for k in PACKAGES for p in (ROOT / k).rglob("*.py")), ids=str)
def test_a_module_reads_in_one_sitting(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 260


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
        "import graph.agent, graph.alignment, graph.feedback, sys; "
        "print([m for m in ('langchain_openai', 'openai', 'qdrant_client', 'langchain_community', 'onnxruntime', "
        "'xllamacpp', 'qdrant_edge') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
