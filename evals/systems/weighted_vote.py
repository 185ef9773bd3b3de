"""The vote of the most similar labelled queries, closer ones counting far more: the floor to beat, without a model."""

from __future__ import annotations

import math
from collections import defaultdict

from personaagent.evals.systems import Answer, Bench
from personaagent.evals.systems.nearest_neighbour import NearestNeighbour
from personaagent.evals.tasks import Row

WIDTH = 0.1  # of cosine similarity, over which a vote's weight falls to 37 %


class WeightedVote(NearestNeighbour):
    """The ``votes`` nearest labelled rows vote, each with the weight exp(similarity / ``WIDTH``)."""

    def __init__(self, bench: Bench, votes: int = 16) -> None:
        super().__init__(bench, votes)

    async def answer(self, row: Row) -> Answer:
        """The label with the most weight and the labels' shares; ``NearestNeighbour`` where nothing is labelled."""
        weights: dict[str, float] = defaultdict(float)
        for past, score in await self.nearest.find(row.user_id, row.query, self.votes):
            weights[past.truth] += math.exp(score / WIDTH)
        if not weights:
            return await super().answer(row)
        whole = sum(weights.values())
        shares = {label: weight / whole for label, weight in weights.items()}
        return Answer(text=max(shares, key=shares.__getitem__), probabilities=shares)
