"""Try a question under two versions of the persona, side by side. Nothing of it is remembered.

It is the simulation of alignment on a question of now: tools with side effects answer nothing, and what the models
cost is booked on the user's daily budget.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

from starlette.responses import Response

from personaagent.app.server.page.house import Visit
from personaagent.app.server.page.memories import RECENT
from personaagent.context import Context
from personaagent.errors import BudgetSpent, ModelUnreachable, TooManyRequests, UnknownVersion
from personaagent.graph.respond import build_respond
from personaagent.graph.services import Services
from personaagent.inputs import check_query
from personaagent.models.meter import metering
from personaagent.simulation import Simulator
from personaagent.state import RespondState
from personaagent.types import Interaction, Persona, Simulation

MAX_CHARS: Final = 4_000
TIME_LIMIT_S: Final = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """The answers of two versions to one question."""

    query: str
    sides: tuple[tuple[Persona, Simulation], ...]


async def try_form(visit: Visit) -> Response:
    """The question and the two versions to choose."""
    return await _form(visit)


async def try_out(visit: Visit) -> Response:
    """Answer under both versions; raises TooManyRequests while another comparison of the user is under way."""
    query = check_query(visit.form.get("query", "").strip(), MAX_CHARS)
    user_id, busy = visit.user_id, visit.door.comparing
    if user_id in busy:
        raise TooManyRequests("another comparison of yours is under way: wait for it", 5)
    busy.add(user_id)
    try:
        compared = await _compare(visit, query)
    except TimeoutError as error:
        raise ModelUnreachable("the model took too long") from error
    finally:
        busy.discard(user_id)
    return await _form(visit, compared)


async def _compare(visit: Visit, query: str) -> Compared:
    services, user_id = visit.services, visit.user_id
    versions = {str(p.version): p for p in await services.personas.history(user_id)}
    chosen = [versions.get(visit.form.get(name, "")) for name in ("left", "right")]
    sides = [persona for persona in chosen if persona is not None]
    if len(sides) < 2:
        raise UnknownVersion("one of the two versions is not there: choose both")
    if await services.budget.remaining(user_id) < len(sides):
        raise BudgetSpent("your budget of model calls for today is used up: it is renewed at midnight UTC")
    now = datetime.now(UTC)
    asked = await _question(services, user_id, query, visit.form.get("task", ""), now)
    simulator = _simulator(services)
    with metering() as meter:
        try:
            async with asyncio.timeout(TIME_LIMIT_S):
                told = await asyncio.gather(
                    *(
                        simulator.simulate(user_id, Context(user_id=user_id), persona.sections, [asked], before=now)
                        for persona in sides
                    )
                )
        finally:
            spent = meter.total
            tokens = spent.input_tokens + spent.output_tokens
            await services.budget.add(user_id, now.date(), spent.calls, tokens)
    return Compared(query=query, sides=tuple((persona, one) for persona, (one,) in zip(sides, told, strict=True)))


async def _question(services: Services, user_id: str, query: str, task: str, now: datetime) -> Interaction:
    """The question as an interaction that never happened; in a known task it is asked as the newest of that task."""
    like = (await _by_task(services, user_id)).get(task)
    return Interaction(
        id=str(uuid4()),
        user_id=user_id,
        query=query,
        created_at=now,
        task=like.task if like else None,
        choices=like.choices if like else (),
        metadata={"instructions": like.metadata.get("instructions")} if like else {},
    )


async def _by_task(services: Services, user_id: str) -> dict[str, Interaction]:
    """The newest interaction of each of the user's tasks."""
    return {found.task: found for found in await services.episodic.newest(user_id, RECENT) if found.task}


async def _form(visit: Visit, compared: Compared | None = None) -> Response:
    services, user_id = visit.services, visit.user_id
    versions = await services.personas.history(user_id)
    newest = versions[-1].version if versions else 0
    return await visit.show(
        "try.html",
        versions=versions,
        left=visit.form.get("left", str(max(newest - 1, 0))),
        right=visit.form.get("right", str(newest)),
        task=visit.form.get("task", ""),
        tasks=sorted(await _by_task(services, user_id)),
        compared=compared,
        max_chars=MAX_CHARS,
    )


def _simulator(services: Services) -> Simulator:
    respond = build_respond(services).compile(name="respond")

    async def answer(state: RespondState, context: Context) -> dict[str, Any]:
        result: dict[str, Any] = await respond.ainvoke(state, context=context)
        return result

    return Simulator(answer, services.personas, services.settings.max_concurrency, semantic=services.semantic)
