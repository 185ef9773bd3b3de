# ruff: noqa: RUF001  # texts of many languages

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personaagent.form import distance, features, language_of, sentences, understood
from personaagent.persona.constraint import _KINDS, WORDING, Constraint, constraints_of
from personaagent.rules import broken_rule

LISTED = "Sure! Here are some tips:\n\n- One tip, **bold**.\n- Two tips.\n\nLet me know if you need more help!"


@pytest.mark.parametrize(
    ("text", "measured"),
    [
        ("One two three.", {"words": 3, "sentences": 1, "paragraphs": 1, "full_stop": True}),
        ("我喜欢红酒。你呢？", {"words": 7, "sentences": 2, "language": "Chinese", "question": True}),
        ("It costs 3.5 euros, e.g. here. Dr. Who paid.", {"sentences": 2}),
        ("all is lower case here. and here.", {"sentences": 2, "case": "lower"}),
        ("ALL OF THIS IS LOUD.", {"case": "upper"}),
        (LISTED, {"bullets": 2, "items": 2, "item_words": 3, "filler": True, "signoff": True, "emphasis": 1}),
        ("1. One\n2) Two", {"numbered": 2, "bullets": 0, "prose_lines": 0}),
        ("1. A single line that is no list", {"numbered": 0}),
        ("# Title\n\nText.", {"headings": 1, "heading_first": True, "plain": False}),
        ("| a | b |\n|---|---|\n| 1 | 2 |", {"tables": 1}),
        ("```py\nx = 1\n```\nIt sets x.", {"fences": 1, "fence_first": True, "sentences": 1}),
        ("**In short.** The rest.", {"bold_lead": True}),
        ("Hello Ann,\n\nit is so.\n\nBest,\nBob", {"greeting": True, "signoff": True}),
        ("Hi! Great question! It is so.", {"greeting": True, "filler": True}),
        ("It is so. Do you want more?", {"question": True}),
        ("Nice! 😊 Very nice! 👍🏽", {"emoji": 2, "exclamations": 2}),
        ("It is 5 km away.", {"units": "metric"}),
        ("It is five miles away.", {"units": "imperial"}),
        ("It is 5 km (3 miles) away.", {"units": "mixed", "parentheses": 1}),
        ("It happened in 1990 in May.", {"units": None}),
        (
            "Das können Sie nicht wissen, und Ihnen wird es auch nicht gesagt.",
            {"address": "formal", "language": "German"},
        ),
        ("Das kannst du nicht wissen, und dir wird es auch nicht gesagt.", {"address": "informal"}),
        ("Vous pouvez prendre le train, et votre billet est dans la poste.", {"address": "formal"}),
        ("Puedes ver que tu billete es para el tren de la noche.", {"address": "informal"}),
        ("Yes, it is.", {"verdict": True}),
        ("Nein, das ist es nicht.", {"verdict": True}),
        ("Nothing is.", {"verdict": False}),
        ("Perhaps it depends on you.", {"hedges": 2}),
        ("Don't, it's hot; we know — really.", {"contractions": 2, "semicolons": 1, "dashes": 1, "we": True}),
        ("The colour of the centre.", {"spelling": "British"}),
        ("The color of the center.", {"spelling": "American"}),
        ("I think so.", {"first_person": True}),
        ("One.\nTwo.\nThree.", {"one_a_line": True}),
        ("2024", {"digits": 1.0}),
        ("", {"words": 0, "sentences": 0, "language": None}),
    ],
)
def test_features(text: str, measured: dict[str, Any]) -> None:
    form = features(text)
    assert {name: getattr(form, name) for name in measured} == measured


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The cat is on the table and it will not go.", "English"),
        ("Il gatto è sul tavolo e non se ne va, anche se lo chiamo.", "Italian"),
        ("O gato está em cima da mesa e não sai, mas ele é bom.", "Portuguese"),
        ("De kat zit op de tafel en het is niet goed voor hem.", "Dutch"),
        ("Кошка сидит на столе.", "Russian"),
        ("猫はテーブルの上にいます。", "Japanese"),
        ("Ok.", None),
        ("Canberra", None),
    ],
)
def test_language(text: str, language: str | None) -> None:
    assert language_of(text) == language


