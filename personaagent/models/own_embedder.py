"""An embedder of the caller's own: any LangChain ``Embeddings`` behind ``ports.Embedder``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from langchain_core.embeddings import Embeddings

from personaagent.errors import ModelError, ModelOutputInvalid, PersonaAgentError, SetupError
from personaagent.ports import Embedder, Vectors
from personaagent.text import one_line

BLANK = "(empty)"  # many refuse an empty text


async def own_embedder(embedder: object) -> Embedder:
    """The embedder of what the caller handed in: LangChain's ``Embeddings``, which is asked once for its dimension, or
    something that implements ``ports.Embedder``. Raises SetupError, ModelError.
    """
    if isinstance(embedder, Embeddings):
        own = OwnEmbedder(embedder)
        await own.measure()
        return own
    if all(hasattr(embedder, name) for name in ("embed", "name", "dim")):
        return embedder  # type: ignore[return-value]
    raise SetupError(f"embedder is {type(embedder).__name__}: give LangChain Embeddings")


class OwnEmbedder:
    """Implements ``ports.Embedder``; vectors are made unit length here. ``dim`` is 0 until ``measure``."""

    def __init__(self, embeddings: Embeddings) -> None:
        self._embeddings = embeddings
        model = next((str(m) for n in ("model", "model_name", "model_id") if (m := getattr(embeddings, n, None))), "")
        self.name = f"own:{type(embeddings).__name__}" + (f":{model}" if model else "")
        self.dim = 0

    async def measure(self) -> None:
        """Ask for one vector, for its dimension; raises ModelError."""
        self.dim = len((await self._rows([BLANK]))[0])

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one unit vector a text, shape (len(texts), dim); raises ModelError."""
        if not texts:
            return np.empty((0, self.dim), np.float32)
        rows = await self._rows([text if text.strip() else BLANK for text in texts])
        vectors = np.asarray(rows, dtype=np.float64)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True) if vectors.ndim == 2 else np.zeros(1)
        if vectors.shape != (len(texts), self.dim) or not np.isfinite(vectors).all() or not lengths.all():
            raise ModelOutputInvalid(f"{self.name} returned vectors that are zero, not finite or not of {self.dim}")
        return np.asarray(vectors / lengths, dtype=np.float32)

    async def _rows(self, texts: list[str]) -> list[list[float]]:
        try:
            rows = await self._embeddings.aembed_documents(texts)
        except PersonaAgentError:
            raise
        except Exception as error:
            raise ModelError(f"{self.name} failed ({type(error).__name__}: {one_line(str(error), 200)})") from error
        if len(rows) != len(texts) or not len(rows[0]):
            raise ModelOutputInvalid(f"{self.name} returned {len(rows)} vectors for {len(texts)} texts")
        return rows
