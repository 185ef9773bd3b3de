"""Where a small model's answer begins to repeat itself, and what is kept of it."""

from __future__ import annotations

import pytest

from personaagent.models.replies import loop_start, whole_sentences

SEEN = [  # written by SmolLM2-135M-Instruct, and what is kept
    (
        "I hope you found a new place to live.\n\nI hope you're having a great week. "
        "I hope you're having a great week. I hope you're having a great week. I hope you're having a great",
        "I hope you found a new place to live.\n\nI hope you're having a great week.",
    ),
    ("Hello. " + "- The user's persona:\n" * 170, "Hello. - The user's persona:"),
    (
        "1. A new smartphone with a built-in camera that can take amazing photos of your mother's life.\n\n"
        "2. A new car with a built-in camera that can take amazing photos of your mother's life.",
        "1. A new smartphone with a built-in camera that can take amazing photos of your mother's life.",
    ),
    ("la femme au martyre, " * 20, "la femme au martyre…"),
]


@pytest.mark.parametrize(("text", "kept"), SEEN)
def test_what_is_kept_ends_before_the_loop(text: str, kept: str) -> None:
    assert whole_sentences(text, loop_start(text)) == kept


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Paris.",
        "You can cook lentils. You can cook beans. You can cook rice. All of them keep well.",
        "1. One\n2. Two\n3. One more of the same\n4. And one more of the same",
    ],
)
def test_ordinary_repetition_is_no_loop(text: str) -> None:
    assert loop_start(text) is None


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("One is done. Two is not", "One is done."),
        ('He said "yes!" And then', 'He said "yes!"'),
        ("It costs 3.50 euros. It is", "It costs 3.50 euros."),
        ("1. Tea\n2. Coffee\n3. Wa", "1. Tea\n2. Coffee"),
        ("no end at all,", "no end at all…"),
        (" , ", ""),
    ],
)
def test_an_answer_that_is_cut_ends_with_a_whole_sentence(text: str, whole: str) -> None:
    assert whole_sentences(text) == whole
