"""Start a turn: check who asks what, and take the persona in force."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from langgraph.runtime import Runtime

from personaagent.context import Context
from personaagent.errors import StoreError
from personaagent.inputs import check_query, user_of
from personaagent.ports import PersonaStore
from personaagent.state import AgentState
from personaagent.turn import query_of
from personaagent.types import Persona, UserProfile


async def load_persona(
    state: AgentState,
    runtime: Runtime[Context],
    *,
    personas: PersonaStore,
    seed: Callable[[str], Awaitable[Persona]],
    wants: Callable[[str], Awaitable[bool]],
    max_query_chars: int,
) -> dict[str, Any]:
    """Return the persona in force, seeded as version 0 where there is none, and an empty scratch for this turn.

    Without persona where the run or the user (``wants``) has switched personalization off.
    Raises InvalidUserId, EmptyQuery, QueryTooLong. A store that is down degrades the turn instead of failing it.
    """
    user_id = user_of(runtime)
    check_query(query_of(state["messages"]), max_query_chars)
    fresh: dict[str, Any] = {
        "persona": None,
        "pins": [],
        "personalized": runtime.context.personalize,
        "profile": UserProfile(user_id=user_id),
        "recalled": [],
        "before": None,
        "trace": [],
        "steps": 0,
        "answer": "",
        "degraded": [],
        "persona_version": None,
    }
    if not runtime.context.personalize:
        return fresh
    try:
        reads = wants(user_id), personas.pins(user_id), personas.current(user_id)
        wanted, pins, current = await asyncio.gather(*reads)
        if not wanted:
            return fresh | {"personalized": False}
        persona = current or await seed(user_id)
    except StoreError as error:
        return fresh | {"degraded": [f"persona: {error}"]}
    return fresh | {"persona": persona, "pins": [pin.text for pin in pins], "persona_version": persona.version}
