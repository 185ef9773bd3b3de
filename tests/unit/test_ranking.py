"""Ranking: age counts for little, near-duplicates are told from a task's template."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from personaagent.memory.ranking import Words, by_words, lexical_text, ranked, recency, same_question
from personaagent.types import Interaction, Recall

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def recall(query: str, score: float, days_ago: float = 0, truth: str | None = None) -> Recall:
    interaction = Interaction(
        id=f"{query}-{days_ago}",
        user_id="ann",
        query=query,
        created_at=NOW - timedelta(days=days_ago),
        ground_truth=truth,
        response="what the agent said",
    )
    return Recall(interaction=interaction, score=score)


@pytest.mark.parametrize(("days", "factor"), [(0, 1.0), (-5, 1.0), (180, 0.9), (360, 0.85), (999_999, 0.8)])
def test_a_fifth_of_the_score_halves_with_each_half_life(days: int, factor: float) -> None:
    assert recency(timedelta(days=days), 180) == pytest.approx(factor)


def test_age_reorders_close_ones_but_never_buries_the_best() -> None:
    close = [recall("old and a little better", 1 / 61, 720), recall("new", 1 / 63)]
    assert [r.interaction.query for r in ranked(close, 2, 180)] == ["new", "old and a little better"]
    far = [recall("old and much better", 2 / 61, 3_600), recall("new", 1 / 61)]
    assert ranked(far, 1, 180)[0].interaction.query == "old and much better"


def test_age_counts_from_the_newest_result_and_never_from_the_clock() -> None:
    then = [recall("one", 1 / 61, 100), recall("other", 1 / 62, 10)]
    later = [recall("one", 1 / 61, 5_100), recall("other", 1 / 62, 5_010)]
    assert [r.score for r in ranked(then, 2, 180)] == pytest.approx([r.score for r in ranked(later, 2, 180)])


NEAR = [
    ("What is the capital of France?", "what is the CAPITAL of france"),
    ("Où est le café ?", "ou est le cafe"),
    ("could you please tell me what the weather is today", "could you tell me what the weather is today"),
    ("recommend a good restaurant near the old harbour", "recommend a good restaurent near the old harbour"),
]
FAR = [
    ("", ""),
    ("What is the capital of France?", "What is the capital of Peru?"),
    ("convert euros to dollars", "convert dollars to euros"),
    ("which category does the article 17 of this paper have", "which category does the article 18 of this paper have"),
    ("give the movie Alien one tag of the list below", "give the movie Heat one tag of the list below"),
    ("yes", "no"),
    ("a b", "a b c"),
]


@pytest.mark.parametrize(("one", "other"), NEAR)
def test_the_same_question_in_another_spelling_is_a_near_duplicate(one: str, other: str) -> None:
    assert same_question(Words.of(one), Words.of(other))
    assert same_question(Words.of(other), Words.of(one))


@pytest.mark.parametrize(("one", "other"), FAR)
def test_a_question_of_the_same_form_is_not(one: str, other: str) -> None:
    assert not same_question(Words.of(one), Words.of(other))


def test_a_labelled_duplicate_takes_the_place_of_its_group() -> None:
    found = [recall("Same?", 0.9), recall("same", 0.8, 5, "yes"), recall("same!", 0.7, 9, "no"), recall("else", 0.1)]
    best = ranked(found, 2, 180)
    assert [r.interaction.ground_truth for r in best] == ["yes", None]
    assert best[0].score == pytest.approx(0.9)


def test_words_are_counted_of_what_the_user_said_only() -> None:
    assert lexical_text(recall("question", 1, truth="truth").interaction) == "question\ntruth"
    assert lexical_text(recall("question", 1).interaction) == "question"


def test_without_an_index_shared_words_are_what_counts_the_rare_ones_most() -> None:
    texts = ["I am allergic to nuts", "What should I cook?", "What should I read?", "nothing in common"]
    past = [recall(text, 1).interaction for text in texts]
    found = ranked(by_words("What should I cook without nuts?", past), 3, 180.0)
    assert found[0].interaction.query == "What should I cook?"
    assert {hit.interaction.query for hit in found} == set(texts[:3])
    assert by_words("", past) == []
