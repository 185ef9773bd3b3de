"""The demo over the committed sample: it tells what happened, right or wrong, and leaves nothing behind."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from langchain_core.messages import BaseMessage

from cli_house import Cli
from evals.tasks import news
from personaagent.ports import Role
from scripted import ScriptedModels

AUTHOR = "journalist-10"
TRUTH = {row.query: row.truth for row in news.load()}


def always_travel(role: Role, messages: list[BaseMessage], choices: list[str]) -> str:
    return "travel"


def right_once_aligned(role: Role, messages: list[BaseMessage], choices: list[str]) -> str:
    """Only the aligned persona has the statistics' signs; then the answer is the truth."""
    asked = next((truth for query, truth in TRUTH.items() if query in messages[-1].text), "travel")
    return asked if "Signs of" in messages[0].text else "travel"


@pytest.fixture(autouse=True)
def temporary_folders_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_wrong_answers_are_shown_and_a_refused_alignment_is_said(
    cli: Cli, scripted_models: ScriptedModels, temporary_folders_here: Path
) -> None:
    scripted_models._choose = always_travel
    seen = cli("demo", "--limit", "6", "--json").json
    assert seen["right"] | {"majority": 0, "last": 0} == {"rows": 6, "before": 0, "after": 0, "majority": 0, "last": 0}
    assert seen["right"]["majority"] > 0
    assert seen["alignment"]["committed"] is None
    assert seen["persona_after"] == seen["persona_before"]
    told = cli("demo", "--limit", "6")
    assert told.code == 0
    assert "0 of 6" in told.out
    assert "✗ travel" in told.out
    assert "refused, the persona stays as it is" in told.out
    assert "Model: scripted-agent" in told.out
    assert list(temporary_folders_here.iterdir()) == []


def test_a_committed_alignment_shows_its_difference_and_the_better_answers(
    cli: Cli, scripted_models: ScriptedModels
) -> None:
    scripted_models._choose = right_once_aligned
    seen = cli("demo", "--limit", "6", "--json").json
    assert (seen["right"]["before"], seen["right"]["after"]) == (0, 6)
    assert (seen["alignment"]["committed"], seen["alignment"]["proposer"]) == (1, "histogram")
    told = cli("demo", "--limit", "6").out
    assert "committed: version 1 by histogram" in told
    assert '+ - Signs of "politics"' in told
    assert "✓ politics" in told


def test_held_out_articles_are_the_latest_and_never_labelled(cli: Cli, tmp_path: Path) -> None:
    home = str(tmp_path / "kept")
    seen = cli("demo", "--limit", "3", "--home", home, "--json").json
    rows = [row for row in news.load() if row.user_id == AUTHOR]
    assert [a["query"] for a in seen["held_out"]] == [row.query for row in rows[-3:]]
    assert [a["query"] for a in seen["labelled"]] == [row.query for row in rows[-6:-3]]
    kept = cli("memory", "list", "--user", AUTHOR, "--home", home, "-n", "1000", "--json").json
    assert kept["count"] == len(rows) - 3
    assert all(i["ground_truth"] for i in kept["interactions"])
    again = cli("demo", "--limit", "3", "--home", home)
    assert again.code == 1
    assert f"has memories of {AUTHOR}" in again.err


def test_the_folder_is_kept_where_that_is_asked_for(cli: Cli, temporary_folders_here: Path) -> None:
    told = cli("demo", "--limit", "2", "--keep").out
    kept = next(temporary_folders_here.iterdir())
    assert (kept / "ledger.sqlite").exists()
    assert str(kept) in told.replace("\n", "")


def test_an_author_with_too_few_articles_is_told_the_most_that_can_be_asked(cli: Cli) -> None:
    ran = cli("demo", "--author", "journalist-26", "--limit", "40")
    assert ran.code == 1
    assert "give --limit 21 at most" in ran.err
