from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personaagent.labels.loss import TextLoss, answer_from_text, contradiction, expected_loss, loss, similarity
from personaagent.types import Interaction
from scripted import HashEmbedder

NEWS = ("politics", "crime", "science & technology", "science", "world news", "women", "entertainment")
STARS = ("1", "2", "3", "4", "5")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("politics", "politics"),
        ("  Politics.\n", "politics"),
        ('**"Crime"**', "crime"),
        ("Answer: world news", "world news"),
        ("The person was arrested, politics aside.\n**Final answer:** crime", "crime"),
        ("It could be politics or crime.\nAnswer: crime.", "crime"),
        ("The answer is entertainment, clearly.", "entertainment"),
        ("I thought of politics and crime.\n\ncrime", "crime"),
        ("crime\nbecause of politics somebody was shot", "crime"),
        ("This is about science & technology.", "science & technology"),
        ("This is about science.", "science"),
        ("It is not politics, it is crime.", "crime"),
        ("politics or crime", None),
        ("It is not politics.", None),
        ("a womenswear shop", None),
        ("no idea", None),
        ("", None),
    ],
)
def test_one_unambiguous_choice_is_read_out_of_text(text: str, answer: str | None) -> None:
    assert answer_from_text(text, NEWS) == answer


@pytest.mark.parametrize(
    ("text", "choices", "answer"),
    [
        ("[1]", ("[1]", "[2]"), "[1]"),
        ("2", ("[1]", "[2]"), "[2]"),
        ("Reference [2] fits best.", ("[1]", "[2]"), "[2]"),
        ("Either [1] or [2].", ("[1]", "[2]"), None),
        ("I would give it 4 out of 5.", STARS, "4"),
        ("5/5", STARS, "5"),
        ("4 stars", STARS, "4"),
        ("about 4.5", STARS, None),
        ("15", STARS, None),
        ("答案是政治", ("政治", "犯罪"), "政治"),
        ("kein Sport, sondern Politik", ("Sport", "Politik"), "Politik"),
        ("yes", ("Yes", "No"), "Yes"),
        ("c", ("C", "C++"), "C"),
        ("C++", ("C", "C++"), "C++"),
        ("anything", (), None),
    ],
)
def test_answers_of_other_forms_are_read(text: str, choices: tuple[str, ...], answer: str | None) -> None:
    assert answer_from_text(text, choices) == answer


@given(st.sampled_from(NEWS))
def test_every_choice_is_read_from_itself(choice: str) -> None:
    assert answer_from_text(choice.upper(), NEWS) == choice


@given(st.text(max_size=200), st.lists(st.text(max_size=10), max_size=5))
def test_an_answer_is_a_choice_or_none(text: str, choices: list[str]) -> None:
    assert answer_from_text(text, choices) in [*choices, None]


@pytest.mark.parametrize(
    ("expected", "actual", "choices", "value"),
    [
        ("politics", "Politics", NEWS, 0.0),
        ("politics", "crime", NEWS, 1.0),
        ("politics", "politics or crime", NEWS, 1.0),
        ("politics", "", NEWS, 1.0),
        ("5", "5", STARS, 0.0),
        ("5", "4", STARS, 0.25),
        ("5", "1", STARS, 1.0),
        ("3", "four stars?", STARS, 1.0),
        ("3", "9", STARS, 1.0),
        ("4", "4.5", STARS, 0.125),
        ("10", "9", (), 0.1),
        ("Red wine", "red wine.", (), 0.0),
        ("red wine", "beer", (), 1.0),
    ],
)
def test_loss(expected: str, actual: str, choices: tuple[str, ...], value: float) -> None:
    assert loss(expected, actual, choices) == pytest.approx(value)


def test_free_text_is_graded_by_what_it_shares_and_in_which_order() -> None:
    truth = "the senate passed the bill on tuesday"
    near, shuffled, far = "the senate passed the bill", "bill the passed the senate", "cats sleep"
    assert 0 < loss(truth, near) < loss(truth, shuffled) < loss(truth, far) == 1


def test_chinese_is_compared_by_its_characters() -> None:
    assert 0 < similarity("我喜欢红酒", "我喜欢啤酒") < 1


@given(st.text(max_size=60), st.text(max_size=60), st.sampled_from([(), NEWS, STARS, ("nan", "1e999")]))
def test_a_loss_is_always_between_0_and_1(expected: str, actual: str, choices: tuple[str, ...]) -> None:
    assert 0 <= loss(expected, actual, choices) <= 1


TRUTH = "Put it in the sun, and water it on Monday."


