"""Start a turn: check who asks what, and take the persona in force."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime

from personaagent.context import Context
from personaagent.errors import StoreError
from personaagent.inputs import check_query, user_of
from personaagent.ledger.turns import Known
from personaagent.persona.standing_wishes import StandingWishes
from personaagent.ports import PersonaStore
from personaagent.state import AgentState
from personaagent.turn import place_of, query_of, without
from personaagent.types import Persona, UserProfile


async def load_persona(
    state: AgentState,
    runtime: Runtime[Context],
    config: RunnableConfig,
    *,
    begin: Callable[..., Awaitable[tuple[Known, UserProfile]]],
    personas: PersonaStore,
    seed: Callable[[str], Awaitable[Persona]],
    wishes: StandingWishes,
    max_query_chars: int,
) -> dict[str, Any]:
    """Return the persona in force, seeded as version 0 where there is none, the profile, and an empty scratch.

    What the turn leaves of its thread, and what it was before where it is answered anew, is ``left``: no memory of it.
    A wish that is to last is pinned, or taken back, before the pins are read: it holds in this turn.
    Without persona where the run or the user has switched personalization off.
    Raises InvalidUserId, EmptyQuery, QueryTooLong. A store that is down degrades the turn instead of failing it.
    """
    user_id = user_of(runtime)
    query = check_query(query_of(state["messages"]), max_query_chars)
    fresh: dict[str, Any] = {
        "persona": None,
        "pins": [],
        "personalized": runtime.context.personalize,
        "profile": None,
        "recalled": [],
        "left": [],
        "before": None,
        "trace": [],
        "steps": 0,
        "answer": "",
        "vote": {},
        "predicted": {},
        "probabilities": {},
        "noted": [],
        "statement": False,
        "degraded": [],
        "persona_version": None,
    }
    if not runtime.context.personalize:
        return fresh
    place = place_of(state["messages"], user_id, config)
    try:
        known, profile = await begin(user_id, *place)
        if not known.personalize:
            return fresh | {"personalized": False}
        fresh["left"] = sorted(known.left)
        persona, pins = known.persona or await seed(user_id), known.pins
    except StoreError as error:
        return fresh | {"degraded": [without("persona", error)]}
    try:
        if heeded := await wishes.heed(user_id, query, *place[:2], left=known.left):
            fresh |= {"noted": list(heeded.noted), "statement": heeded.alone}
            pins = await personas.pins(user_id)
    except StoreError as error:
        fresh["degraded"] = [without("wish", error)]
    return fresh | {
        "persona": persona,
        "pins": [pin.text for pin in pins],
        "profile": profile,
        "persona_version": persona.version,
    }
