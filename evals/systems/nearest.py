"""A user's past rows by embedding similarity, kept in this process."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from personaagent.evals.tasks import Row
from personaagent.ports import Embedder, Vectors


class Nearest:
    """Rows and their vectors, a user at a time; the search is exact."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._rows: dict[str, list[Row]] = {}
        self._vectors: dict[str, Vectors] = {}

    async def add(self, user_id: str, rows: Sequence[Row]) -> None:
        """Take in more of this user's rows."""
        if rows:
            vectors = await self._embedder.embed([row.query for row in rows])
            known = self._vectors.get(user_id)
            self._vectors[user_id] = vectors if known is None else np.concatenate([known, vectors])
            self._rows.setdefault(user_id, []).extend(rows)

    async def find(self, user_id: str, query: str, k: int) -> list[tuple[Row, float]]:
        """The k rows most similar to the query with their cosine similarity, best first; of equals the newer one."""
        rows = self._rows.get(user_id, [])
        if not rows or k < 1:
            return []
        wanted = (await self._embedder.embed([query]))[0]
        scores = self._vectors[user_id] @ wanted
        best = sorted(range(len(rows)), key=lambda place: (-float(scores[place]), -place))[:k]
        return [(rows[place], float(scores[place])) for place in best]
