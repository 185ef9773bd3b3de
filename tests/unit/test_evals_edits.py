"""Edits: users whose style is a pure function, a truth that depends on the answer, and what the report says of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from langchain_core.messages import BaseMessage

from personaagent.errors import InputError, ModelUnreachable
from personaagent.evals.__main__ import main
from personaagent.evals.evaluation import Wanted, _until, evaluate
from personaagent.evals.langsmith import upload
from personaagent.evals.metrics import conformity, edit_cost
from personaagent.evals.records import Prepared, Records
from personaagent.evals.report import write
from personaagent.evals.report.collect import Sheet, commits
from personaagent.evals.report.words import committed
from personaagent.evals.styles import CONTROLS, STYLES
from personaagent.evals.tasks import edits, split
from personaagent.settings import Settings
from scripted import HashEmbedder, ScriptedModels

LONG = (
    "Sure! Here is how it goes:\n\n1. **Wash** the rice in two cups of water.\n2. Boil it!\n3. Let it rest\n\n"
    "It keeps its color at 350°F. Let me know if you need more."
)
PIECES = (
    "Sure! ", "Yes. ", "- item ", "1. step ", "\n", "\n\n", "**bold** ", "# Head\n", "word ", "Word. ", "e.g. ",
    "Let me know! ", "In short: ", "Anything else? Just ask.", "```\n", "350°F ", "2 cups ", "* ", "_", "`", "two ",
    "color ", ": ", "ß", "\u0130", "# Answer",
)  # fmt: skip
TEXTS = st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=25).map("".join))


@pytest.mark.parametrize("name", STYLES)
@given(text=TEXTS)
@example(text=LONG)
@example(text="")
def test_a_style_leaves_what_it_made_as_it_is(name: str, text: str) -> None:
    made = STYLES[name](text)
    assert STYLES[name](made) == made
    assert STYLES[name](text) == made


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("one-sentence", "Wash the rice in two cups of water."),
        ("three-bullets", "- Wash the rice in two cups of water.\n- Boil it!\n- Let it rest."),
        ("numbered-steps", "1. Wash the rice in two cups of water.\n2. Boil it!\n3. Let it rest."),
        ("at-most-25-words", "Wash the rice in two cups of water. Boil it! Let it rest. It keeps its color at 350°F."),
        ("bold-summary", "**Wash the rice in two cups of water.**\n\nBoil it!"),
        ("in-short", "In short: Wash the rice in two cups of water."),
        ("one-a-paragraph", "Wash the rice in two cups of water.\n\nBoil it!\n\nLet it rest."),
        ("two-sentences", "Wash the rice in two cups of water. Boil it!"),
        ("lower-case", LONG.lower()),
        ("closing-line", f"{LONG}\n\nAnything else? Just ask."),
        ("title-line", f"# Answer\n\n{LONG}"),
        ("british", LONG.replace("color", "colour")),
        ("digits", LONG.replace("two", "2")),
        ("metric-units", LONG.replace("350°F", "177 °C")),
        ("control-1", LONG),
        ("title-and-three-bullets", "# Answer\n\n- Wash the rice in two cups of water.\n- Boil it!\n- Let it rest."),
        ("lower-case-and-two-sentences", "wash the rice in two cups of water. boil it!"),
    ],
)
def test_what_a_style_makes_of_an_answer(name: str, made: str) -> None:
    assert STYLES[name](LONG) == made


def test_a_title_is_no_point_and_a_point_is_one_sentence() -> None:
    assert STYLES["title-and-three-bullets"]("One thing alone.") == "# Answer\n\n- One thing alone."
    assert STYLES["three-bullets"]("- **A**: do this. Then that.\n- B is it.") == "- A: do this.\n- B is it."


def test_plain_prose_has_no_markdown_and_no_filler_is_left() -> None:
    assert not set("*#\n") & set(STYLES["plain-prose"](LONG))
    without = STYLES["no-filler"](LONG)
    assert not {"Sure", "!"} & {*without, without[:4]}


def test_there_are_enough_users_and_the_first_eighteen_are_of_every_kind() -> None:
    task = edits.task()
    first = [part.user_id[3:] for part in split(task, users=18)]
    mixtures = [name for name in first if "-and-" in name or "-of-" in name]
    assert len(mixtures) == 4
    assert len([name for name in first if name in CONTROLS]) == 2
    assert len([part for part in split(task) if part.user_id not in task.controls]) == 20
    assert {len(part.history) for part in split(task)} == {20}
    assert {len(part.test) for part in split(task)} == {8}


def test_questions_are_drawn_by_seed_and_training_is_never_tested() -> None:
    parts = split(edits.task(seed=1), limit=32)
    assert parts == split(edits.task(seed=1), limit=32)
    assert parts != split(edits.task(seed=2), limit=32)
    training = {row.query for part in parts for row in part.history}
    tested = {row.query for part in parts for row in part.test}
    assert len(training) == 20
    assert len(tested) == 32
    assert not training & tested


def test_edit_cost_sees_spelling_and_form_and_conformity_all_but_white_space() -> None:
    assert edit_cost([("a b c d", "a b")]) == pytest.approx(1 - 2 * 2 / 6)
    assert edit_cost([("Same words.", "same words")]) == pytest.approx(1 - 2 * 1 / 5)
    assert edit_cost([("one two", "- one\n- two")]) == pytest.approx(1 - 2 * 2 / 7)
    assert edit_cost([("one  two", "one two")]) == 0
    assert edit_cost([("", "")]) == 1
    assert conformity([("a  b", "a b"), ("A", "a"), ("", ""), ("a b", "a\nb")]) == pytest.approx(1 / 4)


def run(out: Path, models: ScriptedModels, *systems: str, users: int = 3) -> None:
    wanted = Wanted(task=edits.task(), systems=systems, out=out, users=users, limit=2, concurrency=1)
    evaluate(wanted, Settings(home=out / "unused"), models=models, embedder=HashEmbedder())


def rows_of(out: Path, system: str) -> list[tuple[str, str, str]]:
    return [(row.user_id, row.answer, row.truth) for row in Records(out / "edits" / system).rows().values()]


def test_the_truth_is_each_users_edit_of_what_the_system_answered(tmp_path: Path) -> None:
    models = ScriptedModels(LONG)
    run(tmp_path, models, "no_personalization", "rag")
    for system in ("no_personalization", "rag"):
        rows = rows_of(tmp_path, system)
        assert len(rows) == 6
        assert all(truth == STYLES[user[3:]](answer) for user, answer, truth in rows)
    # every question is asked once of the model alone, whoever has it: twenty to edit, and those of the tests
    alone = [call for call in models.calls if len(call.messages) == 2]
    assert len(alone) == len({call.messages[-1].text for call in alone})
    assert {call.kwargs.get("max_tokens") for call in models.calls} == {320}


def test_examples_are_the_edits_and_preferences_are_read_from_edits_alone(tmp_path: Path) -> None:
    models = ScriptedModels(LONG, critic="The user prefers short answers.")
    run(tmp_path, models, "rag", "cipher", users=2)
    shown = [call for call in models.calls if len(call.messages) == 10]
    assert any("Wash the rice in two cups of water." in [m.text for m in call.messages] for call in shown)
    assert len(models.calls_of("critic")) == 1  # one pair is the same twelve times, and the control edits nothing
    listed = [
        call.text for call in models.calls_of("agent") if "- The user prefers short answers." in call.messages[0].text
    ]
    assert len(listed) == 2


def test_the_agent_lives_through_the_edits_and_a_control_gets_no_persona(tmp_path: Path) -> None:
    models = ScriptedModels(LONG)
    run(tmp_path, models, "persona_agent:epochs=1,judge=3", users=2)
    held = Records(tmp_path / "edits" / "persona_agent--epochs_1-judge_3").users()
    # twelve edits end a history; of a user who edits nothing all is history
    assert {name: user.history for name, user in held.items()} == {"01-one-sentence": 12, "02-control-1": 20}
    assert held["02-control-1"].aligned_after is None
    assert not any(call.tools for call in models.calls)
    chats = [call for call in models.calls if call.role in ("agent", "simulator") and call.kind == "chat"]
    assert all(0 < call.kwargs["max_tokens"] <= 320 for call in chats)


def test_with_and_without_alignment_no_edit_is_read_into_semantic_memory(tmp_path: Path) -> None:
    aligned, unaligned = ScriptedModels(LONG), ScriptedModels(LONG)
    run(tmp_path / "a", aligned, "persona_agent:realign=12,epochs=1", users=1)
    run(tmp_path / "b", unaligned, "persona_agent:alignment=off", users=1)
    assert aligned.calls_of("simulator")
    assert not unaligned.calls_of("simulator")
    assert aligned.calls_of("summarizer") == unaligned.calls_of("summarizer") == []


def test_an_obedient_model_is_aligned_and_the_report_says_after_how_many_edits(tmp_path: Path) -> None:
    def obedient(messages: list[BaseMessage], _: object) -> str:
        rules, question = messages[0].text.lower(), messages[-1].text.splitlines()[-1]
        first = f"As to {question.rstrip('?')}, it depends."
        # whatever it is that states the length: the counted clause, or one of the form
        return first if "length of answers" in rules or "sentence" in rules else " ".join([first] * 8)

    run(tmp_path, ScriptedModels(obedient), "no_personalization", "persona_agent", users=2)
    held = Records(tmp_path / "edits" / "persona_agent").users()
    assert held["01-one-sentence"].aligned_after in (3, 6, 9, 12)
    assert held["02-control-1"].aligned_after is None
    text = write(tmp_path, HashEmbedder())[1].read_text()
    assert "persona_agent: 1 of 1 users with a style have a committed persona, the median after" in text
    assert "0 of 1 controls." in text
    assert "PersonaAgent's cost lower by" in text
    by_user = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| 0")]
    after = str(held["01-one-sentence"].aligned_after)
    assert [(cells[0].strip(), cells[-1].strip()) for cells in by_user] == [
        ("01-one-sentence", after),
        ("02-control-1", "none"),
    ]
    before, now = (float(cell) for cell in by_user[0][1:3])
    assert now < before
    assert [float(cell) for cell in by_user[1][1:3]] == [0, 0]


def test_a_stopped_run_goes_on_and_asks_nothing_twice(tmp_path: Path) -> None:
    dying = ScriptedModels(LONG)
    run(tmp_path / "whole", dying, "rag")
    needed = len(dying.calls)
    first = ScriptedModels(LONG)
    left = [needed - 3]

    def dies(*_: object) -> str | Exception:
        left[0] -= 1
        return LONG if left[0] >= 0 else ModelUnreachable("down")

    first = ScriptedModels(dies)
    with pytest.raises(ModelUnreachable):
        run(tmp_path / "cut", first, "rag")
    rest = ScriptedModels(LONG)
    run(tmp_path / "cut", rest, "rag")
    assert 0 < len(rest.calls) <= 3
    assert sorted(rows_of(tmp_path / "cut", "rag")) == sorted(rows_of(tmp_path / "whole", "rag"))


def test_edits_cannot_be_flipped(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to flip"):
        evaluate(
            Wanted(task=edits.task(), systems=("rag",), out=tmp_path, flip=0.2),
            Settings(home=tmp_path), models=ScriptedModels(LONG), embedder=HashEmbedder(),
        )  # fmt: skip


def test_edits_have_no_floor_and_no_data_set_that_all_systems_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match="truths of its own"):
        upload(tmp_path, edits.task())
    monkeypatch.setattr("sys.argv", ["evals", "floors", "--task", "edits", "--out", str(tmp_path)])
    assert main() == 1
    assert "there is no floor" in capsys.readouterr().err


def test_a_changed_style_is_other_data() -> None:
    task = edits.task()
    assert task.hash == edits.task().hash
    assert replace(task, edited=lambda _, answer: answer).hash != task.hash


def test_commits_are_counted_for_styles_and_controls_apart() -> None:
    def held(user: str, after: int | None) -> Prepared:
        return Prepared(
            user_id=user, history=12, seconds=0, calls=0, input_tokens=0, output_tokens=0, outcome="tried",
            aligned_after=after,
        )  # fmt: skip

    users = {user: held(user, after) for user, after in (("a", 6), ("b", None), ("c", 3))}
    line = SimpleNamespace(system="persona_agent")
    about = {"metric": "edits", "controls": ["c"], "choices": []}
    sheet = Sheet(about=about, surroundings={}, lines=[line], answers={}, users={"persona_agent": users})  # type: ignore[list-item]
    assert list(commits(sheet)) == [("persona_agent", [6, None], [3])]
    assert committed(sheet) == [
        "persona_agent: 1 of 2 users with a style have a committed persona, the median after 6 edits; 1 of 1 controls."
    ]


def test_a_history_ends_with_the_twelfth_edit_and_what_is_left_as_it_is_is_none() -> None:
    rows = split(edits.task(), users=1)[0].history
    told = [replace(row, response="Yes.", truth="Yes." if place % 3 else "No.") for place, row in enumerate(rows)]
    assert _until(told, 4) == told[:10]
    assert _until(told, 12) == told
    assert _until(told, None) == told
