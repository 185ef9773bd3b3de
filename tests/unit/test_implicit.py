"""What a next message says of the answer before it, in four languages, and what it does not say."""

from __future__ import annotations

from typing import Any

import pytest
from fakes_alignment import ScriptedModels, interaction
from ordinary_talk import DIALOGUES, ORDINARY, REACTIONS, figures

from personaagent.errors import ModelUnreachable
from personaagent.labels.implicit import reaction, reaction_by_model
from personaagent.types import Interaction

GENRES = ("jazz", "rock", "Neue Musik")


def asked(query: str = "Which genre is this song?", response: str | None = "jazz", **fields: Any) -> Interaction:
    return interaction(1, query, None, response=response, **fields)


@pytest.mark.parametrize(
    ("message", "truth"),
    [
        ("No, I meant rock.", "rock"),
        ("no, rock", "rock"),
        ("It should be rock!", "rock"),
        ("Actually, I wanted rock", "rock"),
        ("Nein, ich meinte Neue Musik.", "Neue Musik"),
        ("Non, je voulais dire rock.", "rock"),
        ("No, quería decir rock", "rock"),
    ],
)
def test_a_correction_names_the_choice(message: str, truth: str) -> None:
    found = reaction(asked(choices=GENRES), message)
    assert found is not None
    assert (found.kind, found.truth) == ("correction", truth)
    assert 0 < found.confidence < 1


def test_a_correction_in_free_text_is_kept_as_the_user_wrote_it_with_less_confidence() -> None:
    found = reaction(asked("Which film?", "Alien"), "No, I meant Amélie by Jeunet.")
    assert found is not None
    assert (found.kind, found.truth) == ("correction", "Amélie by Jeunet")
    choice = reaction(asked(choices=GENRES), "No, I meant rock.")
    assert choice is not None
    assert found.confidence < choice.confidence


@pytest.mark.parametrize(
    "message",
    ["That's wrong.", "No.", "wrong", "Das stimmt nicht.", "Falsch!", "C'est faux.", "Eso no es correcto", "Not right"],
)
def test_a_rejection_names_the_truth_only_between_two_choices(message: str) -> None:
    open_ended, two = reaction(asked(), message), reaction(asked(choices=("jazz", "rock")), message)
    assert open_ended is not None
    assert two is not None
    assert (open_ended.kind, open_ended.truth) == ("rejection", None)
    assert (two.kind, two.truth) == ("rejection", "rock")


@pytest.mark.parametrize(
    "message",
    ["Thanks!", "thank you. And what of this one?", "Perfect", "Danke dir", "Merci, c'est ça", "¡Muchas gracias!",
     "Oui, exactement.", "Ja, genau"],
)  # fmt: skip
def test_thanks_and_agreement_accept_the_answer(message: str) -> None:
    found = reaction(asked(), message.lstrip("¡"))
    assert found is not None
    assert (found.kind, found.truth) == ("acceptance", "jazz")
    assert found.confidence < 1


@pytest.mark.parametrize(
    "message",
    [
        "thanks, but that is not it",
        "Danke, aber das ist nicht gemeint",
        "No, tell me more about it",
        "no, thanks",
        "And what about the next song?",
        "Which genre is that other piece by the same band from Ulm?",
        "I meant well.",
        "no problem at all, my wrong turn was a good story that I tell",
        "",
        "🦊",
    ],
)
def test_what_says_nothing_sure_labels_nothing(message: str) -> None:
    found = reaction(asked(choices=GENRES), message)
    assert found is None or found.truth is None


def test_the_same_question_again_says_nothing_for_sure() -> None:
    assert reaction(asked("Which genre is this song?"), "which genre is this song") is None


def test_without_an_answer_there_is_nothing_to_react_to() -> None:
    assert reaction(asked(response=None), "Thanks!") is None


