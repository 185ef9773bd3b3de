"""Simulating past interactions: the live stretch, under another persona, without a view of what came later."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from langchain_core.messages import HumanMessage

from personaagent.context import Context
from personaagent.errors import PersonaAgentError
from personaagent.grounding import mark_used
from personaagent.persona.loss import loss
from personaagent.ports import PersonaStore, SemanticMemory
from personaagent.state import RespondState
from personaagent.types import Interaction, Persona, Sections, Simulation

Respond = Callable[[RespondState, Context], Awaitable[dict[str, Any]]]
Loss = Callable[[str, str, str, Sequence[str]], Awaitable[float]]  # of query, expected, actual, choices


class Simulator:
    """Answers past interactions again; at most ``max_concurrency`` at once, whatever the number of callers."""

    def __init__(
        self,
        respond: Respond,
        personas: PersonaStore,
        max_concurrency: int,
        *,
        semantic: SemanticMemory | None = None,
        graded: Loss | None = None,
        give_way: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """``graded`` takes the place of the plain ``loss``; it may ask a model, within the same bound.

        ``give_way`` is awaited before each simulation: it returns when more urgent work leaves room.
        """
        self._graded = graded
        self._give_way = give_way
        self._respond = respond
        self._personas = personas
        self._semantic = semantic
        self._max_concurrency = max_concurrency
        self._gates: dict[asyncio.AbstractEventLoop, asyncio.Semaphore] = {}

    async def simulate(
        self,
        user_id: str,
        context: Context,
        sections: Sections,
        interactions: Sequence[Interaction],
        *,
        before: datetime,
    ) -> list[Simulation]:
        """One simulation an interaction, in order, each seeing only memory from before ``before`` and before itself.

        A turn that fails by a named error becomes a simulation with that error and the full loss.
        """
        persona = Persona(user_id=user_id, version=-1, sections=sections, origin="manual", created_at=datetime.now(UTC))
        pins = [pin.text for pin in await self._personas.pins(user_id)]
        shared: dict[datetime, RespondState] = {}
        for cut in {min(before, i.created_at) for i in interactions}:
            shared[cut] = {"persona": persona, "pins": pins, "before": cut}
            if self._semantic is not None:
                # the profile as of a cut is the same for all of them: read once, not once a simulation
                shared[cut]["profile"] = await self._semantic.profile(user_id, before=cut)
        return list(
            await asyncio.gather(
                *(self._one(context, user_id, shared[min(before, i.created_at)], i) for i in interactions)
            )
        )

    async def _one(self, context: Context, user_id: str, shared: RespondState, past: Interaction) -> Simulation:
        expected = past.ground_truth or ""
        state: RespondState = {**shared, "messages": [HumanMessage(past.query)], "recorded": list(past.tools)}
        as_then = replace(
            context,
            user_id=user_id,
            task=past.task,
            instructions=past.metadata.get("instructions"),
            choices=list(past.choices) or None,
            personalize=True,
        )
        try:
            async with self._gate():
                if self._give_way is not None:
                    await self._give_way()
                result = await self._respond(state, as_then)
                actual = result.get("answer", "")
                lost = await self._loss(past, expected, actual)
        except PersonaAgentError as error:
            return Simulation(
                interaction_id=past.id, query=past.query, expected=expected, actual="", loss=1.0, error=str(error)
            )
        return Simulation(
            interaction_id=past.id,
            query=past.query,
            expected=expected,
            actual=actual,
            loss=lost,
            tools=mark_used(result.get("trace", []), result.get("messages", state["messages"]), actual, past.choices),
        )

    async def _loss(self, past: Interaction, expected: str, actual: str) -> float:
        if self._graded is None:
            return loss(expected, actual, past.choices)
        return await self._graded(past.query, expected, actual, past.choices)

    def _gate(self) -> asyncio.Semaphore:
        loop = asyncio.get_running_loop()
        for closed in [known for known in self._gates if known.is_closed()]:
            del self._gates[closed]
        return self._gates.setdefault(loop, asyncio.Semaphore(self._max_concurrency))
