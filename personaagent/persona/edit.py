"""A persona in the user's own hands: reading an edited text, and what differs between two versions."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from difflib import ndiff

from personaagent.persona.shape import from_text, to_text, validate_sections
from personaagent.types import Sections, clauses_of, evidence_of


def read_edit(text: str, base: Sections, *, budget_tokens: int, known_ids: Collection[str] = ()) -> Sections:
    """Return the sections of a persona text that the user edited.

    Evidence comes from ``base`` and ``known_ids``; a clause that is left as it was keeps its kind. The step is not
    bounded: it is the user's own persona. Raises InvalidPersona as ``from_text`` and ``validate_sections`` do.
    """
    ids = {*known_ids, *evidence_of(base)}
    kinds = {clause.text: clause.kind for clause in clauses_of(base)}
    read = {
        section: tuple(replace(clause, kind=kinds.get(clause.text)) for clause in clauses)
        for section, clauses in from_text(text, ids).items()
    }
    return validate_sections(read, budget_tokens=budget_tokens, known_ids=ids)


def diff_lines(before: Sections, after: Sections) -> str:
    """What changes, by lines: every line of both versions behind ``+``, ``-`` or a space."""
    old, new = (to_text(sections, evidence=False).splitlines() for sections in (before, after))
    return "\n".join(line.rstrip() for line in ndiff(old, new) if not line.startswith("?"))
