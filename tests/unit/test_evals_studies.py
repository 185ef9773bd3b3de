"""Studies: histories disturbed on purpose, one thing varied, curves and money in the report."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_evals_systems import colours

from personaagent.errors import InputError
from personaagent.evals.disturb import flipped, turned
from personaagent.evals.evaluation import Wanted, evaluate
from personaagent.evals.records import find_runs
from personaagent.evals.report import write
from personaagent.evals.report.collect import prices_of, sheets
from personaagent.evals.report.svg import across, within
from personaagent.evals.studies import STUDIES, wanted_by
from personaagent.evals.systems.registry import parse
from personaagent.evals.tasks import Task, news, split
from personaagent.settings import Settings
from scripted import HashEmbedder, ScriptedModels


def run(wanted: Wanted) -> None:
    evaluate(wanted, Settings(home=wanted.out / "unused"), models=ScriptedModels("short"), embedder=HashEmbedder())


def test_noise_hits_exactly_its_share_of_the_history_and_no_test_row() -> None:
    task = news.task()
    clean = split(task, limit=4)
    noisy = flipped(task, clean, 0.2, seed=3)
    for before, after in zip(clean, noisy, strict=True):
        wrong = [a.truth != b.truth for a, b in zip(before.history, after.history, strict=True)]
        assert sum(wrong) == round(0.2 * len(wrong))
        assert {row.truth for row in after.history} <= {row.truth for row in (*before.history, *before.test)}
        assert after.test == before.test
    assert flipped(task, clean, 0.2, seed=3) == noisy
    assert flipped(task, clean, 0.2, seed=4) != noisy


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_a_share_outside_of_0_to_1_is_refused(share: float) -> None:
    with pytest.raises(InputError, match="--flip"):
        flipped(news.task(), split(news.task()), share, seed=0)


def test_a_taste_turns_half_way_and_stays_turned_in_the_test_rows() -> None:
    task = news.task()
    clean = split(task, limit=4)
    for before, after in zip(clean, turned(task, clean, seed=0), strict=True):
        middle = len(before.history) // 2
        assert after.history[:middle] == before.history[:middle]
        old = [row.truth for row in (*before.history[middle:], *before.test)]
        new = [row.truth for row in (*after.history[middle:], *after.test)]
        assert all(a != b for a, b in zip(old, new, strict=True))
        assert len(set(zip(old, new, strict=True))) == len(set(old)) == len(set(new))


def test_a_scale_turns_into_its_mirror_image() -> None:
    plain = colours()
    scale = Task(
        name=plain.name, instructions=plain.instructions, choices=plain.choices, metric="mae", users=plain.users
    )
    after = turned(scale, split(scale), seed=0)[0]
    mirrored = dict(zip(plain.choices, reversed(plain.choices), strict=True))
    assert [row.truth for row in after.test] == [mirrored[row.truth] for row in split(scale)[0].test]


def test_a_task_whose_rows_share_no_labels_has_nothing_to_flip() -> None:
    task = Task(name="free", instructions="", choices=(), metric="rouge", users={})
    with pytest.raises(InputError, match="nothing to flip"):
        turned(task, [], seed=0)


def test_every_study_names_systems_that_exist_and_varies_one_thing() -> None:
    base = Wanted(task=colours(), systems=(), out=Path("out"))
    for name, study in STUDIES.items():
        for spec in study.systems:
            parse(spec)
        made = list(wanted_by(name, base))
        assert len({wanted.out for wanted in made}) == len(made)
        assert len({wanted.cache for wanted in made}) == 1
        assert sum(len(values) > 1 for values in (study.histories, study.memories, study.flips)) <= 1
    with pytest.raises(InputError, match="noise"):
        list(wanted_by("nosie", base))


def test_a_study_from_sheet_to_sheet_becomes_a_curve(tmp_path: Path) -> None:
    base = Wanted(task=colours(), systems=(), out=tmp_path, limit=2)
    for wanted in wanted_by("memories", base):
        run(wanted)
    found = sheets(find_runs(tmp_path))
    curves = list(across(found))
    assert [(task, curve.axis) for task, curve in curves] == [(base.task.name, "memories")]
    assert [number for number, _ in curves[0][1].lines["rag"]] == [0, 1, 2, 4, 8]
    html, _ = write(tmp_path, HashEmbedder())
    assert "accuracy by memories" in html.read_text()


def test_systems_that_differ_in_one_number_become_a_curve(tmp_path: Path) -> None:
    specs = ("persona_agent:judge=3", "persona_agent:epochs=1,judge=3", "persona_agent:alignment=off")
    run(Wanted(task=colours(), systems=specs, out=tmp_path, limit=2))
    (curve,) = within(sheets(find_runs(tmp_path))[0])
    assert curve.axis == "epochs"
    assert [number for number, _ in curve.lines["persona_agent:judge=3"]] == [1, 3]


def test_runs_on_disturbed_histories_are_not_compared_with_clean_ones(tmp_path: Path) -> None:
    for place, flip in (("clean", 0.0), ("noisy", 0.5)):
        run(Wanted(task=colours(), systems=("rag",), out=tmp_path / place, limit=2, flip=flip))
    found = sheets(find_runs(tmp_path))
    assert [sheet.about.get("flip") for sheet in found] == [None, 0.5]
    _, markdown = write(tmp_path, HashEmbedder())
    assert "50% of its truths made wrong" in markdown.read_text()


def test_money_is_tokens_at_the_given_prices(tmp_path: Path) -> None:
    run(Wanted(task=colours(), systems=("no_personalization",), out=tmp_path, limit=2))
    records = find_runs(tmp_path)
    rows = list(records[0].rows().values())
    (line,) = [x for x in sheets(records, prices_of("1000000,2000000"))[0].lines if x.system == "no_personalization"]
    assert line.money == pytest.approx(sum(row.input_tokens + 2 * row.output_tokens for row in rows) / len(rows))
    assert line.money
    html, _ = write(tmp_path, HashEmbedder(), prices_of("1,2"))
    assert "money / query" in html.read_text()


@pytest.mark.parametrize("text", ["", "1", "a,b", "1,2,3", "-1,2", "nan,1", "inf,1"])
def test_prices_that_are_no_prices_are_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"0\.15,0\.60"):
        prices_of(text)
