"""A persona in the user's own hands: reading an edited text, and what differs between two versions."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace
from difflib import ndiff

from personaagent.errors import InvalidPersona
from personaagent.persona.shape import from_text, to_text, validate_sections
from personaagent.persona.step import rewrites
from personaagent.types import Clause, Sections, clauses_of, evidence_of

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
