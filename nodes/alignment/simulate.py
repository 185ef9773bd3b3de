"""Let the agent answer the batch again under the incumbent persona, all at once (paper, r-hat)."""

from __future__ import annotations

from typing import Any

from langgraph.runtime import Runtime

from personaagent.context import Context
from personaagent.inputs import user_of
from personaagent.models.meter import booked
from personaagent.racing import Course, Race
from personaagent.state import AlignmentState


async def simulate(state: AlignmentState, runtime: Runtime[Context], *, race: Race) -> dict[str, Any]:
    """Return the incumbent's answers to ``teach`` and to the first round of ``judge``; kept where it is unchanged.

    Nothing at or after the batch's first interaction is visible to a simulation, so no ground truth of the batch or
    of what came later can be read. An answer to a free text that the version in force really gave is not simulated.
    """
    base, context, teach = state["base"], runtime.context, state["teach"]
    if state["simulations"] or base is None:
        return {}
    course = Course(
        user_id=user_of(runtime),
        context=context,
        base=base,
        incumbent=state["incumbent"].sections,
        labels=state["judge"],
        before=teach[0].created_at,
        first=context.align_judge,
        pace=state["pace"],
        calls=state["calls"],
    )
    first = state["judge"][: context.align_judge] if context.align_gate else []
    simulations = await race.answered(course, [*teach, *first], runtime.stream_writer, "simulate")
    return {
        "simulations": simulations[: len(teach)],
        "judged": simulations[len(teach) :],
        "pace": course.pace,
        **booked(state, course.meter),
    }
