from __future__ import annotations

from dataclasses import replace

import pytest
from fakes_alignment import interaction, simulation

from personaagent.persona.gate import best, judge, posterior
from personaagent.persona.trigger import due, split
from personaagent.types import Candidate, Clause, Section, Simulation, Verdict


def sims(*losses: float) -> list[Simulation]:
    return [simulation(n, loss) for n, loss in enumerate(losses)]


def verdict(before: list[float], after: list[float], **told: object) -> Verdict:
    settings: dict[str, object] = {"margin": 0.01, "confidence": 0.8}
    return judge(sims(*before), sims(*after), **(settings | told))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wins", "losses", "value"), [(0, 0, 0.5), (1, 0, 0.75), (2, 0, 0.875), (3, 1, 0.8125), (0, 2, 0.125)]
)
def test_the_posterior_is_that_of_the_beta_distribution(wins: int, losses: int, value: float) -> None:
    assert posterior(wins, losses) == pytest.approx(value)


def test_two_clear_wins_are_enough() -> None:
    won = verdict([1, 1, 0], [0, 0, 0])
    assert won.accepted
    assert (won.wins, won.losses, won.ties) == (2, 0, 1)
    assert won.loss_before == pytest.approx(2 / 3)
    assert won.loss_after == 0


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ([1, 0], [1, 0], "no difference"),
        ([0, 0], [1, 1], "worse than the incumbent"),
        ([1, 1, 0], [0, 1, 0], "only 75% sure"),
        ([1, 0.2, 0.2], [0, 0.3, 0.3], "not more wins than losses"),
        ([1], [0], "only 1 interaction"),
        ([], [], "only 0 interactions"),
        ([1, 1, 1, 0], [0, 0, 1, 1], "only 69% sure"),
    ],
)
def test_no_change_says_why(before: list[float], after: list[float], reason: str) -> None:
    kept = verdict(before, after)
    assert not kept.accepted
    assert reason in kept.reason


def test_a_gain_below_the_margin_is_no_change() -> None:
    assert "at least 0.500" in verdict([1, 1, 0, 0, 0], [0, 0, 0, 0, 0], margin=0.5).reason


def test_pairs_are_made_by_interaction_not_by_place() -> None:
    before = sims(1, 1, 0)
    after = list(reversed(sims(0, 0, 0)))
    assert judge(before, after, margin=0.01, confidence=0.8).accepted


def test_where_the_incumbent_failed_technically_nothing_is_won() -> None:
    failed = [replace(s, error="unreachable") for s in sims(1, 1)]
    assert not judge(failed, sims(0, 0), margin=0.01, confidence=0.8).accepted


def test_where_the_candidate_fails_technically_it_loses() -> None:
    after = [replace(s, error="unreachable") for s in sims(1, 1)]
    assert judge(sims(0, 0), after, margin=0.01, confidence=0.8).losses == 2


def test_more_candidates_need_more_proof() -> None:
    assert verdict([1, 1], [0, 0], tries=1).accepted
    assert not verdict([1, 1], [0, 0], tries=2).accepted
    assert verdict([1, 1, 1], [0, 0, 0], tries=2).accepted


def test_implicit_truth_counts_less() -> None:
    weights = {"i0": 0.5, "i1": 0.5}
    assert not verdict([1, 1], [0, 0], weights=weights).accepted
    assert verdict([1] * 4, [0] * 4, weights=dict.fromkeys(["i0", "i1", "i2", "i3"], 0.5)).accepted


def test_implicit_truth_never_wins_against_explicit_truth() -> None:
    weights = dict.fromkeys([f"i{n}" for n in range(6)], 0.9)
    lost = verdict([1] * 6 + [0], [0] * 6 + [1], weights=weights)
    assert not lost.accepted
    assert "explicit truth contradicts" in lost.reason


def test_weights_of_nothing_judge_nothing() -> None:
    assert not verdict([1, 1], [0, 0], weights={"i0": 0.0, "i1": 0.0}).accepted


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
    [(0, 0, 0), (1, 0, 0), (2, 1, 1), (3, 1, 2), (5, 2, 3), (8, 3, 5), (9, 3, 6), (20, 3, 6)],
)
def test_the_newest_judge_and_the_ones_before_teach(rows: int, teach: int, judged: int) -> None:
    labelled = [interaction(n) for n in range(rows)]
    teachers, judges = split(labelled, 3, 6)
    assert (len(teachers), len(judges)) == (teach, judged)
    assert [*teachers, *judges] == labelled[rows - teach - judged :]


def test_alignment_is_due_after_enough_new_labels() -> None:
    assert [due(n, 3) for n in (0, 2, 3, 4)] == [False, False, True, True]
    assert not due(0, 0)
