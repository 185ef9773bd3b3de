"""How a persona is changed: by an edit of its text, by a bounded step towards another, by clauses left out."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher, ndiff

from personaagent.errors import InvalidPersona
from personaagent.persona.shape import change, from_text, to_text, token_count, validate_sections
from personaagent.types import Clause, Section, Sections, clauses_of, evidence_of

_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def read_edit(text: str, base: Sections, *, budget_tokens: int, known_ids: Collection[str] = ()) -> Sections:
    """Return the sections of a persona text that the user edited.

    Evidence comes from ``base`` and ``known_ids``; a clause that is left as it was keeps its kind, and one that tells
    since when answers hold keeps that in other words too. The step is not bounded: it is the user's own persona. Raises
    InvalidPersona as ``from_text`` and ``validate_sections`` do, and where such a clause names another date.
    """
    ids = {*known_ids, *evidence_of(base)}
    known = {clause.text: clause for clause in clauses_of(base)}
    read, edited = from_text(text, ids), {}
    for section, clauses in read.items():
        rewritten = rewrites(section, base, read)
        edited[section] = tuple(_as_known(c, known.get(c.text) or _same_turn(c, rewritten.get(c))) for c in clauses)
    return validate_sections(edited, budget_tokens=budget_tokens, known_ids=ids)


def _as_known(clause: Clause, old: Clause | None) -> Clause:
    return replace(clause, kind=old.kind, turn=old.turn) if old else clause


def _same_turn(clause: Clause, old: Clause | None) -> Clause | None:
    """The clause of a turn that is put in other words, or None; InvalidPersona where these name another date."""
    if old is None or old.turn is None:
        return None
    if set(_DATE.findall(clause.text)) - set(_DATE.findall(old.text)):
        raise InvalidPersona(
            "since when your answers hold is counted from them: leave the date as it is, or take the whole clause out"
        )
    return old


def diff_lines(before: Sections, after: Sections) -> str:
    """What changes, by lines: every line of both versions behind ``+``, ``-`` or a space."""
    old, new = (to_text(sections, evidence=False).splitlines() for sections in (before, after))
    return "\n".join(line.rstrip() for line in ndiff(old, new) if not line.startswith("?"))


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
