"""The commands over a real ledger and index: what they do, what they print, and how they refuse."""

from __future__ import annotations

import asyncio
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cli_house import Cli, history_file
from personaagent.errors import ModelDenied, ModelUnreachable
from personaagent.graph.services import Services
from personaagent.persona.monitor import Monitor
from personaagent.types import Critique, Persona
from scripted import HashEmbedder, ScriptedModels

ROWS = [("does it rain in Oslo", "yes"), ("is the moon cheese", "no"), ("is tea hot", "yes"), ("do cats fly", "no")]


def one(error: str) -> str:
    """The error's only line."""
    lines = error.strip().splitlines()
    assert len(lines) == 1, error
    assert "Traceback" not in error
    return lines[0]


def test_an_import_is_idempotent_and_becomes_memory_facts_and_persona(cli: Cli, tmp_path: Path) -> None:
    file = history_file(tmp_path, ROWS, task="quiz", choices=["yes", "no"])
    assert cli("import", str(file), "--user", "ann", "--json").json == {"read": 4, "new": 4, "bad": []}
    assert cli("import", str(file), "--user", "ann", "--json").json["new"] == 0
    listed = cli("memory", "list", "--user", "ann", "--json").json
    assert listed["count"] == 4
    assert [i["ground_truth"] for i in listed["interactions"]] == ["yes", "no", "yes", "no"]
    assert "quiz" in cli("memory", "facts", "--user", "ann", "--json").json[0]["text"]
    assert "quiz" in cli("persona", "show", "--user", "ann").out
    found = cli("memory", "search", "moon cheese", "--user", "ann", "-k", "1", "--json").json
    assert found[0]["interaction"]["query"] == "is the moon cheese"
    assert cli("memory", "list", "--user", "bob", "--json").json["count"] == 0
    assert cli("memory", "search", "moon cheese", "--user", "bob", "--json").json == []


def test_a_history_from_another_assistant_becomes_memory_in_one_command(cli: Cli, tmp_path: Path) -> None:
    said = [{"role": "user", "content": "Which tea is mild?"}, {"role": "assistant", "content": "Green tea."}]
    file = tmp_path / "conversations.json"
    file.write_text(json.dumps([{"id": "one", "messages": said}, {"id": "two", "messages": "odd"}]))
    ran = cli("import", str(file), "--user", "ann")
    assert "conversations, 1 conversations, 1 of your messages" in ran.out
    assert "1 new of 1 rows imported, 1 bad" in ran.out
    assert f"{file}:entry 2" in ran.err
    listed = cli("memory", "list", "--user", "ann", "--json").json
    assert [(i["query"], i["ground_truth"]) for i in listed["interactions"]] == [("Which tea is mild?", None)]
    assert cli("import", str(file), "--user", "bob", "--since", "2999-01-01", "--json").json["read"] == 0


def test_bad_rows_are_named_by_file_and_line_and_the_good_ones_stay(cli: Cli, tmp_path: Path) -> None:
    file = history_file(tmp_path, ROWS[:2])
    file.write_text(file.read_text() + '{broken\n{"query": "no response"}\n')
    ran = cli("import", str(file), "--user", "ann")
    assert ran.code == 1
    assert f"{file}:3:" in ran.err
    assert f"{file}:4:" in ran.err
    assert "2 new of 2 rows imported, 2 bad" in ran.out
    assert cli("memory", "list", "--user", "ann", "--json").json["count"] == 2
    again = cli("import", str(file), "--user", "ann", "--json")
    assert again.code == 1
    assert len(again.json["bad"]) == 2


