"""Whether a message says something of the user, in four languages, or only asks."""

from __future__ import annotations

import pytest

from personaagent.memory.earnest import tells


@pytest.mark.parametrize(
    "message",
    [
        "Hello, I am Hana. I'm vegetarian and allergic to nuts.",
        "I'm allergic to nuts. What shall I cook?",
        "my daughter is four",
        "Ich esse kein Fleisch.",
        "Je suis végétarien",
        "Soy alérgica a las nueces.",
    ],
)
def test_what_the_user_says_of_themselves_tells(message: str) -> None:
    assert tells(message)


@pytest.mark.parametrize(
    "message",
    [
        "What should I cook tonight?",
        "what can I cook for my guests",
        "Recommend a film for tonight",
        "Was soll ich kochen?",
        "Que puedo cocinar",
        "No, I meant rock.",
        "Suppose I were a pilot.",
        'Translate: "I am allergic to nuts and to a lot of other things."',
        "",
    ],
)
def test_a_question_a_task_and_a_supposition_do_not(message: str) -> None:
    assert not tells(message)
