"""Retrieval-augmented: the user's most similar interactions as examples (paper, baseline "RAG")."""

from __future__ import annotations

from collections.abc import Sequence

from personaagent.evals.systems import Answer, Bench, Remembering
from personaagent.evals.systems.nearest import Nearest
from personaagent.evals.systems.prompting import ask, messages
from personaagent.evals.tasks import Row


class Retrieval(Remembering):
    """One model call a query; the ``recall_k`` most similar interactions come before it, the best match last."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self.nearest = Nearest(bench.embedder)

    async def prepare(self, user_id: str, history: Sequence[Row]) -> None:
        """Embed the history."""
        await super().prepare(user_id, history)
        await self.nearest.add(user_id, history)

    async def answer(self, row: Row) -> Answer:
        """What the model says after the recalled examples."""
        return await ask(self.bench, row, messages(self.bench, row, await self.recalled(row)))

    async def recalled(self, row: Row) -> list[Row]:
        """The most similar interactions, the best last."""
        found = await self.nearest.find(row.user_id, row.query, self.bench.recall_k)
        return [past for past, _ in reversed(found)]

    async def learn(self, row: Row) -> None:
        """Embed one more."""
        await super().learn(row)
        await self.nearest.add(row.user_id, [row])
