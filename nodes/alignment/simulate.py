"""Let the agent answer the batch again under the incumbent persona, all at once (paper, r-hat)."""

from __future__ import annotations

from typing import Any

from langgraph.runtime import Runtime

from personaagent.context import Context
from personaagent.inputs import user_of
from personaagent.models.meter import booked, metering
from personaagent.simulation import Simulator
from personaagent.state import AlignmentState


async def simulate(state: AlignmentState, runtime: Runtime[Context], *, simulator: Simulator) -> dict[str, Any]:
    """Return the simulations of ``teach`` and ``judge`` under the incumbent; kept where the incumbent is unchanged.

    Nothing at or after the batch's first interaction is visible to any of them, so no ground truth of the batch or
    of what came later can be read.
    """
    if state["simulations"]:
        return {}
    teach, judge = state["teach"], state["judge"]
    with metering() as meter:
        simulations = await simulator.simulate(
            user_of(runtime), runtime.context, state["incumbent"].sections, [*teach, *judge], before=teach[0].created_at
        )
    return {
        "simulations": simulations[: len(teach)],
        "judged": simulations[len(teach) :],
        **booked(state, meter),
    }
