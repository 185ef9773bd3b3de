"""What changed between two versions of a persona, clause by clause and within a clause word by word."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from personaagent.types import Clause, Section, Sections

ALIKE = 0.4  # clauses that share less of their words are not one that was changed, but two
_WORD = re.compile(r"[\w'\u2019-]+\s*|[^\w\s]\s*")
Kind = Literal["same", "added", "removed", "changed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Some words that both versions have (``same``), or one of them."""

    kind: Literal["same", "added", "removed"]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClauseChange:
    """What became of one clause; ``evidence`` is that of the newer of the two."""

    kind: Kind
    runs: tuple[Run, ...]
    evidence: tuple[str, ...]


def changes(before: Sections, after: Sections) -> dict[Section, list[ClauseChange]]:
    """What became of every clause, by section, in reading order; sections that both lack are left out."""
    told: dict[Section, list[ClauseChange]] = {}
    for section in Section:
        old, new = before.get(section, ()), after.get(section, ())
        if old or new:
            told[section] = _section(old, new)
    return told


def words(before: str, after: str) -> tuple[Run, ...]:
    """The words of both texts in reading order, what went before what came."""
    old, new = _WORD.findall(before), _WORD.findall(after)
    runs: list[Run] = []
    for tag, i, j, k, m in SequenceMatcher(None, _bare(old), _bare(new), autojunk=False).get_opcodes():
        if tag == "equal":
            runs.append(Run(kind="same", text="".join(new[k:m])))
            continue
        if i < j:
            runs.append(Run(kind="removed", text="".join(old[i:j])))
        if k < m:
            runs.append(Run(kind="added", text="".join(new[k:m])))
    return tuple(runs)


def _section(old: Sequence[Clause], new: Sequence[Clause]) -> list[ClauseChange]:
    told: list[ClauseChange] = []
    matcher = SequenceMatcher(None, [c.text for c in old], [c.text for c in new], autojunk=False)
    for tag, i, j, k, m in matcher.get_opcodes():
        if tag == "equal":
            told += [_whole("same", clause) for clause in new[k:m]]
        else:
            told += _replaced(old[i:j], new[k:m])
    return told


def _replaced(old: Sequence[Clause], new: Sequence[Clause]) -> list[ClauseChange]:
    """Each new clause beside the old one that it is most like, if it is like any."""
    left = list(old)
    told: list[ClauseChange] = []
    for clause in new:
        like = max(left, key=lambda past: likeness(past.text, clause.text), default=None)
        if like is None or likeness(like.text, clause.text) < ALIKE:
            told.append(_whole("added", clause))
            continue
        left.remove(like)
        told.append(ClauseChange(kind="changed", runs=words(like.text, clause.text), evidence=clause.evidence))
    return [*(_whole("removed", clause) for clause in left), *told]


def _whole(kind: Literal["same", "added", "removed"], clause: Clause) -> ClauseChange:
    return ClauseChange(kind=kind, runs=(Run(kind=kind, text=clause.text),), evidence=clause.evidence)


def likeness(one: str, other: str) -> float:
    """The share of words that two sentences have in common, 0 to 1."""
    return SequenceMatcher(None, one.split(), other.split(), autojunk=False).ratio()


def _bare(parts: Sequence[str]) -> list[str]:
    return [part.rstrip() for part in parts]
