"""What a user may say of an answer, what is refused by name, and what is said to be understood."""

from __future__ import annotations

from typing import Any

import pytest

from graph_house import past
from personaagent.errors import InvalidLabel
from personaagent.inputs import MAX_COMMENT_CHARS, Feedback, changes_of, feedback_of, understood
from personaagent.ledger.interactions import applied
from personaagent.types import Interaction

NOW = past("ann", 9, "").created_at


def answered(**fields: Any) -> Interaction:
    asked = past("ann", 1, "x")
    return Interaction(
        id=asked.id, user_id="ann", query=asked.query, created_at=asked.created_at, **{"response": "one two", **fields}
    )


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "empty"),
        ({"ground_truth": " "}, "ground_truth"),
        ({"ground_truth": 5}, "ground_truth"),
        ({"ground_truth": "x", "source": "hearsay"}, "source"),
        ({"ground_truth": "x", "source": ["edit"]}, "source"),
        ({"rating": 4.5}, "rating"),
        ({"rating": True}, "rating"),
        ({"rating": "5"}, "rating"),
        ({"rating": 0}, "rating"),
        ({"thumb": True}, "thumb"),
        ({"thumb": "sideways"}, "thumb"),
        ({"thumb": "up", "rating": 5}, "thumb and rating"),
        ({"comment": ["long"]}, "comment"),
        ({"comment": "\n"}, "comment"),
        ({"comment": "x" * (MAX_COMMENT_CHARS + 1)}, "comment"),
        ({"picked": "a"}, "picked and over"),
        ({"over": "a"}, "picked and over"),
        ({"source": "pick", "ground_truth": "a"}, "picked and over"),
        ({"picked": "a", "over": " a "}, "same text"),
        ({"picked": "", "over": "a"}, "picked is empty"),
        ({"picked": "a", "over": 1}, "over is int"),
        ({"picked": "a", "over": "b", "ground_truth": "c"}, "ground_truth .* contradicts picked"),
        ({"picked": "a", "over": "b", "source": "edit"}, "contradicts picked"),
    ],
)
def test_what_is_not_sound_is_refused_and_the_field_named(given: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidLabel, match=field):
        feedback_of(given)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"thumb": "up"}, Feedback(rating=5)),
        ({"thumb": "down", "comment": " too long "}, Feedback(rating=1, comment="too long")),
        ({"ground_truth": "x", "source": "edit", "rating": 2}, Feedback(ground_truth="x", source="edit", rating=2)),
        ({"picked": "a", "over": "b"}, Feedback(ground_truth="a", source="pick", rejected="b")),
    ],
)
def test_thumbs_and_picks_come_down_to_ratings_and_truths(given: dict[str, Any], wanted: Feedback) -> None:
    assert feedback_of(given) == wanted


def test_every_part_is_kept_and_the_same_again_changes_nothing() -> None:
    given = Feedback(ground_truth="two", source="edit", rating=5, comment="shorter")
    kept = applied(answered(), given, NOW)
    assert (kept.response, kept.ground_truth, kept.truth_source) == ("one two", "two", "edit")
    assert (kept.rating, kept.comment, kept.labelled_at) == (5, "shorter", NOW)
    assert applied(kept, given, NOW.replace(year=2030)) == kept


def test_a_comment_alone_labels_nothing_but_says_when_it_came() -> None:
    kept = applied(answered(), Feedback(comment="too long"), NOW)
    assert (kept.ground_truth, kept.comment, kept.labelled_at) == (None, "too long", NOW)
    worse = applied(applied(kept, Feedback(rating=5), NOW), Feedback(rating=1), NOW)
    assert (worse.ground_truth, worse.comment, worse.labelled_at) == (None, "too long", NOW)


def test_what_was_not_picked_goes_when_the_user_says_something_else() -> None:
    picked = applied(answered(), Feedback(ground_truth="a", source="pick", rejected="b"), NOW)
    assert (picked.ground_truth, picked.rejected) == ("a", "b")
    assert applied(picked, Feedback(ground_truth="guess", source="implicit", confidence=0.5), NOW) == picked
    assert applied(picked, Feedback(ground_truth="c"), NOW).rejected is None


def test_an_edit_is_told_in_counted_words_and_lists() -> None:
    listed = "Here is what to do:\n- first\n- second\n- third"
    assert changes_of(listed, "Do it.") == "You cut the answer from 11 to 2 words and removed a list."
    assert changes_of("a b", "a b c") == "You made the answer longer, from 2 to 3 words."
    assert changes_of("a b", "a c") == "You put the answer in other words, 2 as before."
    assert changes_of("Do it.", "1. Do it\n2. Go").endswith(" and made a list of it.")
    assert changes_of("a  b", "a b") == "Right as it was."


def test_only_what_was_given_just_now_is_told_unless_all_is_asked_for() -> None:
    given = Feedback(rating=2, comment="too long.")
    kept = applied(applied(answered(), Feedback(ground_truth="tea"), NOW), given, NOW)
    told = ["You gave it 2 of 5, so it is not taken as right.", "Noted for later answers: too long."]
    assert understood(kept, given) == told
    assert understood(kept) == ["It should have been: tea", *told]
    assert understood(applied(answered(), Feedback(rating=5), NOW)) == ["Right as it was."]
    assert understood(answered()) == []
    outside = applied(answered(choices=("a", "b")), Feedback(rating=5), NOW)
    assert understood(outside) == ["You gave it 5 of 5."]