@given(st.text(max_size=300), st.text(max_size=300))
def test_any_text_has_a_form_and_distance_is_symmetric_and_bounded(one: str, other: str) -> None:
    first, second = features(one), features(other)
    assert distance(first, first) == 0
    assert 0 <= distance(first, second) <= 1
    assert distance(first, second) == pytest.approx(distance(second, first))
    assert first.words >= 0
    assert all(sentence.strip() for sentence in sentences(one))
    assert len(understood(one, other)) <= 3


PLAIN = "Put it in the sun and water it. Then wait for a week and look at it."


@pytest.mark.parametrize(
    "other",
    [
        "- Put it in the sun\n- Water it\n- Wait for a week",
        "Sun and water.",
        " ".join([PLAIN] * 4),
        "Stell es in die Sonne und gieß es. Dann warte eine Woche und sieh es dir an.",
        f"Hello! Sure! {PLAIN} I hope this helps!",
        PLAIN.upper(),
        f"# Plants\n\n**Put** it in the sun. {PLAIN[33:]}",
    ],
)
def test_what_a_user_minds_counts_clearly_and_other_words_do_not(other: str) -> None:
    reworded = "Set it in the light and give it water. Then wait some days and see how it is."
    assert distance(features(PLAIN), features(reworded)) < 0.05
    assert distance(features(PLAIN), features(other)) > 0.2


def test_what_the_user_changed_is_said_in_plain_sentences() -> None:
    assert understood(LISTED * 3, "One tip.")[0].startswith(
        "You cut the answer from 54 to 2 words and removed the list"
    )
    assert understood("It is so.", "So it is.") == ["You reworded the answer and kept its form."]
    assert understood("It is so.", "It is so.") == []


@pytest.mark.parametrize("name", sorted(name for name, (text, *_) in _KINDS.items() if text))
def test_every_clause_may_stand_in_a_persona_and_is_read_back(name: str) -> None:
    value = {
        "language": "German",
        "never": "very",
        "formal": "Sie",
        "informal": "du",
        "item_words_at_most": 12,
        "items_at_most": 3,
        "mark": "•",
        "paragraph_of": 2,
    }.get(name, "")
    constraint = Constraint(name, value or ("Cheers, Ann" if name in ("opening", "closing", "closing_line") else ""))
    assert broken_rule(constraint.clause) is None
    read = constraints_of(constraint.clause)
    assert name in [one.name for one in read] or name == "item_words_at_most"
    assert len(read) <= 1


@pytest.mark.parametrize(
    ("clause", "stated"),
    [
        ("Keep answers under 20 words.", [Constraint("words_at_most", 20)]),
        ("Use no more than three sentences.", [Constraint("sentences_at_most", 3)]),
        ("Answer in a single sentence without bullet points.", [Constraint("sentences", 1), Constraint("no_lists")]),
        ("Use 4 bullet points.", [Constraint("bullets", 4)]),
        ("Avoid emojis.", [Constraint("no_emoji")]),
        ("Reply in French.", [Constraint("language", "French")]),
        ('Write "flat", never "apartment".', [Constraint("wording", f"apartment{WORDING}flat")]),
        ("When the question is about code, answer in one sentence.", []),
        ("Be concise.", []),
        ("The user likes Italian food.", []),
    ],
)
def test_constraints_are_read_out_of_clauses(clause: str, stated: list[Constraint]) -> None:
    assert sorted(constraints_of(clause), key=str) == sorted(stated, key=str)


def test_a_text_satisfies_all_or_not() -> None:
    form = features("It is so.")
    asked = constraints_of("Answer in one sentence of at most 5 words, without lists.")
    assert asked and all(one.holds("It is so.", form) for one in asked)
    asked = constraints_of("Answer in one sentence of at most 2 words.")
    assert not all(one.holds("It is so.", form) for one in asked)
