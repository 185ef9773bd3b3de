"""End an alignment: new labels become facts, rejected candidates are kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from langgraph.runtime import Runtime

from personaagent.context import Context
from personaagent.inputs import user_of
from personaagent.memory.reading import Reader
from personaagent.models.meter import booked, metering
from personaagent.pace import Allowance
from personaagent.state import AlignmentState
from personaagent.types import Candidate, Critique

READING = 16  # simulations that reading takes as long as, about: 85 s against 6 each for twelve labels on the 1.5b


async def refresh_profile(
    state: AlignmentState,
    runtime: Runtime[Context],
    *,
    reader: Reader,
    allowance: Allowance,
    account: Callable[[str, Sequence[Candidate], Sequence[Critique]], Awaitable[None]],
) -> dict[str, Any]:
    """Refresh semantic memory from what is new; book what that took, keep rejected candidates and critiques.

    Where the budget has no room for it, what waits to be read goes on waiting.
    """
    user_id = user_of(runtime)
    room = await allowance.room(user_id, state["pace"], state["calls"])
    with metering() as meter:
        await reader.refresh(user_id, reading=room.simulations >= READING)
    spent = booked(state, meter)
    committed = state.get("committed")
    version = committed.version if committed else None
    critiques = [replace(critique, version=version) for critique in state.get("critiques", [])]
    await allowance.book(user_id, meter)
    await account(user_id, state["rejected"], critiques)
    return spent
