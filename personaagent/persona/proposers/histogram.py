"""The proposer that needs no model: the user's label habits, their most telling signs, and which tools have served."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log, sqrt

from personaagent.errors import InvalidPersona
from personaagent.memory.statistics import (
    EVIDENCE,
    MIN_ROWS,
    Row,
    by_task,
    describe,
    is_closed,
    is_statistic,
    label_weights,
)
from personaagent.persona.proposers import ProposalContext, Refusal
from personaagent.persona.proposers.tooling import tool_clauses
from personaagent.persona.rules import broken_rule
from personaagent.persona.shape import sound_clauses, token_count, validate_sections
from personaagent.text import one_line
from personaagent.types import Candidate, Clause, Section, Sections

SIGNS = 6  # words a label
LABELS = 4  # labels of a task that get signs or an example
EXAMPLE_CHARS = 100
MIN_ODDS = log(2)  # a sign is at least twice as common with its label as without

_WORD = re.compile(r"[^\W\d_]{4,20}")
_COMMON = frozenset(
    re.findall(
        r"\w+",
        "about after again also because been before being between both could does doing down during each from have "
        "having here into just more most other over same should some such than that their them then there these they "
        "this those through under very were what when where which while will with would your",
    )
)


@dataclass(frozen=True, slots=True)
class _Style:
    half_life: float
    signs: bool
    examples: bool


_STYLES = (
    _Style(half_life=15, signs=True, examples=False),
    _Style(half_life=5, signs=True, examples=True),
    _Style(half_life=40, signs=False, examples=True),
)


class HistogramProposer:
    """Replaces its own clauses (``is_statistic``) by fresh ones and keeps all others.

    Variants differ in how fast the past fades and in whether signs, examples or both are told.
    """

    name = "histogram"

    async def propose(self, context: ProposalContext) -> Candidate | Refusal:
        """Return the incumbent with its statistical clauses renewed, as many as the budget takes, strongest first."""
        return await asyncio.to_thread(self._propose, context)

    def _propose(self, context: ProposalContext) -> Candidate | Refusal:
        style = _STYLES[context.variant % len(_STYLES)]
        written = _sound(_clauses(context, style))
        if not written:
            return self._refuse(f"fewer than {MIN_ROWS} labelled interactions of any task")
        kept = {
            section: tuple(clause for clause in clauses if not is_statistic(clause.text))
            for section, clauses in context.incumbent.items()
        }
        while written and token_count(_merged(kept, written)) > context.token_budget:
            written.pop()
        if not written:
            return self._refuse("the persona's other clauses leave no room in the token budget")
        known = {i.id for i in context.history} | {
            i for clauses in kept.values() for clause in clauses for i in clause.evidence
        }
        try:
            sections = validate_sections(_merged(kept, written), budget_tokens=context.token_budget, known_ids=known)
        except InvalidPersona as error:
            return self._refuse(str(error))
        if _texts(sections) == _texts(context.incumbent):
            return self._refuse("the label habits are already in the persona")
        return Candidate(proposer=self.name, sections=sections, reason=f"habits in {len(context.history)} labels")

    def _refuse(self, reason: str) -> Refusal:
        return Refusal(proposer=self.name, reason=reason)


def _clauses(context: ProposalContext, style: _Style) -> list[tuple[Section, Clause]]:
    """The clauses to write, strongest first: habits, tools, then signs and examples of the commonest labels."""
    written = [(Section.WHO, clause) for clause in describe(context.history, style.half_life)]
    written += [(Section.TOOLING, clause) for clause in tool_clauses(context.history)]
    missed = {simulation.interaction_id for simulation in context.simulations if simulation.loss > 0}
    for task, rows in by_task(context.history, style.half_life).items():
        if len(rows) < MIN_ROWS or not is_closed(rows):
            continue
        common = [label for label, _ in label_weights(rows).most_common(LABELS)]
        if style.signs:
            written += [(Section.ANSWERING, c) for label in common if (c := _signs(task, label, rows))]
        if style.examples:
            written += [(Section.ANSWERING, c) for label in common if (c := _example(task, label, rows, missed))]
    return written


def _signs(task: str, label: str, rows: Sequence[Row]) -> Clause | None:
    """The words whose log-odds speak most for the label, with the newest interactions that have them."""
    words = {row.interaction.id: _words(row.interaction.query) for row in rows}
    inside = [row for row in rows if row.label == label]
    outside = [row for row in rows if row.label != label]
    if len(inside) < MIN_ROWS or not outside:
        return None
    here, there = _frequencies(inside, words), _frequencies(outside, words)
    rows_with = Counter(word for row in inside for word in words[row.interaction.id])
    size_here, size_there = sum(row.weight for row in inside), sum(row.weight for row in outside)
    scores: dict[str, float] = {}
    for word, count in rows_with.items():
        odds = log((here[word] + 0.5) / (size_here + 1)) - log((there.get(word, 0) + 0.5) / (size_there + 1))
        if count >= MIN_ROWS and odds > MIN_ODDS and broken_rule(word) is None:
            scores[word] = odds * sqrt(count)
    telling = sorted(scores, key=lambda word: (-scores[word], word))[:SIGNS]
    if not telling:
        return None
    evidence = [row.interaction.id for row in inside if words[row.interaction.id] & set(telling)]
    text = f'Signs of "{label}" in "{task}": {", ".join(telling)}.'
    return Clause(text=text, evidence=tuple(evidence[-EVIDENCE:]))


def _example(task: str, label: str, rows: Sequence[Row], missed: set[str]) -> Clause | None:
    """The newest interaction of the label, one that the incumbent got wrong before any other."""
    inside = [row.interaction for row in rows if row.label == label]
    chosen = max(enumerate(inside), key=lambda pair: (pair[1].id in missed, pair[0]))[1]
    excerpt = one_line(chosen.query, EXAMPLE_CHARS).replace('"', "'")
    if not excerpt or broken_rule(chosen.query[:1_000]) is not None:
        return None
    return Clause(text=f'Example of "{label}" in "{task}": "{excerpt}"', evidence=(chosen.id,))


def _frequencies(rows: Sequence[Row], words: Mapping[str, set[str]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for row in rows:
        for word in words[row.interaction.id]:
            found[word] = found.get(word, 0.0) + row.weight
    return found


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text[:2_000].casefold())) - _COMMON


def _sound(written: Sequence[tuple[Section, Clause]]) -> list[tuple[Section, Clause]]:
    return [(section, c) for section, c in written if sound_clauses({section: (c,)}, c.evidence)]


def _merged(kept: Sections, written: Sequence[tuple[Section, Clause]]) -> Sections:
    merged = {}
    for section in Section:
        told, own = kept.get(section, ()), tuple(clause for where, clause in written if where is section)
        # tools are ordered by the first clause that names them: what was counted goes before what was presumed
        merged[section] = own + told if section is Section.TOOLING else told + own
    return merged


def _texts(sections: Sections) -> list[list[str]]:
    return [[clause.text for clause in sections.get(section, ())] for section in Section]
