"""A vector index that is only used for the embedding model it was made with, wherever it lives."""

from __future__ import annotations

from collections.abc import Sequence

from personaagent.ledger.meta import Meta
from personaagent.memory.reindex import RebuildableIndex, check_embedder
from personaagent.ports import Embedder, Hit, Point, Vectors, Where


class CheckedIndex:
    """Implements ``ports.VectorIndex``: asks the ledger once which model the index holds, then hands everything on.

    Every method raises EmbedderChanged where it is another one; ``wipe`` makes room for the new one.
    """

    def __init__(self, index: RebuildableIndex, meta: Meta, embedder: Embedder) -> None:
        self._index = index
        self._meta = meta
        self._embedder = embedder
        self._checked = False

    async def upsert(self, points: Sequence[Point]) -> None:
        """Write points; an existing id is replaced."""
        await self._check()
        await self._index.upsert(points)

    async def search(self, user_id: str, vector: Vectors, text: str, k: int, where: Where) -> list[Hit]:
        """Best k of this user's points."""
        await self._check()
        return await self._index.search(user_id, vector, text, k, where)

    async def delete(self, user_id: str, ids: Sequence[str]) -> None:
        """Remove these points of this user."""
        await self._check()
        await self._index.delete(user_id, ids)

    async def delete_user(self, user_id: str) -> None:
        """Remove every point of this user."""
        await self._check()
        await self._index.delete_user(user_id)

    async def count(self, user_id: str | None = None) -> int:
        """Number of points."""
        await self._check()
        return await self._index.count(user_id)

    async def wipe(self) -> None:
        """Remove every vector, of any embedding model."""
        await self._index.wipe()

    async def close(self) -> None:
        """Flush and release the index."""
        await self._index.close()

    async def _check(self) -> None:
        if not self._checked:
            await check_embedder(self._meta, self._embedder)
            self._checked = True
