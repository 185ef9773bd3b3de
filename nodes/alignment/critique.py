"""Write the textual loss of each simulation, all at once (paper, textual gradient)."""

from __future__ import annotations

import asyncio
from typing import Any

from langgraph.runtime import Runtime

from personaagent.context import Context
from personaagent.models.meter import metering
from personaagent.persona.critique import critique as write_critique
from personaagent.persona.shape import to_text
from personaagent.ports import Models
from personaagent.state import AlignmentState


async def critique(state: AlignmentState, runtime: Runtime[Context], *, models: Models) -> dict[str, Any]:  # noqa: ARG001 (a node takes its runtime)
    """Return one textual loss a simulation of ``teach``; a critic that fails leaves an error in its place."""
    if state["losses"]:
        return {}
    persona = to_text(state["incumbent"].sections, evidence=False)
    with metering() as meter:
        losses = await asyncio.gather(
            *(
                write_critique(models, persona, simulation, interaction)
                for simulation, interaction in zip(state["simulations"], state["teach"], strict=True)
            )
        )
    return {
        "losses": list(losses),
        "calls": state["calls"] + meter.total.calls,
        "tokens": state["tokens"] + meter.total.input_tokens + meter.total.output_tokens,
    }
