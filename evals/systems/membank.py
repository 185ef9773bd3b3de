"""MemoryBank: memories that fade and are refreshed by use, beside summaries of them (paper, baseline "MemBank").

Retention follows the forgetting curve ``R = exp(-t / S)``: t is how many of the user's interactions have passed since
the memory was made or last recalled, since the data's clock stands still for days; S starts at ``STRENGTH`` and grows
with every recall. A memory's place is decided by similarity times retention.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from personaagent.evals.systems import Answer, Bench, Portrait
from personaagent.evals.systems.pag import lines
from personaagent.evals.systems.prompting import ask, messages, summarize
from personaagent.evals.systems.rag import Retrieval
from personaagent.evals.tasks import Row

STRENGTH = 50.0  # interactions after which an unused memory has faded to 37 %
CANDIDATES = 32  # most similar memories that retention chooses among
BLOCK, BLOCKS = 10, 3  # newest interactions a summary, and summaries a user
EVENTS = "Summarise in at most two short sentences what this user did and decided in these interactions."
PORTRAIT = "From these summaries describe in at most three short sentences who this user is and how they decide."


class MemoryBank(Retrieval):
    """RAG over fading memories, with a portrait made of summaries: up to four model calls a user, one a query."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self._portraits: dict[str, str] = {}
        self._strength: dict[str, float] = {}
        self._touched: dict[str, int] = {}

    async def prepare(self, user_id: str, history: Sequence[Row]) -> None:
        """Embed the history, note its age, and summarise it by blocks."""
        await super().prepare(user_id, history)
        for place, row in enumerate(history):
            self._touched[row.id] = place
        newest = history[-BLOCK * BLOCKS :]
        blocks = [newest[start : start + BLOCK] for start in range(0, len(newest), BLOCK)]
        events = [await summarize(self.bench, EVENTS, lines(block)) for block in blocks]
        told = [event for event in events if event]
        if told:
            self._portraits[user_id] = await summarize(self.bench, PORTRAIT, told)

    async def answer(self, row: Row) -> Answer:
        """What the model says, knowing the portrait and the memories that have not faded."""
        profile = self._portraits.get(row.user_id, "")
        return await ask(self.bench, row, messages(self.bench, row, await self.recalled(row), profile=profile))

    async def recalled(self, row: Row) -> list[Row]:
        """The memories that fit best and have faded least, the best last; each is refreshed by it."""
        now = len(self.seen[row.user_id])
        found = await self.nearest.find(row.user_id, row.query, CANDIDATES)
        found.sort(key=lambda item: -item[1] * self._retention(item[0].id, now))
        best = [past for past, _ in found[: self.bench.recall_k]]
        for past in best:
            self._strength[past.id] = self._strength.get(past.id, STRENGTH) + STRENGTH
            self._touched[past.id] = now
        return best[::-1]

    async def learn(self, row: Row) -> None:
        """Remember one more, as fresh as can be."""
        self._touched[row.id] = len(self.seen[row.user_id])
        await super().learn(row)

    async def portrait(self, user_id: str) -> Portrait:
        """The portrait."""
        return Portrait(persona=self._portraits.get(user_id, ""))

    def _retention(self, row_id: str, now: int) -> float:
        return math.exp(-(now - self._touched[row_id]) / self._strength.get(row_id, STRENGTH))
