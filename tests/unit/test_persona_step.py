from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from personaagent.persona.edit import bounded_step
from personaagent.persona.shape import change, token_count
from personaagent.types import Clause, Section, Sections

BASE: Sections = {
    Section.WHO: (Clause(text="Writes about the state of Kentucky for a newspaper.", evidence=("a",)),),
    Section.ANSWERING: (Clause(text="Answer briefly and in the form that is asked for."),),
}
NEW = Clause(text="Calls every shooting crime, whatever the governor says of it.", evidence=("b", "c"))


def step(wanted: Sections, *, max_change: float, budget: int = 600) -> Sections:
    return bounded_step(BASE, wanted, budget_tokens=budget, max_change=max_change)


def test_what_lies_within_the_bound_is_taken_as_it_is() -> None:
    wanted = {**BASE, Section.INTERESTS: (NEW,)}
    assert step(wanted, max_change=0.5) == wanted


def test_clauses_with_more_evidence_come_first() -> None:
    weak = Clause(text="Reads about football on each and every Sunday afternoon.", evidence=("b",))
    reached = step({**BASE, Section.INTERESTS: (weak, NEW)}, max_change=0.3)
    assert reached == {**BASE, Section.INTERESTS: (NEW,)}


def test_a_rewritten_clause_takes_the_place_of_the_old_one() -> None:
    rewritten = Clause(text="Writes about the state of Ohio for a newspaper.", evidence=("b",))
    reached = step({Section.WHO: (rewritten,), Section.TOOLING: (NEW, NEW)}, max_change=0.1)
    assert reached[Section.WHO] == (rewritten,)
    assert reached[Section.ANSWERING] == BASE[Section.ANSWERING]


def test_what_is_taken_out_makes_room_for_what_the_budget_refused() -> None:
    full = token_count(BASE)
    reached = step({Section.WHO: BASE[Section.WHO], Section.INTERESTS: (NEW,)}, max_change=0.9, budget=full + 4)
    assert reached == {Section.WHO: BASE[Section.WHO], Section.INTERESTS: (NEW,)}


def test_where_no_clause_fits_nothing_changes() -> None:
    assert step({Section.INTERESTS: (NEW,)}, max_change=0.01) == BASE


NUMBERS = ("one", "two", "three", "four", "five", "six")
_CLAUSES = st.lists(
    st.builds(
        Clause,
        text=st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=6).map(" ".join),
        evidence=st.lists(st.sampled_from("abc"), max_size=2).map(tuple),
    ),
    max_size=4,
    unique_by=lambda clause: clause.text,
).map(tuple)
_SECTIONS = st.dictionaries(st.sampled_from(list(Section)), _CLAUSES.filter(bool), min_size=1)


@given(base=_SECTIONS, wanted=_SECTIONS, bound=st.floats(0, 1), room=st.integers(0, 40))
def test_a_step_never_goes_over_bound_or_budget_and_invents_nothing(
    base: Sections, wanted: Sections, bound: float, room: int
) -> None:
    budget = token_count(base) + room
    reached = bounded_step(base, wanted, budget_tokens=budget, max_change=bound)
    assert change(base, reached) <= bound + 1e-9
    assert token_count(reached) <= budget
    known = {c for sections in (base, wanted) for clauses in sections.values() for c in clauses}
    assert {c for clauses in reached.values() for c in clauses} <= known
