"""End an alignment: new labels become facts, rejected candidates and costs are booked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from langgraph.runtime import Runtime

from personaagent.context import Context
from personaagent.inputs import user_of
from personaagent.models.meter import booked, metering
from personaagent.state import AlignmentState
from personaagent.types import Candidate, UserProfile


async def refresh_profile(
    state: AlignmentState,
    runtime: Runtime[Context],
    *,
    refresh: Callable[[str], Awaitable[UserProfile]],
    account: Callable[[str, int, int, Sequence[Candidate]], Awaitable[None]],
) -> dict[str, Any]:
    """Refresh semantic memory from what is new, and book calls, tokens and rejected candidates on the user."""
    user_id = user_of(runtime)
    with metering() as meter:
        await refresh(user_id)
    spent = booked(state, meter)
    await account(user_id, spent["calls"], spent["tokens"], state["rejected"])
    return spent
