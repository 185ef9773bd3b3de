"""Write the textual loss of each simulation, all at once (paper, textual gradient)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from langgraph.runtime import Runtime

from personaagent.context import Context
from personaagent.inputs import user_of
from personaagent.labels.tool_record import tool_record
from personaagent.models.meter import Meter, booked, metering
from personaagent.pace import elapsed
from personaagent.persona.critique import critique as write_critique
from personaagent.persona.critique import to_keep
from personaagent.persona.shape import to_text
from personaagent.ports import EpisodicMemory, Models, Where
from personaagent.scheduling import taught_until
from personaagent.state import AlignmentState

HISTORY = 200  # labelled interactions that the record of tools is counted from


async def critique(
    state: AlignmentState,
    runtime: Runtime[Context],
    *,
    models: Models,
    episodic: EpisodicMemory,
    book: Callable[[str, Meter], Awaitable[None]],
) -> dict[str, Any]:
    """Return one textual loss a simulation of ``teach``; a critic that fails leaves an error in its place.

    What is to be kept of them is in ``critiques``. The critic reads which tool calls led to accepted answers, counted
    from before the judging interactions.
    """
    if state["losses"]:
        return {}
    judge = state["judge"]
    labelled = Where(labelled=True, before=taught_until(state["teach"], judge), exclude=frozenset(i.id for i in judge))
    record = "\n".join(tool_record(await episodic.newest(user_of(runtime), HISTORY, labelled)))
    persona = to_text(state["incumbent"].sections, evidence=False)
    with metering() as meter:
        losses = await asyncio.gather(
            *(
                write_critique(models, persona, simulation, interaction, record)
                for simulation, interaction in zip(state["simulations"], state["teach"], strict=True)
            )
        )
    await book(user_of(runtime), meter)
    runtime.stream_writer(
        {"step": "critique", "done": len(losses), "total": len(losses), "seconds": elapsed(state["pace"])}
    )
    kept = to_keep(losses, state["incumbent"].sections, run=state["run"], epoch=state["epoch"] + 1)
    return {
        "losses": list(losses),
        "critiques": [*state.get("critiques", []), *kept],
        **booked(state, meter),
    }
