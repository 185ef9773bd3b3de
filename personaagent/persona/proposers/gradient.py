"""The paper's proposer: one model call that rewrites the whole persona from all the feedback at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from langchain_core.messages import HumanMessage, SystemMessage

from personaagent.errors import InvalidPersona, ModelError
from personaagent.form import understood
from personaagent.labels.answers import numbered
from personaagent.labels.statistics import describe
from personaagent.persona.critique import verify
from personaagent.persona.edit import bounded_step, without
from personaagent.persona.proposers import ProposalContext, Refusal
from personaagent.persona.shape import MAX_CLAUSE_CHARS, sound_clauses, validate_sections
from personaagent.ports import Models
from personaagent.prompts import quote, render
from personaagent.text import one_line
from personaagent.types import Candidate, Clause, Section, Sections, Simulation, TextualLoss, clauses_of, evidence_of

MAX_CHANGE = 0.8  # of the words, in one step; of a wholesale replacement only a part is taken
WORDS_PER_TOKEN = 0.6
NO_BUDGET = 10**6  # tokens; what is too long is cut by the step
LABEL_CHARS = 60
HABIT_ROWS = 50  # newest labelled interactions whose statistics the editor sees

_EMPHASES = (
    "Change what the feedback asks for most.",
    "This time look above all at who the user is and what occupies them at present.",
    "This time look above all at how to answer and which tools to use.",
    "This time make the smallest change that would have prevented the mistakes.",
)
_CLAUSE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "text": {"type": "string", "maxLength": MAX_CLAUSE_CHARS},
        "evidence": {"type": "array", "items": {"type": "integer"}, "maxItems": 12},
    },
    "required": ["text", "evidence"],
    "additionalProperties": False,
}
PERSONA_SCHEMA: dict[str, Any] = {
    "title": "Persona",
    "type": "object",
    "properties": {
        "sections": {
            "type": "object",
            "properties": {s.value: {"type": "array", "items": _CLAUSE_SCHEMA, "maxItems": 20} for s in Section},
            "required": [s.value for s in Section],
            "additionalProperties": False,
        }
    },
    "required": ["sections"],
    "additionalProperties": False,
}


class GradientProposer:
    """Textual gradient descent on the persona (paper, test-time alignment), in bounded steps."""

    name = "gradient"

    def __init__(self, models: Models, *, max_change: float = MAX_CHANGE) -> None:
        self._models = models
        self._max_change = max_change

    async def propose(self, context: ProposalContext) -> Candidate | Refusal:
        """Return the rewritten persona; a Refusal says why there is none (no feedback, no model, unusable output).

        Clauses that may not stand in a persona are dropped one by one, so that one poisoned label does not keep a
        user's persona from being aligned, and of a rewrite that goes too far a part is taken (``bounded_step``). A
        new clause that names no evidence stands on the mistakes that it was written from, and one that does not
        explain the user's other interactions is left out (``verify``).
        """
        if self._models.embedded:
            return self._refuse("the embedded model cannot write a persona: set OPENAI_API_KEY or OPENAI_BASE_URL")
        if not any(told.loss > 0 and told.error is None for told in context.losses):
            return self._refuse("there is no feedback to learn from")
        ids = _numbered(context)
        try:
            answer = await self._models.structured("editor", _messages(context, ids), PERSONA_SCHEMA)
            written = validate_sections(
                _grounded(sound_clauses(_parsed(answer, ids), ids), context),
                budget_tokens=NO_BUDGET,
                known_ids=ids,
            )
            known = _texts(context.incumbent)
            new = [clause for clause in clauses_of(written) if clause.text not in known]
            verified = await verify(self._models, new, context.history)
            wanted = without(written, context.incumbent, [clause for clause in new if clause not in verified.kept])
            valid = validate_sections(
                bounded_step(
                    context.incumbent, wanted, budget_tokens=context.token_budget, max_change=self._max_change
                ),
                budget_tokens=context.token_budget,
                known_ids=ids,
                base=context.incumbent,
                max_change=self._max_change,
            )
        except (ModelError, InvalidPersona) as error:
            return self._refuse(str(error))
        if _texts(valid) == _texts(context.incumbent):
            if verified.dropped:
                return self._refuse(f"no new clause stands: {'; '.join(verified.dropped)}")
            return self._refuse("the editor returned the persona unchanged")
        left_out = f"; left out: {'; '.join(verified.dropped)}" if verified.dropped else ""
        return Candidate(proposer=self.name, sections=valid, reason=f"from {len(context.losses)} critiques{left_out}")

    def _refuse(self, reason: str) -> Refusal:
        return Refusal(proposer=self.name, reason=reason)


def _said(losses: Sequence[TextualLoss]) -> dict[str, list[str]]:
    """The interactions by what is said of them, worst first."""
    said: dict[str, list[str]] = {}
    for told in sorted(losses, key=lambda told: -told.loss):
        if told.error is None and told.critique:
            said.setdefault(told.critique, []).append(told.interaction_id)
    return said


def aggregate(context: ProposalContext) -> str:
    """The feedback as one numbered list: worst first, said once however often it was said, mistakes counted."""
    numbers = {interaction.id: number for number, interaction in enumerate(context.teach, start=1)}
    missed = {s.interaction_id: s for s in context.simulations if s.loss > 0 and s.error is None}
    implicit = {i.id for i in context.teach if i.truth_source == "implicit"}
    lines = []
    for critique, examples in _said(context.losses).items():
        shown = ", ".join(str(numbers[i]) for i in examples if i in numbers)
        doubt = " (inferred, not said by the user)" if implicit.issuperset(examples) else ""
        pairs = [_pair(missed[i]) for i in examples if i in missed]
        lines.append(f"examples {shown}{doubt}: {'; '.join([*pairs, critique])}")
    right = sum(1 for s in context.simulations if s.loss == 0)
    return "\n".join([*lines, f"{right} of {len(context.simulations)} simulated answers were right."])


def _pair(missed: Simulation) -> str:
    measured = ""
    if len(missed.expected) > LABEL_CHARS:  # a label has no form
        measured = f" ({' '.join(understood(missed.actual, missed.expected))})"
    return f"answered {one_line(missed.actual, 60)!r}, wanted {one_line(missed.expected, 60)!r}{measured}"


def _messages(context: ProposalContext, ids: Sequence[str]) -> list[SystemMessage | HumanMessage]:
    words = round(context.token_budget * WORDS_PER_TOKEN)
    habits = "\n".join(clause.text for clause in describe(context.history[-HABIT_ROWS:]))
    case = render(
        "edit_case",
        pins=quote("\n".join(context.pins) or "none", "the user's own instructions"),
        habits=quote(habits or "unknown", "label habits"),
        persona=quote(_shown(context.incumbent, ids) or "empty", "persona now"),
        feedback=quote(aggregate(context), "feedback"),
        emphasis=_EMPHASES[context.variant % len(_EMPHASES)],
    )
    return [SystemMessage(render("edit_persona", words=str(words))), HumanMessage(case)]


def _numbered(context: ProposalContext) -> list[str]:
    """The interaction ids that evidence may name; an id's number is its place, counted from 1."""
    return list(dict.fromkeys([*(i.id for i in context.teach), *evidence_of(context.incumbent)]))


