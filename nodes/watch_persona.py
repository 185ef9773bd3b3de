"""Take back a committed persona that live feedback shows to be worse than its parent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from langgraph.runtime import Runtime

from personaagent.context import Context
from personaagent.inputs import user_of
from personaagent.state import FeedbackState
from personaagent.types import Persona


async def watch_persona(
    state: FeedbackState,
    runtime: Runtime[Context],
    *,
    watch: Callable[[str], Awaitable[Persona | None]],
) -> dict[str, Any]:
    """Return ``rolled_back``: the new version that copies the parent, its reason saying why, or None."""
    told = state["interaction"].ground_truth is not None or state["interaction"].rating is not None
    return {"rolled_back": await watch(user_of(runtime)) if told else None}
