"""The label of the most similar labelled query: milliseconds, no model. Who loses to it has nothing to boast of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from personaagent.evals.systems import Answer, Bench, Remembering
from personaagent.evals.systems.nearest import Nearest
from personaagent.evals.tasks import Row


class NearestNeighbour(Remembering):
    """A vote of the ``votes`` nearest labelled rows, each weighing its similarity; one by default."""

    def __init__(self, bench: Bench, votes: int = 1) -> None:
        super().__init__(bench)
        self.votes = votes
        self.nearest = Nearest(bench.embedder)

    async def prepare(self, user_id: str, history: Sequence[Row]) -> None:
        """Embed the labelled history."""
        await super().prepare(user_id, history)
        await self.nearest.add(user_id, [row for row in history if row.truth])

    async def answer(self, row: Row) -> Answer:
        """The label with the most weight.

        Where nothing is labelled and the choices are the row's own (preference following), the choice that is most
        similar to anything that the user said; without history it is empty.
        """
        weights: dict[str, float] = defaultdict(float)
        for past, score in await self.nearest.find(row.user_id, row.query, self.votes):
            weights[past.truth] += score
        if not weights and row.choices and self.seen[row.user_id]:
            said = await self.bench.embedder.embed([past.query for past in self.seen[row.user_id]])
            offered = await self.bench.embedder.embed(row.choices)
            weights.update(zip(row.choices, (offered @ said.T).max(axis=1).tolist(), strict=True))
        return Answer(text=max(weights, key=weights.__getitem__) if weights else "")

    async def learn(self, row: Row) -> None:
        """Embed one more."""
        await super().learn(row)
        await self.nearest.add(row.user_id, [row])
