"""The shape of a persona: sections of short clauses, with evidence, within a token budget and a bounded step."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from difflib import SequenceMatcher

from personaagent.errors import InvalidPersona
from personaagent.models.tokens import count_tokens
from personaagent.rules import broken_rule
from personaagent.text import clean
from personaagent.types import Clause, Section, Sections

MAX_CLAUSE_CHARS = 300
EVIDENCE_CHARS = 8  # of an interaction's id, in the text form

_HEADING = re.compile(r"^##\s+(\w+)\s*$")
_CLAUSE = re.compile(r"^[-*]\s+(.*?)(?:\s*\[evidence:([^\]]*)\])?\s*$")


def validate_sections(
    sections: Mapping[Section, tuple[Clause, ...]],
    *,
    budget_tokens: int,
    known_ids: Collection[str],
    base: Sections | None = None,
    max_change: float = 1.0,
) -> Sections:
    """Return the sections in their normal form: in order, none empty, clauses cleaned and each once.

    Evidence that is not in ``known_ids`` is dropped. Raises InvalidPersona when nothing is said, when a clause has
    more than 300 characters or speaks to the assistant's frame (``rules``), when the text is over ``budget_tokens``,
    and when more than the fraction ``max_change`` of ``base``'s and its own words differs between the two.
    """
    normal: dict[Section, tuple[Clause, ...]] = {}
    for section in Section:
        clauses: dict[str, Clause] = {}
        for clause in sections.get(section, ()):
            checked = check_clause(clause, known_ids)
            clauses.setdefault(checked.text, checked)
        if clauses:
            normal[section] = tuple(clauses.values())
    if not normal:
        raise InvalidPersona("the persona is empty: write at least one clause")
    if (tokens := token_count(normal)) > budget_tokens:
        raise InvalidPersona(
            f"the persona has {tokens} tokens, {budget_tokens} at most are allowed: shorten it, "
            "or raise PERSONAAGENT_PERSONA_TOKEN_BUDGET"
        )
    if base is not None and (moved := change(base, normal)) > max_change:
        raise InvalidPersona(f"{moved:.0%} of the persona would change in one step, {max_change:.0%} at most may")
    return normal


def check_clause(clause: Clause, known_ids: Collection[str]) -> Clause:
    """Return the clause cleaned, on one line, with known evidence only; raise InvalidPersona where it breaks a rule."""
    text = " ".join(clean(clause.text).split())
    if not text:
        raise InvalidPersona("a clause is empty: write a sentence or take the line out")
    if len(text) > MAX_CLAUSE_CHARS:
        raise InvalidPersona(
            f"a clause has {len(text)} characters, {MAX_CLAUSE_CHARS} at most: split it ({text[:40]}…)"
        )
    if rule := broken_rule(text):
        raise InvalidPersona(f"a clause speaks to the assistant's rules ({rule}): a persona may only describe the user")
    evidence = tuple(dict.fromkeys(i for i in clause.evidence if i in known_ids))
    return replace(clause, text=text, evidence=evidence)


def sound_clauses(sections: Sections, known_ids: Collection[str]) -> Sections:
    """The sections without the clauses that ``check_clause`` refuses."""
    sound: dict[Section, tuple[Clause, ...]] = {}
    for section, clauses in sections.items():
        kept = []
        for clause in clauses:
            try:
                kept.append(check_clause(clause, known_ids))
            except InvalidPersona:
                continue
        if kept:
            sound[section] = tuple(kept)
    return sound


def fit(sections: Sections, budget_tokens: int) -> Sections:
    """The sections within the budget: the last clauses of the longest lists go first, later sections before earlier."""
    left = {section: list(clauses) for section, clauses in sections.items() if clauses}
    order = list(Section)
    while left and token_count({s: tuple(c) for s, c in left.items()}) > budget_tokens:
        longest = max(left, key=lambda section: (len(left[section]), order.index(section)))
        left[longest].pop()
        left = {section: clauses for section, clauses in left.items() if clauses}
    return {section: tuple(left[section]) for section in order if section in left}


def token_count(sections: Sections) -> int:
    """How many tokens the persona takes in a prompt, about."""
    return count_tokens(to_text(sections, evidence=False))


def change(before: Sections, after: Sections) -> float:
    """The share of words that differ between two personas: 0 for the same, 1 for nothing in common."""
    old, new = _words(before), _words(after)
    if not old and not new:
        return 0.0
    same = sum(block.size for block in SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks())
    return 1 - 2 * same / (len(old) + len(new))


def to_text(sections: Sections, *, evidence: bool = True) -> str:
    """The persona as Markdown: ``## who`` and ``- clause [evidence: ab12cd34]``, evidence on request only."""
    blocks = []
    for section in Section:
        if clauses := sections.get(section, ()):
            lines = [f"- {clause.text}{_evidence(clause) if evidence else ''}" for clause in clauses]
            blocks.append("\n".join([f"## {section.value}", *lines]))
    return "\n\n".join(blocks)


def from_text(text: str, known_ids: Collection[str] = ()) -> Sections:
    """Read the form that ``to_text`` writes; raises InvalidPersona naming the line that is none of it.

    Evidence is resolved against ``known_ids``; what is unknown or ambiguous there is dropped.
    """
    found: dict[Section, list[Clause]] = {}
    section: Section | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        if heading := _HEADING.match(line):
            name = heading[1].lower()
            if name not in set(Section):
                raise InvalidPersona(f"line {number}: there is no section {name!r}, only {', '.join(Section)}")
            section = Section(name)
        elif (clause := _CLAUSE.match(line.strip())) and section:
            ids = [_resolve(part.strip(), known_ids) for part in (clause[2] or "").split(",")]
            found.setdefault(section, []).append(Clause(text=clause[1], evidence=tuple(i for i in ids if i)))
        else:
            raise InvalidPersona(f"line {number} is neither '## section' nor '- clause': {line.strip()[:40]}")
    return {section: tuple(clauses) for section, clauses in found.items()}


def _words(sections: Sections) -> list[str]:
    return [word for section in Section for clause in sections.get(section, ()) for word in clause.text.split()]


def _evidence(clause: Clause) -> str:
    return f" [evidence: {', '.join(i[:EVIDENCE_CHARS] for i in clause.evidence)}]" if clause.evidence else ""


def _resolve(prefix: str, known_ids: Collection[str]) -> str | None:
    matching = [i for i in known_ids if prefix and i[:EVIDENCE_CHARS] == prefix]
    return matching[0] if len(matching) == 1 else None
