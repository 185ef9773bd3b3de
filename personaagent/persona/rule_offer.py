"""A correction, or several edits alike, may stand for a rule: it is offered to the user, whose yes makes it a pin."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

from langchain_core.messages import HumanMessage

from personaagent.errors import ModelError
from personaagent.persona.constraint import constraints_of
from personaagent.persona.proposers.edits import edits_in, group, rules_by_task
from personaagent.ports import Models
from personaagent.prompts import quote, render
from personaagent.rules import broken_rule
from personaagent.text import one_line, skeleton
from personaagent.types import Clause, Interaction

MAX_CHARS: Final = 160
SHOWN_CHARS: Final = 600
SCHEMA: Final[dict[str, Any]] = {
    "title": "Rule",
    "type": "object",
    "properties": {"rule": {"type": "string", "maxLength": MAX_CHARS}},
    "required": ["rule"],
    "additionalProperties": False,
}


async def offered_rule(models: Models, query: str, answer: str, truth: str, pins: Sequence[str]) -> str | None:
    """A rule that the correction shows, one call; None where there is none, it is pinned already, or no model writes.

    What the model writes is untrusted: one line of at most ``MAX_CHARS``, and none that speaks to the agent's rules.
    """
    if models.embedded or not query.strip() or not truth.strip():
        return None
    told = {"question": query, "answer": answer or "none", "what the user wanted": truth}
    case = "\n".join(quote(one_line(text, SHOWN_CHARS), label) for label, text in told.items())
    try:
        said = await models.structured("editor", [HumanMessage(render("rule_offer", case=case))], SCHEMA)
    except ModelError:
        return None
    told_rule = said.get("rule")
    rule = " ".join(told_rule.split()).rstrip(".!") if isinstance(told_rule, str) else ""
    known = set(map(skeleton, pins))
    if not rule or len(rule) > MAX_CHARS or broken_rule(rule) or skeleton(rule) in known:
        return None
    return one_line(rule, MAX_CHARS)


def rule_of_edits(
    history: Sequence[Interaction], clauses: Sequence[Clause], pins: Sequence[str], offered: Collection[str]
) -> tuple[str, str] | None:
    """The strongest rule that the edits in a history (oldest first) show and nothing states yet, without a call.

    With it comes what it is about: of that, once ``offered`` or stated, no rule is offered again, whatever its number.
    """
    texts = (*pins, *(clause.text for clause in clauses))
    stated = {group(constraint) for text in texts for constraint in constraints_of(text)}
    for rule in rules_by_task(edits_in(history), clauses):
        about = group(rule.constraints[0])
        if about not in stated and about not in offered:
            return about, rule.text.rstrip(".")
    return None
