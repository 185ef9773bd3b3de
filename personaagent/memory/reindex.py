"""Build the vector index anew from the ledger: after a new embedding model, a damaged folder, a restored backup."""

from __future__ import annotations

from typing import Protocol

from personaagent.errors import EmbedderChanged
from personaagent.ledger.database import Meta
from personaagent.memory.indexer import Indexer, Progress
from personaagent.ports import Embedder, VectorIndex

IDENTITY_KEY = "index.identity"  # in the ledger's meta table: which index the ledger was last written to
SPACE_KEY = "index.embedder"  # in the ledger's meta table: "<name> <dim>"


class RebuildableIndex(VectorIndex, Protocol):
    """An index that can be emptied whatever it holds."""

    async def wipe(self) -> None:
        """Remove every vector, of any embedding model."""

    async def identity(self) -> str | None:
        """What tells this index from one that was made in its place; None where that cannot be told."""


async def check_embedder(meta: Meta, embedder: Embedder) -> None:
    """Raise EmbedderChanged when the ledger's index was made with another embedding model; note this one if none was.

    The embedded index marks its own folder as well; this catches a ledger whose index lives on a server, where
    another model's vectors lie in another collection and the search would silently find nothing.
    """
    found, ours = await meta.get(SPACE_KEY), _space(embedder)
    if found is None:
        await meta.set(SPACE_KEY, ours)
    elif found != ours:
        raise EmbedderChanged(
            f"the index was made with {found}, now set is {ours}: "
            "run `personaagent memory reindex`, or set the embedding model back"
        )


async def reindex(
    meta: Meta, indexer: Indexer, index: RebuildableIndex, embedder: Embedder, progress: Progress | None = None
) -> int:
    """Empty the index and fill it from the ledger; returns how many interactions were written.

    A crash leaves the work waiting in the outbox, and the next start carries on with it. Raises HomeInUse,
    IndexUnavailable and what the embedder raises.
    """
    await meta.set(SPACE_KEY, _space(embedder))
    return await indexer.rebuild(index.wipe, progress)


def _space(embedder: Embedder) -> str:
    return f"{embedder.name} {embedder.dim}"
