"""Embeddings from an OpenAI-compatible endpoint, through langchain-openai."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from personaagent.errors import ModelDenied, ModelError, ModelOutputInvalid, ModelRefused, ModelUnreachable, SetupError
from personaagent.ports import Vectors

if TYPE_CHECKING:
    from pydantic import SecretStr

TEXTS_A_REQUEST = 64
SHORTEST_CUT = 200  # characters; what is refused even so is not too long
REFUSED = {400, 413, 422}  # the texts themselves: wrong, or too long
_TOO_LONG = re.compile(r"too (?:long|large|many tokens)|maximum (?:context|sequence|input)|exceeds?\b.*\btokens", re.I)
BLANK = "(empty)"  # endpoints refuse an empty input


class EndpointEmbedder:
    """Implements ``ports.Embedder`` on any endpoint that has ``/embeddings``; vectors are made unit length here.

    Raises ModelUnreachable (no answer, overloaded), ModelDenied (key), SetupError (wrong dimension), ModelOutputInvalid
    (a vector that is zero or not finite), ModelRefused (these texts, even cut) and ModelError (everything else that
    the endpoint refuses). A text that is too long for it is cut.
    """

    def __init__(
        self,
        model: str,
        dim: int,
        *,
        base_url: str | None = None,
        api_key: SecretStr | None = None,
        timeout_s: float = 120.0,
        retries: int = 2,
    ) -> None:
        self.name = f"endpoint:{model}"
        self.dim = dim
        self._model = model
        self._where = base_url or "api.openai.com"
        self._options: dict[str, Any] = {
            "base_url": base_url,
            "api_key": api_key,
            "timeout": timeout_s,
            "max_retries": retries,
        }
        self._opening = threading.Lock()
        self._client: Any = None

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one unit vector a text, shape (len(texts), dim)."""
        if not texts:
            return np.empty((0, self.dim), np.float32)
        client = self._client or await asyncio.to_thread(self._open)
        rows = await self._ask_all(client, [text if text.strip() else BLANK for text in texts])
        if len(rows) != len(texts):
            raise ModelOutputInvalid(f"{self._where} returned {len(rows)} vectors for {len(texts)} texts")
        found = {len(row) for row in rows}
        if found != {self.dim}:
            raise SetupError(
                f"{self._model} makes vectors of {max(found)} dimensions, not {self.dim}: "
                f"set PERSONAAGENT_EMBEDDING_DIM={max(found)}"
            )
        vectors = np.asarray(rows, dtype=np.float64)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.isfinite(lengths).all() or (lengths == 0).any():
            raise ModelOutputInvalid(f"{self._model} returned a vector that is zero or not finite: use another model")
        return np.asarray(vectors / lengths, dtype=np.float32)

    async def _ask_all(self, client: Any, texts: list[str]) -> list[list[float]]:
        """Ask for all at once; where that is refused each by itself, and what is refused even so with less of it."""
        try:
            return await self._ask(client, texts)
        except ModelRefused:
            if len(texts) == 1 and len(texts[0]) <= SHORTEST_CUT:
                raise
            if len(texts) == 1:
                # such an endpoint takes fewer tokens; what a text begins with stands for it
                return await self._ask_all(client, [texts[0][: len(texts[0]) // 2]])
            middle = len(texts) // 2
            return await self._ask_all(client, texts[:middle]) + await self._ask_all(client, texts[middle:])

    def _open(self) -> Any:
        with self._opening:
            if self._client is None:
                import openai
                from langchain_openai import OpenAIEmbeddings

                try:
                    # the length check would download tiktoken's files
                    self._client = OpenAIEmbeddings(
                        model=self._model, check_embedding_ctx_length=False, chunk_size=TEXTS_A_REQUEST, **self._options
                    )
                except openai.OpenAIError as error:
                    raise SetupError(
                        f"{self._where} needs a key to embed with {self._model}: set OPENAI_API_KEY "
                        "(any text for an endpoint that checks none)"
                    ) from error
            return self._client

    async def _ask(self, client: Any, texts: list[str]) -> list[list[float]]:
        import openai

        try:
            rows: list[list[float]] = await client.aembed_documents(texts)
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            raise ModelDenied(f"{self._where} refuses the key for {self._model}: check OPENAI_API_KEY") from error
        except openai.APIError as error:
            if getattr(error, "status_code", None) in REFUSED or _TOO_LONG.search(str(error)):
                raise ModelRefused(
                    f"{self._where} refuses to embed with {self._model} ({error.message[:200]}): "
                    "check PERSONAAGENT_EMBEDDING_MODEL"
                ) from error
            if isinstance(error, openai.APIConnectionError | openai.RateLimitError | openai.InternalServerError):
                raise ModelUnreachable(
                    f"{self._where} does not answer for {self._model} ({type(error).__name__}): check OPENAI_BASE_URL"
                ) from error
            raise ModelError(
                f"{self._where} refuses to embed with {self._model} ({error.message[:200]}): "
                "check PERSONAAGENT_EMBEDDING_MODEL"
            ) from error
        except (TypeError, ValueError) as error:
            # the client library raises these bare for a body without data
            raise ModelOutputInvalid(f"{self._where} did not return embeddings ({str(error)[:200]})") from error
        return rows
