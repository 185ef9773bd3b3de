"""Asking the user before a tool changes something: the question, and what the answer means.

The question is that of LangChain's human-in-the-loop middleware (``HITLRequest``), as Agent Chat UI shows it, and the
first call in the ``HumanInterrupt`` that Agent Inbox and older versions of that UI look for. The answer may be the
decisions of the one, the list of ``HumanResponse`` of the other, or a plain word.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from personaagent.tools.addresses import unknown_addresses
from personaagent.tools.spec import ToolSpec

Verb = Literal["approve", "edit", "reject"]
_VERBS: dict[str, Verb] = {
    "accept": "approve", "approve": "approve", "approved": "approve", "yes": "approve", "true": "approve",
    "edit": "edit",
    "ignore": "reject", "reject": "reject", "rejected": "reject", "response": "reject", "no": "reject",
    "false": "reject",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the user decided about one call. ``arguments`` only with edit; ``remember``: do not ask again."""

    verb: Verb
    arguments: Mapping[str, Any] | None = None
    message: str = ""
    remember: bool = False


def needs_approval(
    spec: ToolSpec, arguments: Mapping[str, Any], approved: Collection[str], known: Collection[str]
) -> bool:
    """Whether the user must be asked before this tool runs.

    An approval for good holds for what the tool changes, never for where it reaches: ``known`` addresses only.
    """
    reaches = spec.outward and bool(unknown_addresses(arguments, known))
    asks = any(arguments.get(name) for name in spec.always_asks)
    return reaches or asks or (spec.side_effects and not spec.in_any(approved))


def approval_request(calls: Sequence[tuple[ToolSpec, Mapping[str, Any], str]]) -> dict[str, Any]:
    """What ``interrupt`` is given for the calls of a step: one question in both forms.

    Each call is its tool, its arguments, and what it would do, as the tool's ``preview`` says.
    """
    requests = [
        {
            "name": spec.name,
            "args": dict(arguments),
            "description": f"Your agent wants to use {spec.name}: {spec.description}" + (f"\n{seen}" if seen else ""),
        }
        | ({"preview": seen} if seen else {})
        for spec, arguments, seen in calls
    ]
    first = requests[0]
    return {
        "action_requests": requests,
        "review_configs": [
            {"action_name": name, "allowed_decisions": ["approve", "edit", "reject"]}
            for name in dict.fromkeys(spec.name for spec, *_ in calls)
        ],
        "action_request": {"action": first["name"], "args": first["args"]},
        "config": {"allow_accept": True, "allow_edit": True, "allow_respond": True, "allow_ignore": True},
        "description": first["description"],
    }


def parse_decisions(value: object, count: int) -> list[Decision]:
    """What the resume value means for each of ``count`` calls; what is missing or not understood rejects the call.

    One answer for all is taken for a single call only, or when it rejects: an approval is never spread.
    """
    if isinstance(value, Mapping) and isinstance(value.get("decisions"), list):
        value = value["decisions"]
    answers = value if isinstance(value, list) else [value]
    decisions = [_parse(answer) for answer in answers[:count]]
    if not isinstance(value, list) and decisions and decisions[0].verb == "reject":
        decisions *= count
    unanswered = Decision(verb="reject", message="no decision was given for this call")
    return [*decisions, *([unanswered] * (count - len(decisions)))][:count]


def _parse(answer: object) -> Decision:
    if isinstance(answer, bool | str):
        verb = _VERBS.get(str(answer).strip().lower())
        return Decision(verb=verb) if verb in {"approve", "reject"} and verb else _unclear()
    if not isinstance(answer, Mapping):
        return _unclear()
    verb = _VERBS.get(str(answer.get("type", "")).strip().lower())
    args = answer.get("args")
    remember = answer.get("remember") is True
    if verb == "approve":
        return Decision(verb="approve", remember=remember)
    if verb == "edit":
        return _edited(args if isinstance(args, Mapping) else answer.get("edited_action"), remember)
    if verb == "reject":
        said = args if isinstance(args, str) else answer.get("message", "")
        return Decision(verb="reject", message=str(said)[:1_000])
    return _unclear()


def _edited(action: object, remember: bool) -> Decision:
    """The edited arguments, whether given bare or inside an ``ActionRequest``."""
    if not isinstance(action, Mapping):
        return _unclear()
    inner = action.get("args", action.get("arguments", action))
    return Decision(verb="edit", arguments=dict(inner), remember=remember) if isinstance(inner, Mapping) else _unclear()


def _unclear() -> Decision:
    return Decision(verb="reject", message="the decision could not be read: answer approve, edit or reject")
