"""The gate's test: valid however often one looks, sure enough with few labels, and open to be continued."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import pytest
from fakes_alignment import interaction

from personaagent.persona.gate import (
    MOST_LABELS,
    Evidence,
    behind,
    best,
    best_case,
    evidence_json,
    evidence_of,
    labels_needed,
    share,
    to_win,
)
from personaagent.scheduling import due, rounds, split, with_witnesses
from personaagent.types import Candidate, Clause, Section, Simulation, Verdict

FIRST = share(0.95, 1)


def sim(loss: float, **fields: Any) -> Simulation:
    said = "right" if loss == 0 else "wrong"
    given = {"interaction_id": "i", "query": "q", "expected": "right", "actual": said, "loss": loss}
    return Simulation(**(given | fields))


def shown(*pairs: tuple[float, float], alpha: float = FIRST, belief: float | None = None) -> Evidence:
    evidence = Evidence(alpha=alpha)
    for before, after in pairs:
        evidence = evidence.observe(sim(before), sim(after), belief)
    return evidence


def test_six_whole_gains_prove_the_first_candidate_and_five_do_not() -> None:
    assert shown(*[(1, 0)] * 6).judge(0.01)[0] == "proven"
    assert shown(*[(1, 0)] * 5).judge(0.01)[0] == "open"
    assert shown(*[(0.8, 0.55)] * 6).judge(0.01)[0] == "proven"  # a quarter of the scale counts whole


def test_eight_whole_gains_prove_the_second_candidate() -> None:
    assert [labels_needed(Evidence(alpha=share(0.95, number))) for number in (1, 2, 3)] == [6, 8, 10]
    assert shown(*[(1, 0)] * 8, alpha=share(0.95, 2)).judge(0.01)[0] == "proven"


def test_the_doubt_of_all_candidates_is_at_most_that_of_the_setting() -> None:
    shares = [share(0.95, number) for number in range(1, 5_000)]
    assert shares == sorted(shares, reverse=True)
    assert 0.0499 < sum(shares) <= 0.05


@pytest.mark.parametrize(
    "noise",
    [
        lambda rng: rng.gauss(0, 0.3),
        lambda rng: rng.choice([-1.0, 0, 0, 0, 0, 0, 0, 1.0]),
        lambda rng: rng.choice([-1, 1]) * rng.expovariate(12),
        lambda rng: rng.choice([-1.0, 1.0]),
    ],
    ids=["normal", "ties", "skewed", "right or wrong"],
)
def test_a_candidate_that_is_no_better_is_hardly_ever_proven_however_often_one_looks(noise: Any) -> None:
    rng = random.Random(7)
    proven = 0
    for _ in range(600):
        evidence = Evidence(alpha=0.05)
        for _ in range(60):
            gain = max(-0.5, min(0.5, noise(rng) / 2))
            evidence = evidence.observe(sim(0.5), sim(0.5 - gain))
            if evidence.wealth >= 20:
                proven += 1
                break
    assert proven / 600 <= 0.05


def test_to_go_on_with_kept_evidence_equals_one_pass() -> None:
    pairs = [(0.9, 0.4), (0.2, 0.6), (0.5, 0.5), (1.0, 0.0), (0.3, 0.28)]
    whole = shown(*pairs)
    kept = json.loads(json.dumps(evidence_json(shown(*pairs[:2]))))
    half = evidence_of(kept)
    for before, after in pairs[2:]:
        half = half.observe(sim(before), sim(after))
    assert half == whole


def test_the_order_of_the_pairs_does_not_matter() -> None:
    pairs = [(1, 0), (0, 1), (0.4, 0.3), (0.3, 0.32)]
    assert shown(*pairs).wealth == pytest.approx(shown(*reversed(pairs)).wealth)


def test_implicit_truth_counts_less() -> None:
    assert shown(*[(1, 0)] * 6, belief=0.5).judge(0.01)[0] == "open"
    assert shown(*[(1, 0)] * 12, belief=0.5).judge(0.01)[0] == "proven"
    assert shown((1, 0), belief=0.0).wealth == 1


def test_implicit_truth_never_wins_against_explicit_truth() -> None:
    evidence = shown(*[(1, 0.5)] * 12, belief=0.9).observe(sim(0.2), sim(0.6))
    assert evidence.judge(0.01) == ("dropped", "explicit truth contradicts it")


def test_small_differences_are_ties_and_a_gain_below_the_margin_proves_nothing() -> None:
    assert shown(*[(0.5, 0.495)] * 9).wealth == 1
    assert shown(*[(1, 0)] * 9).judge(0.99)[0] == "proven"
    assert shown(*[(0.5, 0.2)] * 9).judge(0.5)[0] == "open"


def test_without_an_answer_of_the_incumbent_there_is_no_pair_and_without_one_of_the_candidate_it_lost() -> None:
    assert Evidence(alpha=0.03).observe(sim(1, error="unreachable"), sim(0)) == Evidence(alpha=0.03)
    assert Evidence(alpha=0.03).observe(sim(0), sim(1, error="unreachable")).losses == 1


def test_what_was_right_must_stay_right() -> None:
    won, lost = [(1, 0)] * 10, [(0, 1)]
    assert shown(*won, *lost).judge(0.01)[0] == "proven"
    standing, reason = shown(*won, *lost, *lost).judge(0.01)
    assert (standing, reason) == ("dropped", "it breaks 2 of 2 answers that were right")


def test_of_many_answers_no_more_may_be_broken_than_repaired() -> None:
    likely = [(sim(0.1, p_truth=0.6, actual="right"), sim(0.3, p_truth=0.3, actual="wrong"))]
    surer = [(sim(0.9, p_truth=0.1, actual="wrong"), sim(0.5, p_truth=0.3, actual="wrong"))] * 12
    evidence = Evidence(alpha=FIRST)
    for before, after in [*likely, *surer]:
        evidence = evidence.observe(before, after)
    assert evidence.wealth > 1 / FIRST
    assert evidence.judge(0.01) == ("open", "it breaks 1 right answers and repairs 0")


def test_a_text_that_differs_by_a_hair_breaks_nothing() -> None:
    assert shown((0.08, 0.12)).broken == 0
    assert shown((0, 0.22)).broken == 0, "another wording, a little shorter"
    assert shown((0.08, 0.4)).broken == 1


def test_a_text_that_is_only_in_another_form_was_not_right() -> None:
    before, after = sim(0.85, expected="it is blue.", actual="It is blue."), sim(0.3, actual="blue, mostly.")
    evidence = Evidence(alpha=FIRST).observe(before, after)
    assert (evidence.right, evidence.broken, evidence.wins) == (0, 0, 1)


@pytest.mark.parametrize(
    ("pairs", "reason"),
    [
        ([(0.3, 0.4)] * 6, "worse than the incumbent"),
        ([(0.5, 0.5)] * 6, "no difference"),
        ([(0.5, 0.9)] * 4, "loses too often"),
        ([(0.8, 0.6), (0.6, 0.78)] * (MOST_LABELS // 2), "no proof after 60 labels"),
    ],
)
def test_a_candidate_without_hope_is_dropped(pairs: list[tuple[float, float]], reason: str) -> None:
    standing, why = shown(*pairs).judge(0.0)
    assert standing == "dropped"
    assert reason in why


def test_one_loss_is_not_the_end() -> None:
    assert shown((0.3, 0.9)).judge(0.01)[0] == "open"
    assert not shown((0.3, 0.9)).ahead
    assert Evidence(alpha=FIRST).ahead  # not judged yet


def test_a_right_answer_leaves_nothing_to_win() -> None:
    assert [to_win(one) for one in (None, sim(0), sim(1), sim(0.125), sim(1, error="x"))] == [1, 0, 1, 0.5, 0]
    fresh = Evidence(alpha=FIRST)
    assert best_case(fresh, [0.0] * 9) == pytest.approx(1)
    assert labels_needed(fresh, [1.0] * 4) == 2
    assert labels_needed(fresh, [1.0] * 6) == 0


def test_a_candidate_is_out_when_another_is_clearly_better_on_the_same_interactions() -> None:
    worse, better = {f"i{n}": 0.9 for n in range(6)}, {f"i{n}": 0.1 for n in range(6)}
    assert behind(worse, better)
    assert not behind(better, worse)
    assert not behind(worse, {"other": 0.0})


def candidate(name: str, accepted: bool, loss_after: float, words: int = 1) -> Candidate:
    return Candidate(
        proposer=name,
        sections={Section.WHO: (Clause(text="word " * words),)},
        verdict=Verdict(accepted=accepted, reason="", loss_after=loss_after, confidence=0.9),
    )


def test_the_best_is_the_accepted_one_with_the_lowest_loss_then_the_shortest() -> None:
    best_one = candidate("short", True, 0.2)
    others = [candidate("long", True, 0.2, 50), candidate("refused", False, 0.0), candidate("worse", True, 0.3)]
    assert best([*others, best_one]) is best_one
    assert best([others[1], Candidate(proposer="unjudged", sections={})]) is None


@pytest.mark.parametrize(
    ("rows", "teach", "judged"),
    [
        (0, 0, 0),
        (1, 0, 0),
        (2, 1, 1),
        (3, 2, 1),
        (5, 3, 2),
        (8, 3, 5),
        (9, 3, 6),
        (12, 3, 6),
        (40, 3, 20),
        (200, 3, 48),
    ],
)
def test_the_newest_judge_and_the_ones_before_teach(rows: int, teach: int, judged: int) -> None:
    labelled = [interaction(n) for n in range(rows)]
    teachers, judges = split(labelled, 3, 6)
    assert (len(teachers), len(judges)) == (teach, judged)
    assert [*teachers, *judges] == labelled[rows - teach - judged :]


def test_judging_goes_from_the_newest_back_in_growing_rounds_with_explicit_witnesses_first() -> None:
    labelled = [interaction(n) for n in range(9)]
    assert [i.id for i in with_witnesses(*split(labelled, 3, 6), labelled)[1]] == ["i8", "i7", "i6", "i5", "i4", "i3"]
    guessed = [labelled[0], *(replace(i, truth_source="implicit", truth_confidence=0.8) for i in labelled[1:])]
    teach, judge = with_witnesses(*split(guessed, 3, 6), guessed)
    assert [i.id for i in judge][:2] == ["i0", "i8"]
    assert "i0" not in {i.id for i in teach}
    assert rounds(6, 48) == [6, 12, 24, 48]
    assert rounds(6, 8) == [6, 8]


def test_alignment_is_due_after_enough_new_labels() -> None:
    assert [due(n, 3) for n in (0, 2, 3, 4)] == [False, False, True, True]
    assert not due(0, 0)