def test_a_turn_its_feedback_and_the_alignment_that_waits(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSONAAGENT_ALIGN_AFTER", "1")
    monkeypatch.setenv("PERSONAAGENT_ALIGN_DELAY_S", "0")
    turn = cli("chat", "--user", "ann", "--once", "hello there", "--json").json
    assert turn["answer"] == "an answer"
    assert turn["persona_version"] == 0
    told = cli("feedback", "--user", "ann", "--interaction", turn["interaction_id"], "--truth", "hi", "--json").json
    assert told["interaction"]["ground_truth"] == "hi"
    assert told["alignment_due"] is True
    done = cli("worker", "--once", "--json").json["done"]
    assert [d["user_id"] for d in done] == ["ann"]
    assert "at least 2 are needed" in done[0]["outcome"]
    assert cli("worker", "--once", "--json").json == {"done": []}
    pending = cli("align", "--user", "ann", "--pending", "--json").json
    assert pending["outcome"] == "no alignment is pending"


def test_choices_are_answered_by_one_of_them(cli: Cli) -> None:
    ran = cli("chat", "--user", "ann", "--once", "rain?", "--choice", "yes", "--choice", "no", "--task", "quiz")
    assert (ran.code, ran.out.strip()) == (0, "yes")


def test_a_rating_is_feedback_too(cli: Cli) -> None:
    turn = cli("chat", "--user", "ann", "--once", "hello", "--json").json
    told = cli("feedback", "--user", "ann", "-i", turn["interaction_id"], "--rating", "5", "--json").json
    assert told["interaction"]["ground_truth"] == "an answer"
    bad = cli("feedback", "--user", "ann", "-i", turn["interaction_id"], "--rating", "9")
    assert bad.code == 1
    assert "give 1 to 5" in one(bad.err)


@pytest.mark.parametrize(
    ("given", "kept", "told"),
    [
        (["--edit", "answer"], {"ground_truth": "answer", "truth_source": "edit"}, "from 2 to 1 words"),
        (["--thumb", "up"], {"ground_truth": "an answer", "rating": 5}, "Right as it was."),
        (
            ["--thumb", "down", "--comment", "too long"],
            {"rating": 1, "comment": "too long"},
            "answers: too long.",
        ),
        (["--pick", "tea", "--over", "coffee"], {"ground_truth": "tea", "rejected": "coffee"}, "you prefer: tea"),
    ],
)
def test_an_edit_a_thumb_a_comment_and_a_pick_say_what_was_understood(
    cli: Cli, given: list[str], kept: dict[str, Any], told: str
) -> None:
    turn = cli("chat", "--user", "ann", "--once", "hello", "--json").json
    command = ["feedback", "--user", "ann", "-i", turn["interaction_id"], *given]
    assert told in cli(*command).out
    interaction = cli(*command, "--json").json["interaction"]
    assert {name: interaction[name] for name in kept} == kept


def test_an_edit_is_read_from_a_file_and_two_truths_at_once_are_refused(cli: Cli, tmp_path: Path) -> None:
    key = cli("chat", "--user", "ann", "--once", "hello", "--json").json["interaction_id"]
    file = tmp_path / "edited.txt"
    file.write_text("an answer, edited\n")
    got = cli("feedback", "--user", "ann", "-i", key, "--edit-file", str(file), "--json").json
    assert got["interaction"]["ground_truth"] == "an answer, edited"
    assert cli("feedback", "--user", "ann", "-i", key, "--edit", "x", "--truth", "y").code == 2
    assert "picked and over" in cli("feedback", "--user", "ann", "-i", key, "--pick", "x").err


def test_a_wish_is_noted_listed_and_shown(cli: Cli) -> None:
    ran = cli("chat", "--user", "ann", "--once", "From now on answer in one sentence.")
    assert ran.out.strip() == "an answer"
    assert 'I will: answer in one sentence. (undo: say "forget that")' in ran.err
    assert "said" in cli("persona", "pins", "--user", "ann").out
    assert "answer in one sentence" in cli("persona", "show", "--user", "ann").out


def test_align_tells_its_outcome_and_cost(cli: Cli, tmp_path: Path) -> None:
    file = history_file(tmp_path, ROWS * 3, task="quiz", choices=["yes", "no"])
    cli("import", str(file), "--user", "ann")
    ran = cli("align", "--user", "ann", "--epochs", "1", "--batch", "2", "--judge", "4", "--json")
    assert ran.code == 0
    assert ran.json["outcome"]
    assert ran.json["calls"] >= 6
    shown = cli("align", "--user", "ann", "--epochs", "1", "--batch", "2", "--judge", "4")
    assert "2 interactions teach, 10 newer ones judge" in shown.err  # 4 are too few to prove a candidate by
    assert "epoch 1: candidates:" in shown.err


def test_what_the_gate_turned_down_is_listed_with_alignment_epoch_and_reason(cli: Cli, tmp_path: Path) -> None:
    assert "none was turned down" in cli("persona", "candidates", "--user", "ann").out
    cli("import", str(history_file(tmp_path, ROWS * 6, task="quiz", choices=["yes", "no"])), "--user", "ann")
    cli("align", "--user", "ann", "--epochs", "1")
    listed = cli("persona", "candidates", "--user", "ann", "--json").json
    assert listed
    assert {row["epoch"] for row in listed} == {1}
    assert len({row["run"] for row in listed}) == 1
    assert all(row["verdict"]["reason"] for row in listed)
    assert any(row["verdict"]["loss_before"] is not None for row in listed)  # judged, not only refused


def test_why_a_version_came_about_is_told_with_what_critics_had_said(cli: Cli, tmp_path: Path) -> None:
    cli("import", str(history_file(tmp_path, ROWS, task="quiz", choices=["yes", "no"])), "--user", "ann")
    at = datetime(2026, 1, 1, tzinfo=UTC)

    async def keep() -> str:
        services = Services(models=ScriptedModels(), embedder=HashEmbedder())
        about = (await services.interactions.newest("ann", 1))[0].id
        said: dict[str, Any] = {
            "run": "r1",
            "epoch": 1,
            "interaction_id": about,
            "loss": 1.0,
            "evidence": (about,),
            "created_at": at,
        }
        await services.seeds.persona("ann")
        critiques = [Critique(text=f"Said of {n}.", version=n, **said | {"run": f"r{n}"}) for n in (0, 1)]
        await services.critiques.save("ann", critiques)
        await services.close()
        return about

    about = asyncio.run(keep())
    shown = cli("persona", "why", "--user", "ann")
    assert "Said of 0." in shown.out and "loss 1.00" in shown.out and "Said of 1." not in shown.out
    (one,) = cli("persona", "why", "0", "--user", "ann", "--json").json["critiques"]
    assert (one["interaction_id"], one["text"]) == (about, "Said of 0.")
    assert cli("persona", "why", "9", "--user", "ann").code == 1


def test_feedback_says_that_the_monitor_took_a_version_back(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    taken_back = Persona(
        user_id="ann", version=2, sections={}, origin="rollback", created_at=datetime.now(UTC), parent=1,
        reason="rolled back by the monitor: live loss 0.10 → 0.90",
    )  # fmt: skip

    async def watch(self: Monitor, user_id: str) -> Persona:
        return taken_back

    monkeypatch.setattr(Monitor, "watch", watch)
    turn = cli("chat", "--user", "ann", "--once", "hello there", "--json").json
    told = cli("feedback", "--user", "ann", "-i", turn["interaction_id"], "--truth", "tea")
    assert "persona 2: rolled back by the monitor" in told.out


def test_versions_are_edited_compared_and_rolled_back(cli: Cli, tmp_path: Path) -> None:
    assert cli("persona", "history", "--user", "ann", "--json").json == []
    cli("persona", "show", "--user", "ann")
    text = tmp_path / "persona.md"
    text.write_text("## who\n- Keeps bees.\n")
    edited = cli("persona", "edit", "--user", "ann", "--file", str(text), "--json").json
    assert (edited["version"], edited["origin"], edited["proposer"]) == (1, "manual", "user")
    assert cli("persona", "edit", "--user", "ann", "--file", str(text), "--json").json["version"] == 1
    assert "+ - Keeps bees." in cli("persona", "diff", "--user", "ann").out
    lines = cli("persona", "diff", "--user", "ann", "0", "1", "--json").json["lines"]
    assert {"change": "added", "line": "- Keeps bees."} in lines
    back = cli("persona", "rollback", "--user", "ann", "0", "--yes", "--json").json
    assert (back["version"], back["origin"]) == (2, "rollback")
    assert "Keeps bees" not in cli("persona", "show", "--user", "ann").out
    assert "Keeps bees" in cli("persona", "show", "--user", "ann", "--version", "1").out
    assert [p["version"] for p in cli("persona", "history", "--user", "ann", "--json").json] == [0, 1, 2]


def test_an_editor_writes_the_next_version(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nprintf "## interests\\n- Sailing.\\n" >> "$1"\n')
    editor.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(editor))
    edited = cli("persona", "edit", "--user", "ann", "--json").json
    assert [c["text"] for c in edited["sections"]["interests"]][-1] == "Sailing."
    monkeypatch.setenv("VISUAL", str(tmp_path / "missing"))
    failed = cli("persona", "edit", "--user", "ann")
    assert failed.code == 1
    assert "set EDITOR" in one(failed.err)


def test_a_pin_is_the_users_own_and_can_be_taken_back(cli: Cli) -> None:
    pin = cli("persona", "pin", "--user", "ann", "always answer in French", "--json").json
    assert "always answer in French" in cli("persona", "show", "--user", "ann").out
    assert cli("persona", "pins", "--user", "bob", "--json").json == []
    assert cli("persona", "unpin", "--user", "bob", pin["id"]).code == 1
    assert len(cli("persona", "pins", "--user", "ann", "--json").json) == 1
    assert cli("persona", "unpin", "--user", "ann", pin["id"]).code == 0
    assert cli("persona", "pins", "--user", "ann", "--json").json == []


def test_a_revoked_tool_is_gone_until_it_is_granted_again(cli: Cli) -> None:
    def granted() -> set[str]:
        return {t["name"] for t in cli("tools", "list", "--user", "ann", "--json").json if t["granted"]}

    before = granted()
    assert "wikipedia" in before
    assert cli("tools", "revoke", "wikipedia", "--user", "ann", "--json").json["granted"] is False
    assert granted() == before - {"wikipedia"}
    assert cli("tools", "grant", "wikipedia", "--user", "ann", "--json").json["granted"] is True
    assert granted() == before
    unknown = cli("tools", "grant", "rocket", "--user", "ann")
    assert unknown.code == 1
    assert "there is no tool 'rocket'" in one(unknown.err)


def test_forgetting_takes_what_was_named_and_needs_a_yes(cli: Cli, tmp_path: Path) -> None:
    cli("import", str(history_file(tmp_path, ROWS)), "--user", "ann")
    cli("import", str(history_file(tmp_path, ROWS)), "--user", "bob")
    first = cli("memory", "list", "--user", "ann", "--json").json["interactions"][0]["id"]
    unasked = cli("memory", "forget", "--user", "ann", "-i", first)
    assert unasked.code == 2
    assert "--yes" in one(unasked.err)
    report = cli("memory", "forget", "--user", "ann", "-i", first, "--yes", "--json").json
    assert report["interactions"] == [first]
    assert cli("memory", "forget", "--user", "ann", "-i", first, "--yes").code == 1
    cli("memory", "forget", "--user", "ann", "--before", "2026-01-03", "--yes")
    assert cli("memory", "list", "--user", "ann", "--json").json["count"] == 2
    assert cli("memory", "forget", "--user", "ann", "--yes").code == 2
    cli("memory", "forget", "--user", "ann", "--everything", "--yes")
    assert cli("memory", "list", "--user", "ann", "--json").json["count"] == 0
    assert cli("memory", "search", "moon", "--user", "ann", "--json").json == []
    assert cli("memory", "list", "--user", "bob", "--json").json["count"] == 4


def test_a_matter_is_shown_before_it_is_forgotten(cli: Cli, tmp_path: Path) -> None:
    cli("import", str(history_file(tmp_path, ROWS)), "--user", "ann")
    once = cli("chat", "--user", "ann", "--once", "Forget what I said about the moon")
    assert once.out.strip() == "Nothing was forgotten."
    assert "said: is the moon cheese" in once.err
    unasked = cli("memory", "forget", "--user", "ann", "--about", "the moons")
    assert (unasked.code, "said: is the moon cheese" in unasked.err) == (2, True)
    assert cli("memory", "list", "--user", "ann", "--json").json["count"] == 4
    ran = cli("memory", "forget", "--user", "ann", "--about", "the moons", "--yes", "--json")
    assert "1 interaction would be forgotten" in ran.err
    assert len(ran.json["interactions"]) == 1
    assert "moon" not in cli("memory", "list", "--user", "ann", "--json").out
    nothing = cli("memory", "forget", "--user", "ann", "--about", "the moons")
    assert (nothing.code, "0 interactions would be forgotten" in nothing.err) == (0, True)
    assert cli("memory", "forget", "--user", "ann", "--about", "it", "--yes").code == 1
    assert cli("memory", "forget", "--user", "ann", "--about", "tea", "--everything", "--yes").code == 2


def test_a_user_is_carried_elsewhere_in_one_file(cli: Cli, tmp_path: Path) -> None:
    cli("import", str(history_file(tmp_path, ROWS)), "--user", "ann")
    cli("persona", "pin", "--user", "ann", "be brief")
    file = tmp_path / "ann.json"
    assert cli("memory", "export", "--user", "ann", str(file), "--json").json["interactions"] == 4
    assert file.stat().st_mode & 0o777 == 0o600
    assert cli("memory", "export", "--user", "ann").json["interactions"] == json.loads(file.read_text())["interactions"]
    elsewhere = ("--home", str(tmp_path / "elsewhere"))
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())  # as an editor on Windows saves it
    assert cli("memory", "import", str(file), "--user", "eve", *elsewhere, "--json").json["pins"] == 1
    assert cli("memory", "list", "--user", "eve", *elsewhere, "--json").json["count"] == 4
    assert len(cli("memory", "search", "moon", "--user", "eve", "-k", "1", *elsewhere, "--json").json) == 1
    file.write_text("[1, 2")
    broken = cli("memory", "import", str(file), "--user", "eve", *elsewhere)
    assert broken.code == 1
    assert "is not JSON" in one(broken.err)


def test_a_new_index_finds_what_the_old_one_found(cli: Cli, tmp_path: Path) -> None:
    cli("import", str(history_file(tmp_path, ROWS)), "--user", "ann")
    assert cli("memory", "reindex", "--json").json == {"indexed": 4}
    assert len(cli("memory", "search", "moon", "--user", "ann", "-k", "4", "--json").json) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["chat", "--user", "", "--once", "x"], "user_id is missing or empty"),
        (["chat", "--user", "u" * 10_000, "--once", "x"], "10000 characters"),
        (["chat", "--user", "a\nb", "--once", "x"], "control characters"),
        (["chat", "--user", "ann", "--once", "  "], "the message is empty"),
        (["chat", "--user", "ann", "--once", "x" * 1_000_000], "1000000 characters"),
        (["memory", "search", "", "--user", "ann"], "the message is empty"),
        (["feedback", "--user", "ann", "-i", "unknown", "--truth", "x"], "no interaction 'unknown'"),
        (["persona", "rollback", "--user", "ann", "7", "--yes"], "no version 7"),
        (["persona", "show", "--user", "ann", "--version", "7"], "no version 7"),
        (["persona", "pin", "--user", "ann", " "], "1 to 500 characters"),
        (["persona", "edit", "--user", "ann", "--file", "/nowhere.md"], "cannot be read"),
        (["import", "--user", "ann", "/nowhere.jsonl"], "cannot be read"),
        (["memory", "import", "--user", "ann", "/nowhere.json"], "cannot be read"),
        (["memory", "forget", "--user", "ann", "-i", "unknown", "--yes"], "no interaction 'unknown'"),
        (["demo", "--author", "nobody"], "there is no author 'nobody'"),
    ],
)
def test_bad_input_is_one_named_line(cli: Cli, arguments: list[str], message: str) -> None:
    ran = cli(*arguments)
    assert ran.code == 1
    assert message in one(ran.err)
    assert ran.out == ""
    as_json = cli(*arguments, "--json")
    assert as_json.code == 1
    assert message in as_json.json["error"]["message"]
    assert as_json.json["error"]["name"] != "UsageError"


