"""Reading what happened into semantic memory (paper, ``P^u = f_s(S_t, D^u)``), newest first and within a budget."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from personaagent.labels.implicit import infer_by_model
from personaagent.labels.statistics import HISTORY, statistic_facts
from personaagent.ledger.facts import Facts
from personaagent.ledger.interactions import Interactions
from personaagent.ledger.users import Budget
from personaagent.memory.consolidate import MAX_READ, Reading, summarized
from personaagent.memory.statements import is_wish
from personaagent.models.meter import metering
from personaagent.ports import EpisodicMemory, Models, SemanticMemory, Where
from personaagent.types import Fact, UserProfile


class Reader:
    """Makes facts of interactions: an interaction is marked as read in the moment that a model has read it."""

    def __init__(
        self,
        interactions: Interactions,
        facts: Facts,
        episodic: EpisodicMemory,
        semantic: SemanticMemory,
        budget: Budget,
        models: Callable[[], Models],
        *,
        readings: int,
        implicit_by_model: bool,
    ) -> None:
        """``readings`` are calls at a time, within the day's ``budget``; ``implicit_by_model``: labels too."""
        self._interactions, self._facts = interactions, facts
        self._episodic, self._semantic = episodic, semantic
        self._budget, self._models = budget, models
        self._readings, self._implicit_by_model = readings, implicit_by_model

    async def refresh(self, user_id: str) -> UserProfile:
        """Count the labels and read what waits; returns the profile as it is then.

        What no model read waits for the next time.
        """
        history = await self._interactions.newest(user_id, HISTORY, Where(labelled=True))
        if history:
            counted = statistic_facts(history, await self._facts.holding(user_id))
            await self._semantic.apply(user_id, counted, through=history[-1].created_at)
        for reading in range(min(self._readings, await self._budget.remaining(user_id))):
            if not await self._read_some(user_id, implied=self._implicit_by_model and reading == 0):
                break
        return await self._semantic.profile(user_id)

    async def read(self, user_id: str) -> tuple[Fact, ...]:
        """``refresh``, with what it takes booked; returns the facts that are new."""
        before = {fact.id for fact in await self._facts.holding(user_id)}
        with metering() as meter:
            await self.refresh(user_id)
        await self._budget.book(user_id, meter)
        return tuple(f for f in await self._facts.holding(user_id) if f.id not in before and f.source == "summarizer")

    async def _read_some(self, user_id: str, *, implied: bool) -> bool:
        """Read the newest that wait; whether there were any, and a model read them."""
        new = await self._interactions.unread(user_id, MAX_READ)
        wishes = [interaction for interaction in new if is_wish(interaction)]
        models = self._models()
        found, _ = await asyncio.gather(
            summarized(models, user_id, [i for i in new if i not in wishes], await self._facts.holding(user_id)),
            infer_by_model(models, self._episodic, user_id, new if implied else ()),
        )
        if found is None and len(new) == len(wishes):
            found = Reading()
        if not new or found is None:
            return False
        await self._semantic.apply(user_id, found.operations, through=new[-1].created_at)
        await self._interactions.mark_read(user_id, [i.id for i in (*wishes, *found.read)])
        return True
