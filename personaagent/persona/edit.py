"""A persona in the user's own hands: reading an edited text, and what differs between two versions."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from difflib import SequenceMatcher, ndiff
from typing import Literal

from personaagent.persona.shape import from_text, to_text, validate_sections
from personaagent.types import Sections, clauses_of, evidence_of


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffOp:
    """A run of words, with the white space after them, that both versions have or one of them."""

    kind: Literal["keep", "add", "remove"]
    text: str


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


def diff(before: Sections, after: Sections) -> list[DiffOp]:
    """What changes from one persona to another, by words, in reading order.

    The texts of ``keep`` and ``remove`` joined are the first version's, those of ``keep`` and ``add`` the second's.
    """
    old, new = (_words(to_text(sections, evidence=False)) for sections in (before, after))
    ops: list[DiffOp] = []
    for tag, i, j, k, m in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            ops.append(DiffOp(kind="keep", text="".join(old[i:j])))
            continue
        if i < j:
            ops.append(DiffOp(kind="remove", text="".join(old[i:j])))
        if k < m:
            ops.append(DiffOp(kind="add", text="".join(new[k:m])))
    return ops


def diff_lines(before: Sections, after: Sections) -> str:
    """What changes, by lines: every line of both versions behind ``+``, ``-`` or a space."""
    old, new = (to_text(sections, evidence=False).splitlines() for sections in (before, after))
    return "\n".join(line.rstrip() for line in ndiff(old, new) if not line.startswith("?"))


def _words(text: str) -> list[str]:
    return re.findall(r"\S+\s*", text)
