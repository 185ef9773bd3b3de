"""A vector index that is only used for the embedding model it was made with, wherever it lives."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from personaagent.errors import IndexUnavailable
from personaagent.ledger.database import Meta
from personaagent.memory.reindex import IDENTITY_KEY, RebuildableIndex, check_embedder
from personaagent.ports import Embedder, Hit, Point, Vectors, Where

T = TypeVar("T")

logger = logging.getLogger(__name__)


class CheckedIndex:
    """Implements ``ports.VectorIndex``: asks the ledger once which model the index holds, then hands everything on.

    Every method raises EmbedderChanged where it is another one; ``wipe`` makes room for the new one. An index that is
    not the one that the ledger was written to (its folder or a server's collection was lost, the ledger was brought to
    another machine) is filled from the ledger by itself: ``refill`` puts all of it into the outbox.
    """

    def __init__(
        self, index: RebuildableIndex, meta: Meta, embedder: Embedder, refill: Callable[[], Awaitable[object]]
    ) -> None:
        self._index = index
        self._meta = meta
        self._embedder = embedder
        self._refill = refill
        self._checked = False

    async def upsert(self, points: Sequence[Point]) -> None:
        """Write points; an existing id is replaced."""
        await self._checked_first(lambda: self._index.upsert(points))

    async def search(self, user_id: str, vector: Vectors, text: str, k: int, where: Where) -> list[Hit]:
        """Best k of this user's points."""
        return await self._checked_first(lambda: self._index.search(user_id, vector, text, k, where))

    async def delete(self, user_id: str, ids: Sequence[str]) -> None:
        """Remove these points of this user."""
        await self._checked_first(lambda: self._index.delete(user_id, ids))

    async def delete_user(self, user_id: str) -> None:
        """Remove every point of this user."""
        await self._checked_first(lambda: self._index.delete_user(user_id))

    async def count(self, user_id: str | None = None) -> int:
        """Number of points."""
        return await self._checked_first(lambda: self._index.count(user_id))

    async def wipe(self) -> None:
        """Remove every vector, of any embedding model."""
        await self._index.wipe()
        self._checked = False

    async def close(self) -> None:
        """Flush and release the index."""
        await self._index.close()

    async def _checked_first(self, call: Callable[[], Awaitable[T]]) -> T:
        await self.check()
        try:
            return await call()
        except IndexUnavailable:
            self._checked = False  # what answers next may be another one
            raise

    async def check(self) -> None:
        """See that the index is the one that the ledger was written to, and have it filled where it is not."""
        if self._checked:
            return
        await check_embedder(self._meta, self._embedder)
        held = await self._index.identity() or ""
        noted = await self._meta.get(IDENTITY_KEY)
        if held != (noted or ""):
            if noted is not None:
                logger.warning("the index is not the one that the ledger was written to: it is filled from the ledger")
            await self._refill()
            await self._meta.set(IDENTITY_KEY, held)  # last: after a crash before it, it is filled once more
        self._checked = True