@pytest.mark.parametrize("user", ["a/../b", "näme 🐝", "a'; drop table users; --", "u" * 256])
def test_strange_user_ids_are_just_users(cli: Cli, user: str) -> None:
    assert cli("chat", "--user", user, "--once", "hello").code == 0
    assert cli("memory", "list", "--user", user, "--json").json["count"] == 1
    assert cli("memory", "list", "--user", "other", "--json").json["count"] == 0


def test_another_users_interaction_cannot_be_labelled(cli: Cli) -> None:
    turn = cli("chat", "--user", "ann", "--once", "hello", "--json").json
    ran = cli("feedback", "--user", "bob", "-i", turn["interaction_id"], "--truth", "mine now")
    assert ran.code == 1
    assert "no interaction" in one(ran.err)
    assert cli("memory", "list", "--user", "ann", "--json").json["interactions"][0]["ground_truth"] is None


def test_a_label_outside_of_the_choices_is_refused(cli: Cli) -> None:
    turn = cli("chat", "--user", "ann", "--once", "rain?", "--choice", "yes", "--choice", "no", "--json").json
    ran = cli("feedback", "--user", "ann", "-i", turn["interaction_id"], "--truth", "maybe", "--json")
    assert ran.code == 1
    assert ran.json["error"]["name"] == "InvalidLabel"