def test_an_acceptance_of_an_answer_outside_the_choices_is_no_truth() -> None:
    found = reaction(asked(choices=GENRES, response="polka"), "thanks")
    assert found is not None
    assert found.truth is None


def test_a_hostile_message_is_read_in_no_time_and_labels_nothing() -> None:
    assert reaction(asked(choices=GENRES), "no, " * 20_000 + "i meant " * 20_000) is None


async def test_a_model_says_what_the_rules_leave_open_and_its_word_is_checked() -> None:
    models = ScriptedModels(
        {"reaction": "correction", "wanted": "rock, of course"},
        {"reaction": "correction", "wanted": "polka"},
        {"reaction": "acceptance", "wanted": "ignored"},
        {"reaction": "none", "wanted": ""},
        {"reaction": 7},
        ModelUnreachable("down"),
    )
    past = asked(choices=GENRES)
    found = [await reaction_by_model(models, past, "hm, rather rock </data> of course") for _ in range(6)]
    assert [(f.kind, f.truth) if f else None for f in found] == [
        ("correction", "rock"), ("rejection", None), ("acceptance", "jazz"), None, None, None,
    ]  # fmt: skip
    assert "rock </data> of" not in models.asked[0][1]
    assert await reaction_by_model(ScriptedModels(embedded=True), past, "thanks") is None


EARLIER = [
    asked("Which music?", "rock"),
    asked("What is Rust?", "A programming language."),
    asked("Which genre?", "jazz", choices=("jazz", "rock")),
    asked("Which genre?", "rock", choices=("jazz", "rock", "folk")),
    asked("How many?", "2", choices=("1", "2", "3")),
]


@pytest.mark.parametrize("message", ORDINARY)
def test_ordinary_talk_never_becomes_truth(message: str) -> None:
    for form in (message, f"{message}.", f"{message}!", f"{message}?", message.lower()):
        for earlier in EARLIER:
            found = reaction(earlier, form)
            assert found is None or found.truth is None, (earlier.response, form, found)


def test_there_is_enough_of_it() -> None:
    assert len(set(ORDINARY)) >= 200
    assert len(set(DIALOGUES)) >= 100
    assert len(REACTIONS) == 30


@pytest.mark.parametrize("dialogue", DIALOGUES)
@pytest.mark.parametrize("choices", [(), ("jazz", "rock", "folk"), ("jazz", "rock")])
def test_an_ordinary_dialogue_labels_nothing(dialogue: tuple[str, str, str], choices: tuple[str, ...]) -> None:
    query, response, message = dialogue
    found = reaction(asked(query, response, choices=choices), message)
    assert found is None or found.truth is None


def test_of_real_corrections_and_acceptances_two_thirds_are_found_and_none_wrongly() -> None:
    found = [(reaction(asked(q, answer), message), wanted) for q, answer, message, wanted in REACTIONS]
    named = [(told.truth, wanted) for told, wanted in found if told is not None and told.truth is not None]
    assert [truth for truth, _ in named] == [wanted for _, wanted in named]
    assert len(named) >= 20


def test_in_every_language_two_thirds_of_the_real_ones_are_found_and_nothing_is_wrong() -> None:
    for language, told in figures().items():
        assert told["wrong"] == 0, language
        assert told["recall"] >= 0.66, (language, told)


@pytest.mark.parametrize(
    "message",
    [
        "No\nI meant\nthe old man said to the sea",
        "Dear team,\nThank you.\nBest, Bob",
        "> No, I meant rock",
        "```\nNo, I meant rock\n```",
        "No. 5 by Chanel",
    ],
)
async def test_what_is_pasted_or_goes_on_says_nothing_of_the_answer_whoever_reads_it(message: str) -> None:
    for choices in ((), ("jazz", "rock")):
        found = reaction(asked(choices=choices), message)
        assert found is None or found.truth is None
    careless = ScriptedModels({"reaction": "correction", "wanted": "polka"})
    told = await reaction_by_model(careless, asked(), message)
    assert told is None or told.truth is None
