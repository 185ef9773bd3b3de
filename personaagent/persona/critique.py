"""The textual loss of one simulation: what in the persona led astray, in words (paper, textual gradient)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from langchain_core.messages import HumanMessage, SystemMessage

from personaagent.errors import ModelError
from personaagent.form import understood
from personaagent.ports import Models
from personaagent.prompts import quote, render
from personaagent.rules import broken_rule
from personaagent.text import one_line
from personaagent.types import Critique, Interaction, Sections, Simulation, TextualLoss, ToolTrace, evidence_of

KEEP = "Keep what led to this answer: it was what the user wanted."
MAX_PART_CHARS = 400
KEPT, KEPT_CHARS = 8, 600  # critiques of one epoch that are kept, and how much of each
QUERY_CHARS = 2_000
ANSWER_CHARS = 1_000

_PARTS = {"persona_change": "Persona", "tool_use": "Tools", "about_user": "User"}
CRITIQUE_SCHEMA: dict[str, Any] = {
    "title": "Critique",
    "type": "object",
    "properties": {name: {"type": "string", "maxLength": MAX_PART_CHARS} for name in _PARTS},
    "required": list(_PARTS),
    "additionalProperties": False,
}


async def critique(
    models: Models,
    persona_text: str,
    simulation: Simulation,
    interaction: Interaction,
    history_brief: str = "",
    *,
    ask_when_right: bool = False,
) -> TextualLoss:
    """Return how the persona must change for this user; a failing critic becomes an ``error``, never an exception.

    A right answer gets ``KEEP`` without a model call, unless asked. The embedded model is not asked: what was answered
    and what was wanted is then all the critique there is. What the critic says is cleaned, cut to 400 characters a
    part, and left out where it speaks to the assistant's rules instead of the user.
    """

    def told(text: str, error: str | None = None) -> TextualLoss:
        return TextualLoss(interaction_id=interaction.id, loss=simulation.loss, critique=text, error=error)

    if simulation.error is not None:
        return told("", f"not criticised, there was no answer: {simulation.error}")
    if simulation.loss <= 0 and not ask_when_right:
        return told(KEEP)
    if models.embedded:
        return told("The answer was not what the user wanted.")
    messages = [
        SystemMessage(render("critique", persona=quote(persona_text or "empty", "persona"))),
        HumanMessage(_case(simulation, interaction, history_brief)),
    ]
    try:
        answer = await models.structured("critic", messages, CRITIQUE_SCHEMA)
    except ModelError as error:
        return told("", str(error))
    parts = {name: one_line(str(answer.get(name) or ""), MAX_PART_CHARS) for name in _PARTS}
    sound = [f"{_PARTS[name]}: {text}" for name, text in parts.items() if text and broken_rule(text) is None]
    return told(" ".join(sound)) if sound else told("", "the critic said nothing that a persona could use")


def to_keep(losses: Sequence[TextualLoss], persona: Sections, *, run: str, epoch: int) -> list[Critique]:
    """What is kept of an epoch's textual losses: at most ``KEPT`` of answers that went wrong, the worst first.

    ``persona`` is what the critic read, so a critique stands on all that stands behind it.
    """
    wrong = [loss for loss in losses if loss.loss > 0 and loss.critique and loss.error is None]
    now = datetime.now(UTC)
    return [
        Critique(
            run=run,
            epoch=epoch,
            interaction_id=loss.interaction_id,
            loss=loss.loss,
            text=one_line(loss.critique, KEPT_CHARS),
            evidence=tuple(dict.fromkeys([loss.interaction_id, *evidence_of(persona)])),
            created_at=now,
        )
        for loss in sorted(wrong, key=lambda loss: -loss.loss)[:KEPT]
    ]


def _case(simulation: Simulation, interaction: Interaction, history_brief: str) -> str:
    """The example, all of it as data: a label or a tool's answer that gives orders is one more thing to judge."""
    form = f"\nAllowed answers: {', '.join(interaction.choices)}" if interaction.choices else ""
    return render(
        "critique_case",
        history=quote(history_brief or "unknown", "the user's habits"),
        query=quote(interaction.query[:QUERY_CHARS] + form, "question"),
        actual=quote(simulation.actual[:ANSWER_CHARS] or "nothing usable", "what the assistant answered"),
        expected=quote(simulation.expected[:ANSWER_CHARS], "what the user really wanted"),
        edit=_edit(interaction),
        tools=quote("\n".join(map(_call, simulation.tools)) or "none", "tool calls"),
    )


def _edit(interaction: Interaction) -> str:
    """Of an edit: what the assistant had written, what the user made of it, and what that changed in its form."""
    written = interaction.rejected if interaction.truth_source == "pick" else interaction.response
    truth = interaction.ground_truth
    if interaction.choices or not written or not truth or interaction.truth_source not in ("edit", "pick"):
        return ""
    changed = " ".join(understood(written, truth)) or "nothing that can be measured"
    shown = f"{written[:ANSWER_CHARS]}\n-> became ->\n{truth[:ANSWER_CHARS]}"
    said = f"\n{quote(interaction.comment[:ANSWER_CHARS], 'what the user said of it')}" if interaction.comment else ""
    return f"{quote(shown, 'how the user edited it')}\nMeasured: {changed}{said}"


def _call(trace: ToolTrace) -> str:
    arguments = ", ".join(f"{key}={one_line(str(value), 80)!r}" for key, value in trace.arguments.items())
    left = ", which the answer left aside" if trace.outcome == "ok" and trace.used is False else ""
    return f"- {trace.name}({arguments}) → {trace.outcome}{left}: {one_line(trace.brief, 200)}"