@pytest.mark.parametrize("error", [ModelUnreachable("it does not answer"), ModelDenied("it refuses the key")])
def test_a_model_that_fails_is_named_and_loses_nothing(
    cli: Cli, scripted_models: ScriptedModels, error: Exception
) -> None:
    scripted_models.fail("agent", error)
    ran = cli("chat", "--user", "ann", "--once", "hello", "--json")
    assert ran.code == 1
    assert ran.json["error"] == {"name": type(error).__name__, "message": str(error)}
    assert cli("chat", "--user", "ann", "--once", "hello", "--json").json["answer"] == "an answer"


def test_a_model_that_answers_nothing_leaves_a_turn_that_says_so(cli: Cli, scripted_models: ScriptedModels) -> None:
    silent = ScriptedModels("", tool_calling=False)
    scripted_models._models = silent._models
    ran = cli("chat", "--user", "ann", "--once", "hello")
    assert ran.code == 0
    assert "the model answered nothing" in ran.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_home_is_named(cli: Cli, tmp_path: Path) -> None:
    home = tmp_path / "closed"
    home.mkdir(mode=0o500)
    ran = cli("--home", str(home), "import", str(history_file(tmp_path, ROWS)), "--user", "ann")
    assert ran.code == 1
    assert "cannot be written" in one(ran.err)


