"""What a persona states of the form, and a machine can do, is done to the answer."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from personaagent.form import features
from personaagent.persona.constraint import _KINDS, Constraint, constraints_of
from personaagent.persona.keeping import in_form, keeper

PROSE = "One two three. Four five six. Seven."
LISTED = "Do this:\n\n1. **Rinse** the rice.\n2. Boil color!\n3. Wait.\n\nEnjoy."
CODE = "Use it:\n\n```python\nPRINT = 1. Two. Three.\n```"


@pytest.mark.parametrize(
    ("clauses", "text", "expected"),
    [
        ([], PROSE, PROSE),
        (["Answer politely."], PROSE, PROSE),
        (["Answer in two sentences and at most 60 words, without lists."], PROSE, "One two three. Four five six."),
        (["Answer in at most two sentences.", "answer in one sentence"], PROSE, "One two three."),
        (["Answer in at most 6 words."], PROSE, "One two three. Four five six."),
        (["Answer in at most 2 words."], PROSE, "One two three."),
        (["Answer in one sentence of at most 20 words, without lists."], LISTED, "Rinse the rice."),
        (["Answer as a bulleted list of at most 2 items."], LISTED, "- **Rinse** the rice.\n- Boil color!"),
        (["Answer as a numbered list of exactly 2 items."], PROSE, "1. One two three.\n2. Four five six."),
        (
            ["Use no Markdown: plain sentences only."],
            LISTED,
            "Do this. Rinse the rice. Boil color! Wait. Enjoy.",
        ),
        (["Put each sentence on a line of its own."], PROSE, "One two three.\n\nFour five six.\n\nSeven."),
        (["Put each sentence on a line of its own."], LISTED, "Rinse the rice.\n\nBoil color!\n\nWait.\n\nEnjoy."),
        (["Answer as a bulleted list."], "# 1. First\n# 2. Second", "- First\n- Second"),
        (
            ["Answer as a bulleted list.", 'Begin every answer with "# Answer".'],
            PROSE,
            "# Answer\n\n- One two three.\n- Four five six.\n- Seven.",
        ),
        (["Begin each answer with a one-line summary in bold."], PROSE, "**One two three.**\n\nFour five six. Seven."),
        (['Begin every answer with "# Answer".'], "# Answer: 42 it is", "# Answer\n\n: 42 it is"),
        (['Begin every answer with "In short:".', 'End every answer with "In short:".'], "in short:", "in short:"),
        (['Begin every answer with "In short:".'], PROSE, f"In short: {PROSE}"),
        (['End every answer with the line "Ask."'], PROSE, f"{PROSE}\n\nAsk."),
        (['End every answer with "Ask."'], f"{PROSE} ask.", f"{PROSE} Ask."),
        (['End every answer with the line "Ask."', "Answer in one sentence."], PROSE, "One two three.\n\nAsk."),
        (["Write everything in lower case, without capital letters."], PROSE, PROSE.lower()),
        (["Use no exclamation marks.", "Use no emoji."], "Hi! 🎉 there", "Hi. there"),
        (['Write "colour", never "color"; "sea", never "ocean".'], "Color, Oceans, ocean", "Colour, Oceans, sea"),
        (["Answer in one sentence.", "Use no emoji."], CODE, CODE),
        (["Write at most 2 items in a list."], LISTED, "Do this:\n\n1. **Rinse** the rice.\n2. Boil color!\n\nEnjoy."),
        (['Answer as a bulleted list ("•") of exactly 2 items.'], LISTED, "• **Rinse** the rice.\n• Boil color!"),
        (
            ['Answer as a numbered list ("Step 1:").'],
            PROSE,
            "Step 1: One two three.\nStep 2: Four five six.\nStep 3: Seven.",
        ),
        (['Begin the items of a list with "1)".'], "- One\n- Two\n\nSo.", "1) One\n2) Two\n\nSo."),
        (["Write the list only, with nothing before or after it."], LISTED, LISTED[10:-8].strip()),
        (["Do not announce what follows: no first line that ends with a colon."], LISTED, LISTED[10:].strip()),
        (["Write short paragraphs, of at most 2 sentences each."], PROSE, "One two three. Four five six.\n\nSeven."),
        (["Answer in one paragraph."], "One.\n\nTwo.", "One. Two."),
        (['End every answer with the lines "Best," and "Sam".'], f"{PROSE}\n\nBest,\nSam", f"{PROSE}\n\nBest,\nSam"),
        (['End every answer with the lines "Best," and "Sam".'], PROSE, f"{PROSE}\n\nBest,\nSam"),
        (["Do not open with a greeting or filler."], f"Hello! Great question! {PROSE}", PROSE),
        (
            ["Do not open with a greeting or filler."],
            "Sorry, rice is out. Take pasta.",
            "Sorry, rice is out. Take pasta.",
        ),
        (["End with the answer itself: no closing line."], f"{PROSE} I hope this helps. Let me know!", PROSE),
        (
            ["End with the answer itself: no closing line."],
            "Cut it. Take care of the root.",
            "Cut it. Take care of the root.",
        ),
        (
            ["Use British spelling."],
            "Organize the color of LABOR, size and laboratory.",
            "Organise the colour of LABOUR, size and laboratory.",
        ),
        (["Use American spelling."], "Grey theatres travelled.", "Gray theaters traveled."),
        (["Use no contractions."], "It's Ann's; I can't.", "It is Ann's; I cannot."),
        (["Write numbers as digits."], "Two of twenty-one, one third, two-thirds", "2 of 21, one third, two-thirds"),
        (["Do not hedge."], "Perhaps it is fine, probably.", "It is fine."),
        (['Never write "usually".', 'Never write "peanuts".'], "Usually, add peanuts.", "Add peanuts."),
        (['End every answer with the line "Ask."'], CODE, f"{CODE}\n\nAsk."),
    ],
)
def test_what_is_stated_is_done(clauses: list[str], text: str, expected: str) -> None:
    done = in_form(text, clauses)
    assert done == expected
    assert in_form(done, clauses) == done
    assert in_form("", clauses) == ""
    assert (keeper(clauses) is not None) == bool(clauses and clauses != ["Answer politely."])


@pytest.mark.parametrize(
    "query",
    ["Write an essay on Rome", "Answer in 200 words: why?", "As a list, please", "Explain it in detail",
     "Übersetze das", "Faites un tableau", "Un resumen, por favor", "Give me the JSON"],
)  # fmt: skip
def test_who_asks_for_a_form_gets_it(query: str) -> None:
    assert in_form(PROSE, ["Answer in one sentence."], query) == PROSE
    assert keeper(["Answer in one sentence."], query) is None


@pytest.mark.parametrize("query", ["How long do eggs boil?", "What is the point of it?", "Was lange währt?"])
def test_an_ordinary_question_asks_for_none(query: str) -> None:
    assert in_form(PROSE, ["Answer in one sentence."], query) == "One two three."


def test_of_a_condition_nothing_is_done() -> None:
    assert in_form(PROSE, ["When the question is about code, answer in one sentence."]) == PROSE


STATED = [
    *(
        Constraint(name, 2 if name.endswith("most") else "Ask me." if "{}" in text else "")
        for name, (text, *_) in _KINDS.items()
        if text
    ),
    Constraint("sentences", 1), Constraint("words_at_most", 5), Constraint("bullets", 2), Constraint("numbered", 3),
]  # fmt: skip
SHAPES = {"plain", "no_lists", "bullets", "numbered", "one_a_line", "bold_lead"}
WORDS = st.sampled_from(
    ["One two.", "- an item", "# Title", "**bold** lead:", "1. first", "Wow! 🎉", "", "über", "yes"]
)


@given(st.lists(WORDS, max_size=8), st.lists(st.sampled_from(STATED), max_size=3))
def test_any_text_is_kept_to_anything_and_never_emptied(lines: list[str], stated: list[Constraint]) -> None:
    assume(len({one.name for one in stated} & SHAPES) <= 1)  # of two shapes at once neither can be kept to
    text, clauses = "\n".join(lines), [one.clause for one in stated]
    done = in_form(text, clauses)
    assert bool(done.strip()) == bool(text.strip())
    assert in_form(done, clauses) == done or {one.name for one in stated} & {"wording", "upper", "lower"}


def test_a_list_of_at_most_so_many_items_is_written_and_read() -> None:
    (stated,) = [
        c for c in constraints_of("Answer as a bulleted list of at most 3 items.") if c.name == "items_at_most"
    ]
    assert stated.value == 3
    text: Any = "- a\n- b\n- c\n- d"
    assert not stated.holds(text, features(text))
