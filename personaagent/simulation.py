"""Simulating past interactions: the live stretch, under another persona, without a view of what came later."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from langchain_core.messages import HumanMessage

from personaagent.context import Context
from personaagent.errors import PersonaAgentError
from personaagent.grounding import mark_used
from personaagent.labels.loss import TextLoss, expected_loss, loss
from personaagent.labels.statistics import turned_since
from personaagent.models.tokens import count_tokens
from personaagent.ports import PersonaStore, SemanticMemory
from personaagent.state import RespondState
from personaagent.types import Interaction, Persona, Recall, Sections, Simulation, UserProfile

Respond = Callable[[RespondState, Context], Awaitable[dict[str, Any]]]
Loss = Callable[[str, str, str, Sequence[str]], Awaitable[float]]  # of query, expected, actual, choices
SPARE_TOKENS = 32  # that a simulated answer may have beyond twice the truth's


@dataclass(slots=True)
class Shared:
    """What simulations of the same interactions have in common, whatever the persona; lives as long as one round."""

    profiles: dict[datetime, UserProfile] = field(default_factory=dict)
    recalled: dict[tuple[str, datetime, datetime | None], list[Recall]] = field(default_factory=dict)


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
        max_answer_tokens: int | None = None,
    ) -> None:
        """``graded`` takes the place of the plain ``loss``; it may ask a model, within the same bound.

        ``give_way`` is awaited before each simulation: it returns when more urgent work leaves room.
        ``max_answer_tokens`` bounds what a simulated answer to a free text may be long; None: whatever it takes.
        """
        self._max_answer_tokens = max_answer_tokens
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
        before: datetime | None,
        shared: Shared | None = None,
        told: Callable[[], None] = lambda: None,
    ) -> list[Simulation]:
        """One simulation an interaction, in order, each seeing only memory from before ``before`` and before itself.

        Without ``before`` each sees all that came before itself. A turn that fails by a named error becomes a
        simulation with that error and the full loss. ``told`` is called after each. What is ``shared`` with simulations
        of the same interactions under another persona is read once.
        """
        persona = Persona(user_id=user_id, version=-1, sections=sections, origin="manual", created_at=datetime.now(UTC))
        pins = [pin.text for pin in await self._personas.pins(user_id)]
        shared = shared or Shared()
        cuts = {i.id: min(before, i.created_at) if before else i.created_at for i in interactions}
        if self._semantic is not None:
            # the profile as of a cut is the same for all of them: read once, not once a simulation
            for cut in set(cuts.values()) - shared.profiles.keys():
                shared.profiles[cut] = await self._semantic.profile(user_id, before=cut)

        async def one(past: Interaction) -> Simulation:
            simulation = await self._one(context, persona, pins, past, cuts[past.id], shared)
            told()
            return simulation

        return list(await asyncio.gather(*(one(i) for i in interactions)))

    async def recorded(self, past: Interaction) -> Simulation:
        """The answer that was really given, as a simulation of the persona that gave it."""
        expected, actual = past.ground_truth or "", past.response or ""
        lost = await self._loss(past, expected, actual)
        return Simulation(interaction_id=past.id, query=past.query, expected=expected, actual=actual, loss=lost)

    async def _one(
        self, context: Context, persona: Persona, pins: list[str], past: Interaction, cut: datetime, shared: Shared
    ) -> Simulation:
        expected = past.ground_truth or ""
        state: RespondState = {
            "persona": persona,
            "pins": pins,
            "before": cut,
            "messages": [HumanMessage(past.query)],
            "recorded": list(past.tools),
        }
        if cut in shared.profiles:
            state["profile"] = shared.profiles[cut]
        closed = bool(past.task and past.choices)
        place = past.id, cut, turned_since(persona.sections, past.task) if closed else None
        if place in shared.recalled:
            state["recalled"] = shared.recalled[place]
        if not past.choices and self._max_answer_tokens is not None:
            state["answer_tokens"] = min(self._max_answer_tokens, 2 * count_tokens(expected) + SPARE_TOKENS)
        as_then = replace(
            context,
            user_id=persona.user_id,
            task=past.task,
            instructions=past.metadata.get("instructions"),
            choices=list(past.choices) or None,
            personalize=True,
        )
        try:
            result, told, lost = await self._answered(state, as_then, past, expected)
        except PersonaAgentError as error:
            return Simulation(
                interaction_id=past.id, query=past.query, expected=expected, actual="", loss=1.0, error=str(error)
            )
        if "recalled" in result:
            shared.recalled[place] = result["recalled"]
        actual = result.get("answer", "")
        return Simulation(
            interaction_id=past.id,
            query=past.query,
            expected=expected,
            actual=actual,
            loss=lost,
            tools=mark_used(result.get("trace", []), result.get("messages", state["messages"]), actual, past.choices),
            p_truth=told.get(expected),
            predicted=result.get("predicted"),
        )

    async def _answered(
        self, state: RespondState, context: Context, past: Interaction, expected: str
    ) -> tuple[dict[str, Any], Mapping[str, float], float]:
        """The turn, its probabilities and its loss, once there is room for it and nothing goes before."""
        async with self._gate():
            if self._give_way is not None:
                await self._give_way()
            result = await self._respond(state, context)
            told = result.get("probabilities", {})
            if len(result.get("predicted", {}).get("model", ())) == 1:
                told = {}  # one bare answer: it is right or wrong
            return result, told, await self._loss(past, expected, result.get("answer", ""), told)

    async def _loss(
        self, past: Interaction, expected: str, actual: str, probabilities: Mapping[str, float] = MappingProxyType({})
    ) -> float:
        if probabilities and past.choices:
            return expected_loss(expected, probabilities)
        answered = past.truth_source in {"edit", "rating"} and past.response and not past.choices
        if answered and isinstance(self._graded, TextLoss):
            return await self._graded.of_answered(past, actual)
        if self._graded is None:
            return loss(expected, actual, past.choices)
        return await self._graded(past.query, expected, actual, past.choices)

    def _gate(self) -> asyncio.Semaphore:
        loop = asyncio.get_running_loop()
        for closed in [known for known in self._gates if known.is_closed()]:
            del self._gates[closed]
        return self._gates.setdefault(loop, asyncio.Semaphore(self._max_concurrency))