async def test_a_text_is_graded_by_what_it_says_and_by_how_it_says_it() -> None:
    graded = TextLoss(HashEmbedder())
    listed = "- Put it in the sun\n- Water it on Monday"
    other = "Cut the hedge, and mow a lawn at noon."
    losses = [
        await graded("q", TRUTH, answer) for answer in (TRUTH, "Water it on Monday, put it in the sun.", listed, other)
    ]
    assert losses[0] == 0
    assert losses == sorted(losses)
    assert await graded("q", TRUTH, "") == 1


async def test_closed_choices_and_numbers_are_graded_as_before() -> None:
    graded = TextLoss(HashEmbedder())
    assert await graded("q", "5", "4", STARS) == 0.25
    assert await graded("q", "10", "9") == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("expected", "actual", "excluded"),
    [
        ("Yes, it is.", "No, it is not.", True),
        ("It has eight legs.", "It has 6 legs.", True),
        ("It has eight legs.", "It has 8 legs.", False),
        ("It was built by Anna.", "It was built by Bernd.", True),
        ("In 1990.", "It was in 1990, and again in 1995.", False),
        ("In 1990.", "A long time ago.", False),
    ],
)
def test_facts_exclude_each_other_only_where_both_texts_have_them(expected: str, actual: str, excluded: bool) -> None:
    assert (contradiction(expected, actual) > 0) is excluded


def test_the_form_counts_in_the_plain_loss_too() -> None:
    assert loss(TRUTH, TRUTH.lower()) > 0
    assert loss(TRUTH, TRUTH.replace(", and", ".")) < loss(TRUTH, "- Put it in the sun\n- Water it on Monday")


@given(st.text(max_size=60), st.text(max_size=60))
async def test_a_graded_loss_is_always_between_0_and_1(expected: str, actual: str) -> None:
    assert 0 <= await TextLoss(HashEmbedder())("q", expected, actual) <= 1


async def edited(response: str, edit: str, actual: str) -> float:
    past = Interaction(
        id="i", user_id="ann", query="How do I grow mint?", created_at=datetime(2026, 1, 1, tzinfo=UTC),
        response=response, ground_truth=edit, truth_source="edit",
    )  # fmt: skip
    return await TextLoss(HashEmbedder()).of_answered(past, actual)


LONG = (
    "Mint grows best in moist soil. Put it where it gets sun in the morning and shade later.\n\n"
    "1. **Water**: keep the soil moist at all times.\n2. **Cut**: cut it back often.\n3. **Pot**: use a pot of its own."
)


async def test_another_answer_to_an_edited_question_is_judged_by_the_form_that_the_user_changed() -> None:
    short, other_short = "Put it in moist soil.", "Keep the kettle clean."
    as_before = await edited(LONG, short, LONG)
    assert as_before > 0.8
    assert await edited(LONG, short, other_short) < 0.5 * as_before
    assert await edited(LONG, short, short) == pytest.approx(0, abs=0.01)


async def test_the_lines_that_a_user_puts_around_an_answer_count() -> None:
    signed = f"{LONG}\n\nCheers, Ann"
    without, with_line = "Give it water.", "Give it water.\n\nCheers, Ann"
    assert await edited(LONG, signed, with_line) < await edited(LONG, signed, without)


async def test_an_edit_of_words_alone_is_a_text_like_any_other() -> None:
    edit = LONG.replace("moist", "damp")
    assert await edited(LONG, edit, edit) == 0
    assert await edited(LONG, edit, "") == 1
    shortened = LONG.replace(" at all times", "")  # words that were taken out are missing from most texts
    assert await edited(LONG, shortened, LONG) < 0.2


async def test_of_words_that_an_edit_put_in_most_must_be_there_and_the_others_not() -> None:
    response = "You can water your mint when you see that the soil is dry."
    edit = response.replace("You", "We").replace("your", "our").replace("you", "we")
    as_before = await edited(response, edit, response)
    assert as_before > 0.8
    assert await edited(response, edit, "We water our pots in May.") < 0.3
    for proves_nothing in ("Water the mint if it is dry.", "We see that you water your pots."):
        assert await edited(response, edit, proves_nothing) >= as_before


@pytest.mark.parametrize(
    ("probabilities", "truth", "loss"),
    [
        ({"a": 1.0, "b": 0.0}, "a", 0.0),
        ({"a": 0.01, "b": 0.99}, "a", 1.0),
        ({"a": 0.1, "b": 0.9}, "a", 0.5),
        ({"1": 0.5, "5": 0.5}, "1", 0.5),
        ({"1": 0.0, "3": 1.0, "5": 0.0}, "1", 0.5),
    ],
)
def test_the_loss_of_a_distribution(probabilities: dict[str, float], truth: str, loss: float) -> None:
    assert expected_loss(truth, probabilities) == pytest.approx(loss)
