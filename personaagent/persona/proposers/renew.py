"""What the model-free proposers share: counted clauses are replaced by fresh ones, all others are kept."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

from personaagent.errors import InvalidPersona
from personaagent.memory.statistics import MIN_ROWS, by_task, describe, is_closed, statistic_kind
from personaagent.persona.proposers import ProposalContext, Refusal
from personaagent.persona.proposers.telling import contrast_clauses, example_clauses, sign_clauses
from personaagent.persona.proposers.tooling import tool_clauses
from personaagent.persona.proposers.turning import since_turn
from personaagent.persona.shape import sound_clauses, token_count, validate_sections
from personaagent.types import Candidate, Clause, Interaction, Section, Sections, evidence_of

Kind = Literal["habits", "tools", "signs", "contrast", "examples"]

COUNTED_TOKENS = 220  # of all counted clauses, so that a persona does not grow with its kinds
HALF_LIVES = (15.0, 5.0, 40.0)  # labels after which one counts half, by variant

_Written = tuple[Section, Clause]


def renew(
    name: str, context: ProposalContext, kinds: Sequence[Kind], *, without: Collection[str] = ()
) -> Candidate | Refusal:
    """Return the incumbent with its counted clauses fresh, and those of ``kinds`` added.

    A kind that stands in the incumbent stays and is counted anew, so no number in a persona is older than its last
    alignment. ``kinds`` come first, and the last clauses give way to ``COUNTED_TOKENS`` and the token budget. Where the
    taste has turned (``since_turn``), only what came after is counted, and clauses that stand on what came before alone
    are left out, as are those whose text is in ``without``. Variants of the context differ in how fast the past fades.
    A Refusal where there is too little to count, no room, or nothing new.
    """
    current, turns = since_turn(context.history, context.incumbent)
    refuted = {i.id for i in context.history} - {i.id for i in current}
    standing = {kind for clauses in context.incumbent.values() for c in clauses if (kind := statistic_kind(c.text))}
    wanted = list(dict.fromkeys(["habits", "tools", *kinds, *sorted(standing)]))
    written = _sound([*((Section.WHO, clause) for clause in turns), *_clauses(context, current, wanted)])
    kept = {
        section: tuple(
            clause
            for clause in clauses
            if statistic_kind(clause.text) is None and clause.text not in without and not _refuted(clause, refuted)
        )
        for section, clauses in context.incumbent.items()
    }
    if not written:
        return Refusal(proposer=name, reason=f"fewer than {MIN_ROWS} labelled interactions of any task")
    while written and (
        token_count(_merged(kept, written)) > context.token_budget or token_count(_merged({}, written)) > COUNTED_TOKENS
    ):
        written.pop()
    if not written:
        return Refusal(proposer=name, reason="the persona's other clauses leave no room in the token budget")
    standing_ids = set(evidence_of(context.incumbent))
    known = {i.id for i in context.history} | standing_ids
    try:
        sections = validate_sections(_merged(kept, written), budget_tokens=context.token_budget, known_ids=known)
    except InvalidPersona as error:
        return Refusal(proposer=name, reason=str(error))
    if _texts(sections) == _texts(context.incumbent):
        return Refusal(proposer=name, reason="what it would say is already in the persona")
    return Candidate(proposer=name, sections=sections, reason=f"counted in {len(context.history)} labels")


def _refuted(clause: Clause, refuted: Collection[str]) -> bool:
    return bool(clause.evidence) and all(evidence in refuted for evidence in clause.evidence)


def _clauses(context: ProposalContext, current: Sequence[Interaction], kinds: Sequence[str]) -> list[_Written]:
    half_life = HALF_LIVES[context.variant % len(HALF_LIVES)]
    tasks = by_task(current, half_life)
    closed = {task: rows for task, rows in tasks.items() if len(rows) >= MIN_ROWS and is_closed(rows)}
    written: list[_Written] = []
    for kind in kinds:
        match kind:
            case "habits":
                written += [(Section.WHO, clause) for clause in describe(current, half_life)]
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
