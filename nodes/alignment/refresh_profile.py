"""End an alignment: new labels become facts, rejected candidates are kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from langgraph.runtime import Runtime

from personaagent.context import Context
from personaagent.inputs import user_of
from personaagent.models.meter import Meter, booked, metering
from personaagent.state import AlignmentState
from personaagent.types import Candidate, Critique, UserProfile


async def refresh_profile(
    state: AlignmentState,
    runtime: Runtime[Context],
    *,
    refresh: Callable[[str], Awaitable[UserProfile]],
    book: Callable[[str, Meter], Awaitable[None]],
    account: Callable[[str, Sequence[Candidate], Sequence[Critique]], Awaitable[None]],
) -> dict[str, Any]:
    """Refresh semantic memory from what is new; book what that took, keep rejected candidates and critiques."""
    user_id = user_of(runtime)
    with metering() as meter:
        await refresh(user_id)
    spent = booked(state, meter)
    committed = state.get("committed")
    version = committed.version if committed else None
    critiques = [replace(critique, version=version) for critique in state.get("critiques", [])]
    await book(user_id, meter)
    await account(user_id, state["rejected"], critiques)
    return spent
