"""Which tool calls led to answers that a user accepted, counted from labelled turns (paper, action module).

An answer is accepted where it has no loss against what the user really wanted. A turn counts once for a tool, however
often the tool was called in it, and counts as accepted for those of its tools that answered and that the answer did
not leave aside (``ToolTrace.used``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from personaagent.labels.loss import loss
from personaagent.text import one_line
from personaagent.types import Interaction, ToolTrace

MAX_TOOLS = 8
MAX_ASKED = 3  # examples of what a tool was asked
ASKED_CHARS = 60


@dataclass(slots=True, kw_only=True)
class ToolUse:
    """How one tool has served one user."""

    name: str
    calls: int = 0
    failed: int = 0  # calls that ended in anything but a result
    turns: int = 0
    accepted: int = 0  # of the turns
    first: int = 0  # of the accepted turns: those that began with this tool
    asked: list[str] = field(default_factory=list)  # arguments in accepted turns, newest first, each once
    evidence: list[str] = field(default_factory=list)  # ids of the turns, oldest first; accepted ones if there are any

    @property
    def share(self) -> float:
        """Accepted turns, as a fraction of all."""
        return self.accepted / self.turns if self.turns else 0.0


def tool_uses(history: Sequence[Interaction]) -> list[ToolUse]:
    """The tools that this history's labelled turns called, those that served best first; ``history`` oldest first."""
    uses: dict[str, ToolUse] = {}
    turns: dict[str, list[str]] = {}
    for interaction in reversed(history):
        accepted = is_accepted(interaction)
        if accepted is None:
            continue
        for place, name in enumerate(dict.fromkeys(trace.name for trace in interaction.tools)):
            traces = [trace for trace in interaction.tools if trace.name == name]
            use = uses.setdefault(name, ToolUse(name=name))
            led = accepted and any(map(_served, traces))
            use.calls += len(traces)
            use.failed += sum(trace.outcome != "ok" for trace in traces)
            use.turns += 1
            turns.setdefault(name, []).insert(0, interaction.id)
            if led:
                use.accepted += 1
                use.first += place == 0
                use.evidence.insert(0, interaction.id)
                _note(use.asked, traces)
    for name, use in uses.items():
        use.evidence = use.evidence or turns[name]
    ranked = sorted(uses.values(), key=lambda use: (-(use.accepted + 1) / (use.turns + 2), -use.first, use.name))
    return ranked[:MAX_TOOLS]


def _served(trace: ToolTrace) -> bool:
    return trace.outcome == "ok" and trace.used is not False


def tool_record(history: Sequence[Interaction]) -> list[str]:
    """One line a tool for a critic to read, and one for the answers without any; empty when no tool was called."""
    uses = tool_uses(history)
    lines = [_line(use) for use in uses]
    bare = [told for i in history if not i.tools and i.response and (told := is_accepted(i)) is not None]
    if lines and bare:
        lines.append(f"no tool: {len(bare)} answers, {sum(bare)} accepted")
    return lines


def is_accepted(interaction: Interaction) -> bool | None:
    """Whether the agent's answer was what the user wanted; None without a label, or without a turn."""
    if interaction.ground_truth is None or not (interaction.response or interaction.tools):
        return None
    return loss(interaction.ground_truth, interaction.response or "", interaction.choices) <= 0


def asked(arguments: Mapping[str, Any]) -> str:
    """What a call asked for, on one short line: its texts and numbers, without the names of the arguments."""
    told = [str(value) for value in arguments.values() if isinstance(value, str | int | float) and str(value).strip()]
    return one_line(", ".join(told), ASKED_CHARS)


def _note(known: list[str], traces: Sequence[ToolTrace]) -> None:
    for trace in traces:
        text = asked(trace.arguments)
        if text and text not in known and trace.outcome == "ok" and len(known) < MAX_ASKED:
            known.append(text)


def _line(use: ToolUse) -> str:
    failed = f", {use.failed} failed" if use.failed else ""
    examples = f"; asked in accepted ones: {'; '.join(use.asked)}" if use.asked else ""
    return (
        f"{use.name}: {use.calls} calls{failed}; {use.turns} answers with it, {use.accepted} accepted, "
        f"{use.first} of them began with it{examples}"
    )
