"""What the page says of two versions, and how a user's text becomes sentences with evidence."""

from __future__ import annotations

from personaagent.app.server.page.persona import changes, words, written
from personaagent.types import Clause, Section

OLD = {Section.WHO: (Clause(text="Likes slow films at night", evidence=("a",)), Clause(text="Lives in Oslo"))}


def test_a_reworded_sentence_shows_the_words_that_went_and_came() -> None:
    new = {Section.WHO: (Clause(text="Likes quick films at night", evidence=("a",)), Clause(text="Lives in Oslo"))}
    changed, same = changes(OLD, new)[Section.WHO]
    assert [(run.kind, run.text.strip()) for run in changed.runs] == [
        ("same", "Likes"), ("removed", "slow"), ("added", "quick"), ("same", "films at night"),
    ]  # fmt: skip
    assert (changed.kind, same.kind) == ("changed", "same")


def test_sentences_without_words_in_common_are_told_as_one_gone_and_one_new() -> None:
    new = {Section.WHO: (Clause(text="Likes slow films at night"), Clause(text="Has two dogs now"))}
    assert [change.kind for change in changes(OLD, new)[Section.WHO]] == ["same", "removed", "added"]


def test_both_texts_can_be_read_out_of_the_runs() -> None:
    before, after = "one two three four", "zero one three four five"
    runs = words(before, after)
    assert "".join(r.text for r in runs if r.kind != "added").split() == before.split()
    assert "".join(r.text for r in runs if r.kind != "removed").split() == after.split()


def test_what_a_user_reworded_keeps_its_evidence_so_that_it_is_forgotten_with_it() -> None:
    found = written({"who": "Likes slow films late at night\n\n- Plays the cello"}, OLD)
    assert found[Section.WHO] == (
        Clause(text="Likes slow films late at night", evidence=("a",)),
        Clause(text="Plays the cello"),
    )
