"""Let the agent answer the batch again under the incumbent persona, all at once (paper, r-hat)."""

from __future__ import annotations

from typing import Any

from langgraph.runtime import Runtime

from personaagent.context import Context
from personaagent.inputs import user_of
from personaagent.models.meter import booked
from personaagent.nodes.alignment.edit_persona import planned
from personaagent.racing import Course, Race
from personaagent.state import AlignmentState


async def simulate(
    state: AlignmentState, runtime: Runtime[Context], *, race: Race, confidence: float, gradient: bool
) -> dict[str, Any]:
    """Return the incumbent's answers to ``teach`` and to the first round of ``judge``; kept where it is unchanged.

    Free texts of ``teach`` are answered only where a ``gradient`` is to be made of them: whoever measures edits reads
    what was really written. Nothing at or after the batch's first interaction is visible to a simulation, so no ground
    truth of the batch or of what came later can be read. An answer to a free text that the version in force really gave
    is not simulated.
    """
    base, context = state["base"], runtime.context
    if base is None:
        return {}
    criticised = planned(state, context, confidence, gradient=gradient)[1] > 0
    teach = [i for i in state["teach"] if criticised or i.choices]
    known = {s.interaction_id: s for s in (*state["simulations"], *state["judged"])}
    first = state["judge"][: context.align_judge] if context.align_gate else []
    course = Course(
        user_id=user_of(runtime),
        context=context,
        base=base,
        incumbent=state["incumbent"].sections,
        labels=state["judge"],
        before=state["teach"][0].created_at,
        first=context.align_judge,
        pace=state["pace"],
        calls=state["calls"],
        known=known,
    )
    await race.answered(course, [*teach, *first], runtime.stream_writer, "simulate")
    return {
        "simulations": [known[i.id] for i in teach],
        "judged": [known[i.id] for i in state["judge"] if i.id in known],
        "pace": course.pace,
        **booked(state, course.meter),
    }
