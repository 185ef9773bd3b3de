"""What the model-free proposers share: counted clauses are replaced by fresh ones, all others are kept."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from itertools import chain
from typing import Literal

from personaagent.errors import InvalidPersona
from personaagent.labels.statistics import COUNTED, MIN_ROWS, by_task, is_closed, ranges
from personaagent.persona.proposers import ProposalContext, Refusal
from personaagent.persona.proposers.telling import contrast_clauses, example_clauses, sign_clauses
from personaagent.persona.proposers.tooling import tool_clauses
from personaagent.persona.proposers.turning import since_turn
from personaagent.persona.shape import sound_clauses, to_text, token_count, validate_sections
from personaagent.types import Candidate, Clause, Interaction, Section, Sections, clauses_of, evidence_of

Kind = Literal["habits", "tools", "signs", "contrast", "examples"]

COUNTED_TOKENS = 240  # of all counted clauses, so that a persona does not grow with its kinds
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
    standing = COUNTED.intersection(clause.kind for clause in clauses_of(context.incumbent))
    wanted = list(dict.fromkeys(["habits", "tools", *kinds, *sorted(standing)]))
    written = _sound([*((Section.WHO, clause) for clause in turns), *_clauses(context, current, wanted)])
    kept = _kept(context.incumbent, without, refuted)
    if not written:
        return Refusal(
            proposer=name, reason=f"fewer than {MIN_ROWS} labelled interactions of any task with labels or scores"
        )
    written = _fitting(kept, written, context.token_budget)
    if not written:
        return Refusal(proposer=name, reason="the persona's other clauses leave no room in the token budget")
    standing_ids = set(evidence_of(context.incumbent))
    known = {i.id for i in context.history} | standing_ids
    try:
        sections = validate_sections(_merged(kept, written), budget_tokens=context.token_budget, known_ids=known)
    except InvalidPersona as error:
        return Refusal(proposer=name, reason=str(error))
    if to_text(sections, evidence=False) == to_text(context.incumbent, evidence=False):
        return Refusal(proposer=name, reason="what it would say is already in the persona")
    return Candidate(proposer=name, sections=sections, reason=f"counted in {len(context.history)} labels")


def _kept(incumbent: Sections, without: Collection[str], refuted: set[str]) -> dict[Section, tuple[Clause, ...]]:
    """The clauses that nobody counts, less those in ``without`` and those that stand on what is refuted alone."""

    def stays(clause: Clause) -> bool:
        stands = not clause.evidence or not refuted.issuperset(clause.evidence)
        return stands and clause.kind not in COUNTED and clause.text not in without

    return {section: tuple(filter(stays, clauses)) for section, clauses in incumbent.items()}


def _fitting(kept: Sections, written: Sequence[_Written], budget: int) -> list[_Written]:
    """The first of the counted clauses for which there is room."""
    fitting = list(written)
    while fitting and (
        token_count(_merged(kept, fitting)) > budget or token_count(_merged({}, fitting)) > COUNTED_TOKENS
    ):
        fitting.pop()
    return fitting


def _clauses(context: ProposalContext, current: Sequence[Interaction], kinds: Sequence[str]) -> list[_Written]:
    half_life = HALF_LIVES[context.variant % len(HALF_LIVES)]
    tasks = by_task(current, half_life)
    closed = {task: rows for task, rows in tasks.items() if len(rows) >= MIN_ROWS and is_closed(rows)}
    each, told = closed.items(), context.simulations
    writers: dict[str, tuple[Section, Callable[[], Iterable[Clause]]]] = {
        "habits": (Section.WHO, lambda: ranges(current, half_life)),
        "tools": (Section.TOOLING, lambda: tool_clauses(context.history)),
        "signs": (Section.ANSWERING, lambda: chain(*(sign_clauses(t, rows) for t, rows in each))),
        "contrast": (
            Section.ANSWERING,
            lambda: chain(*(contrast_clauses(t, rows, told) for t, rows in each)),
        ),
        "examples": (Section.ANSWERING, lambda: chain(*(example_clauses(t, rows, told) for t, rows in each))),
    }
    written: list[_Written] = []
    for kind in filter(writers.__contains__, kinds):
        section, write = writers[kind]
        written += [(section, replace(clause, kind=kind)) for clause in write()]
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
