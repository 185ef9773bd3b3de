"""What costs nothing: the user's usual label, the last one, and the nearest example's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from evals.systems import Bench
from evals.tasks import Row
from personaagent.ports import Embedder, Vectors


class Majority:
    """The user's most frequent label so far; of equals the newer one."""

    def __init__(self, bench: Bench) -> None:
        self._fallback = bench.task.choices[0]
        self._labels: dict[str, list[str]] = {}

    async def prepare(self, user_id: str, history: Sequence[Row]) -> None:
        """Count the labels."""
        self._labels[user_id] = [row.truth for row in history]

    async def answer(self, row: Row) -> str:
        """The most frequent label."""
        labels = self._labels[row.user_id]
        return Counter(reversed(labels)).most_common(1)[0][0] if labels else self._fallback

    async def learn(self, row: Row) -> None:
        """Count one more."""
        self._labels[row.user_id].append(row.truth)

    async def close(self) -> None:
        """There is nothing to release."""


class LastLabel(Majority):
    """The user's last label."""

    async def answer(self, row: Row) -> str:
        """The last label."""
        labels = self._labels[row.user_id]
        return labels[-1] if labels else self._fallback


class NearestNeighbour:
    """The label of the nearest labelled query by embedding similarity; any agent that loses to it has little to boast.

    It costs one embedding a query and no model call.
    """

    def __init__(self, bench: Bench) -> None:
        self._embedder: Embedder = bench.embedder
        self._vectors: dict[str, list[Vectors]] = {}
        self._labels: dict[str, list[str]] = {}

    async def prepare(self, user_id: str, history: Sequence[Row]) -> None:
        """Embed the history."""
        self._vectors[user_id] = list(await self._embedder.embed([row.query for row in history])) if history else []
        self._labels[user_id] = [row.truth for row in history]

    async def answer(self, row: Row) -> str:
        """The nearest one's label; the empty string without any history."""
        known = self._vectors[row.user_id]
        if not known:
            return ""
        wanted = (await self._embedder.embed([row.query]))[0]
        return self._labels[row.user_id][int(np.argmax(np.stack(known) @ wanted))]

    async def learn(self, row: Row) -> None:
        """Embed one more."""
        self._vectors[row.user_id].append((await self._embedder.embed([row.query]))[0])
        self._labels[row.user_id].append(row.truth)

    async def close(self) -> None:
        """There is nothing to release."""
