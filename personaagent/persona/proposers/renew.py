"""What the model-free proposers share: counted clauses are replaced by fresh ones, all others are kept."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

from personaagent.errors import InvalidPersona
from personaagent.memory.statistics import MIN_ROWS, by_task, describe, is_closed, statistic_kind
from personaagent.persona.proposers import ProposalContext, Refusal
from personaagent.persona.proposers.telling import contrast_clauses, example_clauses, sign_clauses
from personaagent.persona.proposers.tooling import tool_clauses
from personaagent.persona.shape import sound_clauses, token_count, validate_sections
from personaagent.types import Candidate, Clause, Section, Sections

Kind = Literal["habits", "tools", "signs", "contrast", "examples"]

HALF_LIVES = (15.0, 5.0, 40.0)  # labels after which one counts half, by variant

_Written = tuple[Section, Clause]


def renew(
    name: str, context: ProposalContext, kinds: Sequence[Kind], *, without: Collection[str] = ()
) -> Candidate | Refusal:
    """Return the incumbent with its counted clauses fresh, and those of ``kinds`` added.

    A kind that stands in the incumbent stays and is counted anew, so no number in a persona is older than its last
    alignment. ``kinds`` come first, and the last clauses give way to the token budget. Clauses whose text is in
    ``without`` are left out. Variants of the context differ in how fast the past fades. A Refusal where there is too
    little to count, no room, or nothing new.
    """
    standing = {kind for clauses in context.incumbent.values() for c in clauses if (kind := statistic_kind(c.text))}
    wanted = list(dict.fromkeys(["habits", "tools", *kinds, *sorted(standing)]))
    written = _sound(_clauses(context, wanted))
    kept = {
        section: tuple(c for c in clauses if statistic_kind(c.text) is None and c.text not in without)
        for section, clauses in context.incumbent.items()
    }
    if not written:
        return Refusal(proposer=name, reason=f"fewer than {MIN_ROWS} labelled interactions of any task")
    while written and token_count(_merged(kept, written)) > context.token_budget:
        written.pop()
    if not written:
        return Refusal(proposer=name, reason="the persona's other clauses leave no room in the token budget")
    known = {i.id for i in context.history} | {i for clauses in kept.values() for c in clauses for i in c.evidence}
    try:
        sections = validate_sections(_merged(kept, written), budget_tokens=context.token_budget, known_ids=known)
    except InvalidPersona as error:
        return Refusal(proposer=name, reason=str(error))
    if _texts(sections) == _texts(context.incumbent):
        return Refusal(proposer=name, reason="what it would say is already in the persona")
    return Candidate(proposer=name, sections=sections, reason=f"counted in {len(context.history)} labels")


def _clauses(context: ProposalContext, kinds: Sequence[str]) -> list[_Written]:
    half_life = HALF_LIVES[context.variant % len(HALF_LIVES)]
    tasks = by_task(context.history, half_life)
    closed = {task: rows for task, rows in tasks.items() if len(rows) >= MIN_ROWS and is_closed(rows)}
    written: list[_Written] = []
    for kind in kinds:
        match kind:
            case "habits":
                written += [(Section.WHO, clause) for clause in describe(context.history, half_life)]
            case "tools":
                written += [(Section.TOOLING, clause) for clause in tool_clauses(context.history)]
            case "signs":
                written += [(Section.ANSWERING, c) for t, rows in closed.items() for c in sign_clauses(t, rows)]
            case "contrast":
                told = [contrast_clauses(task, rows, context.simulations) for task, rows in closed.items()]
                written += [(Section.ANSWERING, clause) for clauses in told for clause in clauses]
            case "examples":
                told = [example_clauses(task, rows, context.simulations) for task, rows in closed.items()]
                written += [(Section.ANSWERING, clause) for clauses in told for clause in clauses]
    return written


def _sound(written: Sequence[_Written]) -> list[_Written]:
    return [(section, c) for section, c in written if sound_clauses({section: (c,)}, c.evidence)]


def _merged(kept: Sections, written: Sequence[_Written]) -> Sections:
    merged = {}
    for section in Section:
        told, own = kept.get(section, ()), tuple(clause for where, clause in written if where is section)
        # tools are ordered by the first clause that names them: what was counted goes before what was presumed
        merged[section] = own + told if section is Section.TOOLING else told + own
    return merged


def _texts(sections: Sections) -> list[list[str]]:
    return [[clause.text for clause in sections.get(section, ())] for section in Section]
