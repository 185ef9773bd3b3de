from __future__ import annotations

import json

import pytest
from fakes_alignment import interaction

from personaagent.errors import InvalidPersona
from personaagent.labels.statistics import turn_clause, turned_since
from personaagent.ledger.tables import sections_json, sections_of
from personaagent.persona.edit import read_edit
from personaagent.persona.proposers.counted import since_turn, turned
from personaagent.persona.shape import to_text
from personaagent.types import Clause, Interaction, Section

CHOICES = ("keep", "skip")
TOPICS = ("senate votes budget", "actress wins prize")


def rows(count: int, *, turn: int | None = None, task: str = "shelf", first: int = 0) -> list[Interaction]:
    """Articles of two topics in turn; from the row ``turn`` on each has the other label."""
    made = []
    for n in range(count):
        label = CHOICES[(n % 2 == 0) == (turn is not None and n >= turn)]
        made.append(interaction(first + n, f"{TOPICS[n % 2]} today number {n}", label, task=task, choices=CHOICES))
    return made


@pytest.mark.parametrize("new", [5, 6, 8, 20, 60])
def test_a_turn_is_seen_after_five_labels_and_remembered_while_the_old_ones_are_there(new: int) -> None:
    history = rows(30 + new, turn=30)
    held = turned(history)
    assert 5 <= held <= new + 1
    current, clauses = since_turn(history, {})
    assert current == history[-held:]
    assert len(clauses) == 1


@pytest.mark.parametrize("count", [0, 1, 8, 60])
def test_a_steady_taste_keeps_its_whole_history(count: int) -> None:
    history = rows(count)
    assert since_turn(history, {}) == (history, [])


def test_a_few_wrong_labels_are_no_turn() -> None:
    history = rows(40)
    history[-3:] = rows(40, turn=0)[-3:]
    assert turned(history) == 40


def test_labels_without_a_rule_are_no_turn() -> None:
    history = [interaction(n, f"unique{chr(97 + n)} words", CHOICES[n % 2], choices=CHOICES) for n in range(20)]
    assert turned(history) == 20


def test_one_task_may_turn_and_another_not() -> None:
    steady, turning = rows(20, task="films", first=100), rows(40, turn=30)
    current, clauses = since_turn([*steady, *turning], {})
    assert [i for i in current if i.task == "films"] == steady
    assert ['"shelf"' in clause.text for clause in clauses] == [True]


def test_a_turn_that_the_persona_tells_of_stays_when_the_old_labels_are_out_of_sight() -> None:
    told = turn_clause("shelf", rows(10))
    current, clauses = since_turn(rows(10), {Section.WHO: (told,)})
    assert (current, clauses) == (rows(10), [told])


def test_recall_reads_since_when_the_answers_of_a_task_hold() -> None:
    clause = turn_clause("shelf", rows(3))
    sections = {Section.WHO: (Clause(text="Reads."), clause)}
    assert turned_since(sections, "shelf") == rows(3)[0].created_at
    assert turned_since(sections, "films") is None
    assert turned_since(sections, None) is None
    assert turned_since({}, "shelf") is None


def test_a_sentence_that_only_reads_like_a_turn_is_none() -> None:
    assert turned_since({Section.WHO: (Clause(text=turn_clause("shelf", rows(1)).text),)}, "shelf") is None


def test_a_turn_in_other_words_still_holds_and_one_taken_out_does_not() -> None:
    clause = turn_clause("shelf", rows(3))
    base = {Section.WHO: (Clause(text="Reads."), clause)}
    reworded = to_text(base, evidence=False).replace("no longer hold", "are not true any more")
    edited = read_edit(reworded, base, budget_tokens=600)
    assert "are not true any more" in edited[Section.WHO][1].text
    assert turned_since(edited, "shelf") == clause.turn.since  # type: ignore[union-attr]
    assert edited[Section.WHO][1].kind == clause.kind
    assert turned_since(read_edit("## who\n- Reads.", base, budget_tokens=600), "shelf") is None


def test_the_date_of_a_turn_is_counted_and_cannot_be_written() -> None:
    clause = turn_clause("shelf", rows(3))
    base = {Section.WHO: (clause,)}
    text = to_text(base, evidence=False).replace(f"{clause.turn.since:%Y-%m-%d}", "2099-01-01")  # type: ignore[union-attr]
    with pytest.raises(InvalidPersona, match="take the whole clause out"):
        read_edit(text, base, budget_tokens=600)


def test_a_turn_survives_being_stored() -> None:
    sections = {Section.WHO: (turn_clause("shelf", rows(3)),)}
    assert sections_of(json.loads(json.dumps(sections_json(sections)))) == sections