def test_a_home_that_cannot_be_a_folder_is_named(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    ran = cli("memory", "list", "--user", "ann", "--home", str(tmp_path / "file" / "home"), "--json")
    assert ran.code == 1
    assert ran.json["error"]["name"] == "HomeNotWritable"


def test_wrong_usage_exits_with_2_and_one_line(cli: Cli) -> None:
    for arguments in (
        ["memory", "list"],
        ["nonsense"],
        ["feedback", "--user", "ann", "-i", "x"],
        ["feedback", "--user", "ann", "-i", "x", "--truth", "a", "--edit", "b"],
        ["align", "--user", "ann", "--batch", "0"],
        ["chat", "--user", "ann", "--json"],
    ):
        ran = cli(*arguments)
        assert ran.code == 2, arguments
        assert one(ran.err.splitlines()[-1])
    assert cli("nonsense", "--json").json["error"]["name"] == "UsageError"


def test_the_home_before_the_command_is_the_commands_home(cli: Cli, tmp_path: Path) -> None:
    there = str(tmp_path / "there")
    cli("--home", there, "chat", "--user", "ann", "--once", "hello")
    assert cli("memory", "list", "--user", "ann", "--home", there, "--json").json["count"] == 1
    assert cli("memory", "list", "--user", "ann", "--json").json["count"] == 0


def test_something_unexpected_is_one_line_and_a_traceback_on_request(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("personaagent.app.cli_run.with_services", broken)
    assert "PERSONAAGENT_DEBUG=1" in one(cli("memory", "list", "--user", "ann").err)
    monkeypatch.setenv("PERSONAAGENT_DEBUG", "1")
    assert "Traceback" in cli("memory", "list", "--user", "ann").err
