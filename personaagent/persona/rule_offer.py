"""A correction may stand for a rule: it is offered to the user, whose yes makes it a pin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from langchain_core.messages import HumanMessage

from personaagent.errors import ModelError
from personaagent.ports import Models
from personaagent.prompts import quote, render
from personaagent.rules import broken_rule
from personaagent.text import one_line, skeleton

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
