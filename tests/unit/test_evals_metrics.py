"""Scores against values worked out by hand, and intervals that behave."""

from __future__ import annotations

import math

import pytest

from personaagent.evals.metrics import (
    accuracy,
    edit_cost,
    log_likelihood,
    macro_f1,
    mae,
    rmse,
    rouge_1,
    rouge_l,
    scores_of,
    unparsable,
)
from personaagent.evals.stats import interval, lowered, paired


def test_a_label_is_right_only_when_it_is_exactly_the_truth_after_strip() -> None:
    assert accuracy([(" a \n", "a"), ("A", "a"), ("a.", "a"), ("", "a")]) == 0.25


def test_macro_f1_counts_labels_that_never_occur() -> None:
    pairs = [("a", "a"), ("a", "b"), ("b", "b"), ("x", "b")]
    # a: p 1/2 r 1 -> 2/3; b: p 1 r 1/3 -> 1/2; c: 0
    assert macro_f1(pairs, ["a", "b", "c"]) == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)


@pytest.mark.parametrize(
    ("answer", "truth", "error"), [("four", "5", 4), ("", "2", 3), ("nan", "3", 2), ("inf", "1", 4)]
)
def test_a_score_that_is_no_number_counts_as_the_further_end(answer: str, truth: str, error: float) -> None:
    assert mae([(answer, truth)]) == error


def test_mae_and_rmse_by_hand() -> None:
    pairs = [("5", "3"), ("4.0", "4"), ("x", "2")]  # errors 2, 0, 3
    assert mae(pairs) == pytest.approx(5 / 3)
    assert rmse(pairs) == pytest.approx((13 / 3) ** 0.5)


def test_rouge_by_hand() -> None:
    pairs = [("the cat the mat", "The cat sat on the mat.")]
    assert rouge_1(pairs) == pytest.approx(2 * 4 / (4 + 6))
    assert rouge_l([("mat cat the", "the cat mat")]) == pytest.approx(2 * 1 / 6)
    assert rouge_1([("", "a")]) == 0


def test_unreadable_answers_are_those_outside_the_choices() -> None:
    assert unparsable([("a", "a"), ("z", "a"), ("", "a"), (" b ", "a")], ["a", "b"]) == 0.5
    assert unparsable([("anything", "x"), (" ", "x")], []) == 0.5


def test_tasks_without_shared_labels_have_no_f1() -> None:
    assert list(scores_of("accuracy", ())) == ["accuracy"]
    assert list(scores_of("accuracy", ("a",))) == ["accuracy", "F1"]


def test_an_interval_holds_the_score_and_depends_on_the_seed_alone() -> None:
    users = {f"u{n}": [("a", "a")] * (n % 4) + [("b", "a")] * 2 for n in range(12)}
    first = interval(users, accuracy, seed=3, rounds=200)
    assert first.low <= first.value <= first.high
    assert first.low < first.high
    assert first == interval(dict(reversed(users.items())), accuracy, seed=3, rounds=200)


def test_one_user_still_has_an_interval_because_rows_are_drawn_again() -> None:
    found = interval({"u": [("a", "a"), ("b", "a")] * 10}, accuracy, rounds=200)
    assert found.low < 0.5 < found.high


def test_a_paired_difference_of_a_system_with_itself_is_nothing_and_uses_shared_rows_only() -> None:
    ours = {"u": {"1": ("a", "a"), "2": ("b", "a")}, "v": {"1": ("a", "a")}}
    same = paired(ours, ours, accuracy, rounds=100)
    assert (same.value, same.low, same.high) == (0, 0, 0)
    assert paired(ours, {"u": {"2": ("a", "a")}}, accuracy, rounds=100).value == -1


def test_users_are_what_is_drawn_where_there_are_many() -> None:
    # each user is all right or all wrong: rows as units would claim a much narrower interval
    users = {f"u{n}": [("a" if n % 2 else "b", "a")] * 50 for n in range(10)}
    found = interval(users, accuracy, rounds=400)
    assert found.high - found.low > 0.3


def test_log_likelihood_has_a_floor_so_that_one_surprise_decides_nothing() -> None:
    assert log_likelihood([1.0, 0.5]) == pytest.approx(math.log(0.5) / 2)
    assert log_likelihood([0.0]) == pytest.approx(math.log(0.01))


def test_a_cost_is_lowered_by_a_share_of_what_it_was() -> None:
    ours = {"u": {"1": ("a b", "a b"), "2": ("a b", "a b")}}
    theirs = {"u": {"1": ("a b", "c d"), "2": ("a b", "a b"), "3": ("not", "compared")}}
    assert lowered(ours, theirs, edit_cost).value == 1
    assert lowered(theirs, theirs, edit_cost).value == 0
    assert lowered(ours, ours, edit_cost).value == 0  # nothing to lower
