"""The answer head: model and vote, weighed by the user's own past."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personaagent.head import (
    PREDICTED_KEY,
    PRIOR,
    Weights,
    answer_of,
    combine,
    learnt,
    predicted,
    to_keep,
    vote,
)
from personaagent.types import Interaction, Recall

CHOICES = ("crime", "politics", "sports")
START = datetime(2026, 1, 1, tzinfo=UTC)


def past(
    n: int, truth: str, *, model: dict[str, float] | None = None, votes: dict[str, float] | None = None
) -> Interaction:
    told = {PREDICTED_KEY: to_keep(model, votes or {})} if model else {}
    return Interaction(
        id=str(n), user_id="ann", query=f"q{n}", created_at=START + timedelta(hours=n), choices=CHOICES,
        ground_truth=truth, truth_source="choice", metadata=told,
    )  # fmt: skip


def recall(n: int, truth: str, similarity: float | None) -> Recall:
    return Recall(interaction=past(n, truth), score=1.0, similarity=similarity)


def test_nearer_memories_vote_more_and_the_vote_sums_to_one() -> None:
    found = vote([recall(1, "crime", 0.9), recall(2, "politics", 0.6), recall(3, "politics", 0.5)], CHOICES)
    assert found["crime"] > found["politics"] > found["sports"] > 0
    assert sum(found.values()) == pytest.approx(1)


def test_who_has_no_similarity_or_no_label_among_the_choices_does_not_vote() -> None:
    assert vote([recall(1, "crime", None), recall(2, "weather", 0.9)], CHOICES) == {}
    assert vote([], CHOICES) == {}


def test_fewer_voters_leave_more_open() -> None:
    one = vote([recall(1, "crime", 0.9)], CHOICES)
    many = vote([recall(n, "crime", 0.9) for n in range(16)], CHOICES)
    assert one["sports"] > many["sports"]


def test_without_a_vote_the_model_decides() -> None:
    said = combine({"crime": 0.2, "politics": 0.7, "sports": 0.1}, {}, CHOICES, PRIOR)
    assert said == pytest.approx({"crime": 0.2, "politics": 0.7, "sports": 0.1})


def test_a_vote_breaks_the_doubt_of_a_bare_answer() -> None:
    votes = vote([recall(n, "crime", 0.9) for n in range(16)], CHOICES)
    assert answer_of(combine({"sports": 1.0}, votes, CHOICES, PRIOR)) == "crime"
    trusted = replace(PRIOR, model=2.0, belief=0.999)
    assert answer_of(combine({"sports": 1.0}, votes, CHOICES, trusted)) == "sports"


def test_numbers_are_answered_by_their_median() -> None:
    assert answer_of({"1": 0.4, "2": 0.0, "3": 0.15, "4": 0.1, "5": 0.35}) == "3"
    assert answer_of({"1": 0.1, "5": 0.9}) == "5"


def test_weights_are_learnt_from_what_was_foretold_and_drawn_to_the_prior() -> None:
    right, wrong = {"crime": 0.9, "politics": 0.05, "sports": 0.05}, {"crime": 0.05, "politics": 0.9, "sports": 0.05}
    by_model = learnt([past(n, "crime", model=right, votes=wrong) for n in range(30)])
    by_vote = learnt([past(n, "crime", model=wrong, votes=right) for n in range(30)])
    assert by_model.model > PRIOR.model
    assert by_model.vote < PRIOR.vote
    assert by_vote.model < PRIOR.model
    assert learnt([]) == learnt([past(1, "crime")]) == PRIOR


def test_bare_answers_are_believed_as_often_as_they_were_right() -> None:
    often = learnt([past(n, "crime", model={"crime": 1.0}) for n in range(20)])
    seldom = learnt([past(n, "crime", model={"sports": 1.0}) for n in range(20)])
    assert often.belief > PRIOR.belief > seldom.belief


@pytest.mark.parametrize("kept", [None, [], "x", {"model": 3}, {"model": {"crime": "much"}}, {"vote": {"crime": 1.0}}])
def test_what_is_no_prediction_is_none(kept: object) -> None:
    assert predicted(replace(past(1, "crime"), metadata={PREDICTED_KEY: kept})) is None


@given(
    st.dictionaries(st.sampled_from(CHOICES), st.floats(0, 1), max_size=3),
    st.dictionaries(st.sampled_from(CHOICES), st.floats(0, 1), max_size=3),
    st.floats(0, 2),
    st.floats(0, 2),
)
def test_every_combination_is_a_distribution(
    model: dict[str, float], votes: dict[str, float], a: float, b: float
) -> None:
    said = combine(model, votes, CHOICES, Weights(model=a, vote=b))
    assert set(said) == set(CHOICES)
    assert sum(said.values()) == pytest.approx(1)
    assert answer_of(said) in CHOICES
