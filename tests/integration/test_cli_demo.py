"""The demo: three acts that tell what happened, right or wrong, and leave nothing behind."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pytest
from langchain_core.messages import BaseMessage

from cli_house import Cli
from personaagent.evals.tasks import news
from personaagent.ports import Role
from scripted import ScriptedModels

AUTHOR = "journalist-10"
TRUTH = {row.query: row.truth for row in news.load()}
WORDS = ("This", "That", "Here", "There", "Another", "One", "Each")


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
    right = seen["right"]
    assert right["rows"] == 6
    # the model is never right: what is right is by the vote of the author's nearest articles
    assert 0 < right["before"] == right["after"] < 6
    assert right["majority"] > 0
    assert seen["alignment"]["committed"] is None
    assert seen["persona_after"] == seen["persona_before"]
    told = cli("demo", "--limit", "6")
    assert told.code == 0
    assert f"{right['before']} of 6" in told.out
    assert "✗ politics (true: religion)" in told.out
    assert "refused, the persona stays as it is" in told.out
    assert "Model: scripted-agent" in told.out
    assert list(temporary_folders_here.iterdir()) == []


def test_a_committed_alignment_shows_its_difference_and_the_better_answers(
    cli: Cli, scripted_models: ScriptedModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def sure(role: Role, messages: list[BaseMessage], choices: list[str]) -> dict[str, float]:
        said = right_once_aligned(role, messages, choices)
        return {choice: 0.9982 if choice == said else 0.0001 for choice in choices}

    monkeypatch.setattr(scripted_models, "probabilities", sure)
    seen = cli("demo", "--limit", "6", "--json").json
    assert seen["right"]["before"] < seen["right"]["after"]
    assert (seen["alignment"]["committed"], seen["alignment"]["proposer"]) == (1, "histogram")
    told = cli("demo", "--limit", "6").out
    assert "committed: Version 1: " in told
    assert '+ - Signs of "politics"' in told
    assert "✓ politics" in told


def test_a_reader_who_cuts_answers_down_gets_short_ones_and_a_wish_holds_until_it_is_taken_back(
    cli: Cli, scripted_models: ScriptedModels
) -> None:
    """The scripted model obeys what its system prompt states of length, and says more where nothing is stated."""

    def obedient(messages: list[BaseMessage], _tools: object) -> str:
        short = re.search("- Answer in (?!exactly)", messages[0].text)
        return " ".join(f"{word} is a sentence of a long answer about this." for word in WORDS[: 2 if short else 7])

    for model in scripted_models._models.values():
        model.script = obedient
    seen = cli("demo", "--limit", "2", "--json").json["talk"]
    assert seen["alignment"]["committed"] == 1
    assert seen["alignment"]["proposer"] == "edits"
    assert all(one["answer"] != one["kept"] for one in seen["before"])
    assert all(one["answer"] == one["kept"] for one in seen["after"]), seen["after"]
    assert len(seen["edited"]) == 12
    assert seen["pins"] == [["call me Ann"], []]
    told = cli("demo", "--limit", "2").out
    assert "+ - Answer in " in told
    assert "in force in every conversation: call me Ann" in told


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
