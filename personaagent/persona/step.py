"""A bounded step from one persona towards another: as many of its changes as the bound and the budget take."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from personaagent.persona.shape import change, token_count
from personaagent.types import Clause, Section, Sections

SAME_CLAUSE = 0.5  # share of words from which a new clause is an old one rewritten


@dataclass(frozen=True, slots=True, eq=False)
class _Change:
    """``old`` becomes ``new``; None for a clause that is added or taken out. Two are never the same one."""

    section: Section
    old: Clause | None
    new: Clause | None


def bounded_step(base: Sections, wanted: Sections, *, budget_tokens: int, max_change: float) -> Sections:
    """Return ``wanted`` where at most the share ``max_change`` of the words differs from ``base``, else a part of it.

    The part is made of whole clauses: added and rewritten ones first, those with the most evidence before the others,
    then clauses taken out, then what there was no room for before. Each is taken if step and budget allow it. It may
    be ``base`` itself.
    """

    def fits(sections: Sections) -> bool:
        return change(base, sections) <= max_change and token_count(sections) <= budget_tokens

    if fits(wanted):
        return wanted
    changes = [c for section in Section for c in _changes(section, base.get(section, ()), wanted.get(section, ()))]
    written = sorted((c for c in changes if c.new is not None), key=_evidence, reverse=True)
    taken_out = [c for c in changes if c.new is None]
    reached: Sections = dict(base)
    taken: list[_Change] = []
    for one in (*written, *taken_out, *written):
        if one not in taken and fits(trial := _applied(reached, one)):
            reached = trial
            taken.append(one)
    return {section: clauses for section, clauses in reached.items() if clauses}


def without(wanted: Sections, base: Sections, dropped: Collection[Clause]) -> Sections:
    """``wanted`` without some clauses; where one of them rewrote a clause of ``base``, that stays as it was."""
    left: Sections = {}
    for section in Section:
        rewritten = rewrites(section, base, wanted)
        kept = [rewritten.get(clause) if clause in dropped else clause for clause in wanted.get(section, ())]
        left = {**left, section: tuple(clause for clause in kept if clause is not None)}
    return {section: clauses for section, clauses in left.items() if clauses}


def rewrites(section: Section, base: Sections, wanted: Sections) -> dict[Clause, Clause | None]:
    """The new clauses of a section, each with the old one that it rewrote, or None."""
    changes = _changes(section, base.get(section, ()), wanted.get(section, ()))
    return {one.new: one.old for one in changes if one.new is not None}


def _changes(section: Section, base: Sequence[Clause], wanted: Sequence[Clause]) -> list[_Change]:
    """What differs in a section; a new clause takes the place of the old one that it is most like."""
    old = [clause for clause in base if clause.text not in {w.text for w in wanted}]
    changes = []
    for clause in wanted:
        if clause.text in {b.text for b in base}:
            continue
        before = max(old, key=lambda other: _alike(other, clause), default=None)
        if before is not None and _alike(before, clause) >= SAME_CLAUSE:
            old.remove(before)
        else:
            before = None
        changes.append(_Change(section, before, clause))
    return [*changes, *(_Change(section, clause, None) for clause in old)]


def _applied(sections: Sections, one: _Change) -> Sections:
    clauses = list(sections.get(one.section, ()))
    at = clauses.index(one.old) if one.old in clauses else len(clauses)
    clauses[at : at + 1] = [one.new] if one.new is not None else []
    return {**sections, one.section: tuple(clauses)}


def _evidence(one: _Change) -> int:
    return len(one.new.evidence) if one.new is not None else 0


def _alike(first: Clause, second: Clause) -> float:
    return SequenceMatcher(None, first.text.split(), second.text.split(), autojunk=False).ratio()