def _shown(sections: Sections, ids: Sequence[str]) -> str:
    numbers = {interaction_id: number for number, interaction_id in enumerate(ids, start=1)}
    lines = []
    for section, clauses in sections.items():
        lines.append(f"## {section.value}")
        lines += [f"- {clause.text} {[numbers[i] for i in clause.evidence]}" for clause in clauses]
    return "\n".join(lines)


def _parsed(answer: dict[str, Any], ids: Sequence[str]) -> Sections:
    """The model's sections with evidence as ids; what has another form than asked is left out."""
    given = answer.get("sections")
    if not isinstance(given, dict):
        return {}
    sections: dict[Section, tuple[Clause, ...]] = {}
    for section in Section:
        items = given.get(section.value)
        sections[section] = tuple(
            Clause(text=item["text"], evidence=tuple(numbered(item.get("evidence"), ids)))
            for item in (items if isinstance(items, list) else [])
            if isinstance(item, dict) and isinstance(item.get("text"), str)
        )
    return sections


def _grounded(sections: Sections, context: ProposalContext) -> Sections:
    """The sections: a clause that stands keeps its kind, a new one that names no evidence has what went wrong."""
    known = {clause.text: clause for clause in clauses_of(context.incumbent)}
    mistakes = tuple(told.interaction_id for told in context.losses if told.loss > 0 and told.error is None)
    return {
        section: tuple(
            replace(known[clause.text], evidence=clause.evidence)
            if clause.text in known
            else replace(clause, evidence=clause.evidence or mistakes)
            for clause in clauses
        )
        for section, clauses in sections.items()
    }


def _texts(sections: Sections) -> set[str]:
    return {clause.text for clause in clauses_of(sections)}
