"""The connection to a Qdrant server: its collection made as it must be, retries with backoff, named errors."""

from __future__ import annotations

import asyncio
import math
import random
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from personaagent.errors import EmbedderChanged, IndexUnavailable
from personaagent.memory import index_common as common

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient
    from qdrant_client.http.models import KeywordIndexParams, PayloadSchemaType

PREFIX = "episodes__"  # every collection of this prefix belongs to PersonaAgent
NOT_FOUND = 404
ATTEMPTS = 4
BACKOFF_S = 0.2  # doubled at each attempt, with jitter, unless the server says how long
MAX_WAIT_S = 5.0

T = TypeVar("T")


class QdrantConnection:
    """One client and one collection, ``episodes__<embedder>__<dim>``, opened at first use."""

    def __init__(self, url: str, api_key: str | None, embedder: str, dim: int, timeout_s: float) -> None:
        self.url = url
        self.collection = PREFIX + common.space_name(embedder, dim)
        self._api_key = api_key
        self._dim = dim
        self._timeout_s = timeout_s
        self._connecting = threading.Lock()
        self._client: AsyncQdrantClient | None = None
        self._ready = False

    async def client(self) -> AsyncQdrantClient:
        """The client, its version compared with the server's; importing it takes a thread two seconds."""
        return self._client if self._client is not None else await asyncio.to_thread(self._connect)

    async def call(self, request: Callable[[AsyncQdrantClient], Awaitable[T]]) -> T:
        """Send a request, to a collection that is sure to exist; retried when the server is busy or away.

        Every request made here can be repeated safely. Raises IndexUnavailable and, at first use, EmbedderChanged.
        """
        client = await self.client()
        if not self._ready:
            # several first calls may each do this: it can be repeated, and a lock would queue them at a dead server
            await self._ensure(client)
            self._ready = True
        try:
            return await self._tried(lambda: request(client))
        except IndexUnavailable as error:
            if getattr(error.__cause__, "status_code", None) == NOT_FOUND:
                self._ready = False  # the collection is lost: the next call makes it anew
            raise

    async def wipe(self) -> None:
        """Drop the collections of every embedding model and make this one's anew."""
        client = await self.client()
        self._ready = False
        for name in await self._collections(client):
            await self._tried(partial(client.delete_collection, name))
        await self._ensure(client)
        self._ready = True

    async def close(self) -> None:
        """Release the connections; a later call opens them again."""
        client, self._client, self._ready = self._client, None, False
        if client is not None:
            await client.close()

    def _connect(self) -> AsyncQdrantClient:
        from qdrant_client import AsyncQdrantClient

        with self._connecting:
            # its compatibility check is a blocking request, in this thread
            client: AsyncQdrantClient = self._client or AsyncQdrantClient(
                url=self.url, api_key=self._api_key, timeout=math.ceil(self._timeout_s)
            )
            self._client = client
            return client

    async def _collections(self, client: AsyncQdrantClient) -> list[str]:
        found = await self._tried(client.get_collections)
        return [c.name for c in found.collections if c.name.startswith(PREFIX)]

    async def _ensure(self, client: AsyncQdrantClient) -> None:
        names = await self._collections(client)
        if self.collection not in names:
            if names:
                raise EmbedderChanged(
                    f"{self.url} holds {names[0]}, the settings need {self.collection}: "
                    "run `personaagent memory reindex`"
                )
            await self._create(client)
        info = await self._tried(lambda: client.get_collection(self.collection))
        # indexes are made one by one after the collection, so a stop in between is mended here
        for field, schema in _payload_indexes().items():
            if field not in info.payload_schema:
                make = partial(client.create_payload_index, self.collection, field, field_schema=schema, wait=True)
                await self._tried(make)

    async def _create(self, client: AsyncQdrantClient) -> None:
        from qdrant_client import models
        from qdrant_client.http.exceptions import UnexpectedResponse

        async def create() -> None:
            try:
                await client.create_collection(
                    self.collection,
                    vectors_config={common.DENSE: models.VectorParams(size=self._dim, distance=models.Distance.COSINE)},
                    sparse_vectors_config={common.LEXICAL: models.SparseVectorParams(modifier=models.Modifier.IDF)},
                    # a graph for each user and none over all: searches are always one user's
                    hnsw_config=models.HnswConfigDiff(m=0, payload_m=16),
                )
            except UnexpectedResponse as error:
                if error.status_code != 409:  # another process was faster
                    raise

        await self._tried(create)

    async def _tried(self, request: Callable[[], Awaitable[T]]) -> T:
        from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
        from qdrant_client.http.exceptions import ApiException, ResponseHandlingException, UnexpectedResponse

        clock = asyncio.get_running_loop().time
        until = clock() + 2 * self._timeout_s  # a server that hangs costs three timeouts at most
        for attempt in range(1, ATTEMPTS + 1):
            wait = BACKOFF_S * 2 ** (attempt - 1) * random.uniform(0.5, 1.5)
            try:
                return await request()
            except ResourceExhaustedResponse as error:
                failure: Exception = error
                wait = error.retry_after_s
            except ResponseHandlingException as error:
                failure = error
            except UnexpectedResponse as error:
                failure = error
                if error.status_code != 429 and (error.status_code or 500) < 500:
                    break
            except (ApiException, QdrantException) as error:
                failure = error
                break
            wait = min(wait, MAX_WAIT_S)
            if attempt == ATTEMPTS or clock() + wait > until:
                break
            await asyncio.sleep(wait)
        raise self._unavailable(failure) from failure

    def _unavailable(self, error: Exception) -> IndexUnavailable:
        status = getattr(error, "status_code", None)
        if status in {401, 403}:
            return IndexUnavailable(f"Qdrant at {self.url} refuses the key: check QDRANT_API_KEY")
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        return IndexUnavailable(f"Qdrant at {self.url} does not answer as it should ({reason}): check QDRANT_URL")


def _payload_indexes() -> dict[str, KeywordIndexParams | PayloadSchemaType]:
    """Every field that a filter names: strict mode refuses a filter on any other."""
    from qdrant_client import models

    return {
        "user_id": models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True),
        "created_at": models.PayloadSchemaType.INTEGER,
        "task": models.PayloadSchemaType.KEYWORD,
        "thread_id": models.PayloadSchemaType.KEYWORD,
        common.INTERACTION: models.PayloadSchemaType.KEYWORD,
    }
