"""The action policy that needs no model: which tools have served the user, as clauses of the tooling section.

The clauses name tools in the order in which they should be tried, and the action space puts them in front of the model
in that order (``tools.space``). They are part of the model-free candidate, so the gate judges them like all else.
"""

from __future__ import annotations

from collections.abc import Sequence

from personaagent.labels.statistics import EVIDENCE, MIN_ROWS
from personaagent.labels.tool_record import ToolUse, tool_uses
from personaagent.persona.shape import MAX_CLAUSE_CHARS
from personaagent.rules import broken_rule
from personaagent.types import Clause, Interaction

MIN_SHARE = 0.5  # of a preferred tool's answers were accepted
MIN_TURNS = 3  # without one accepted answer, before a tool is warned of


def tool_clauses(history: Sequence[Interaction]) -> list[Clause]:
    """What to prefer, and what has been of no help; none where the history says too little. ``history`` oldest first.

    Preferred are tools with at least two accepted answers that are at least half of their answers; the best comes
    first, with what it was asked. Warned of are tools with three answers or more and none accepted.
    """
    uses = tool_uses(history)
    served = [use for use in uses if use.accepted >= MIN_ROWS and use.share >= MIN_SHARE]
    failed = [use for use in uses if use.turns >= MIN_TURNS and not use.accepted]
    return [
        *_clause("Tools to prefer: ", ", then ", [(_preferred(use), use) for use in served]),
        # the word before each name is what puts the tool last
        *_clause("Tools of little help: ", ", ", [(f"avoid {u.name} (0 of {u.turns} accepted)", u) for u in failed]),
    ]


def _clause(opening: str, joint: str, parts: Sequence[tuple[str, ToolUse]]) -> list[Clause]:
    """One clause of as many parts as may stand in it, or none."""
    told: list[str] = []
    evidence: list[str] = []
    for part, use in parts:
        text = f"{opening}{joint.join([*told, part])}."
        if len(text) <= MAX_CLAUSE_CHARS and broken_rule(text) is None:
            told.append(part)
            evidence += use.evidence[-EVIDENCE:]
    return [Clause(text=f"{opening}{joint.join(told)}.", evidence=tuple(dict.fromkeys(evidence)))] if told else []


def _preferred(use: ToolUse) -> str:
    share = f"{use.accepted} of {use.turns} accepted"
    examples = [text.replace('"', "'") for text in use.asked if broken_rule(text) is None]
    return f'{use.name} ({share}, asked "{examples[0]}")' if examples else f"{use.name} ({share})"
