"""The vector index on a Qdrant server or cluster."""

from __future__ import annotations

import asyncio
import math
import random
import threading
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from operator import methodcaller
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from personaagent.errors import EmbedderChanged, IndexUnavailable
from personaagent.inputs import check_user_id
from personaagent.ledger.tables import to_micros
from personaagent.memory import index_common as common
from personaagent.ports import Hit, Point, Vectors, Where

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient
    from qdrant_client.http.models import Filter, KeywordIndexParams, PayloadSchemaType, PointStruct


MARK = "00000000-0000-4000-8000-000000000000"  # the id of the point that tells which collection this is
IDENTITY = "identity"  # the key of its payload
POINTS_AN_UPSERT = 200  # about 1 MB of JSON at 384 dimensions


class QdrantIndex:
    """Implements ``ports.VectorIndex`` in the collection ``episodes__<embedder>__<dim>``, one tenant a user.

    Writes wait until the server has applied them. Raises IndexUnavailable when the server fails after bounded retries,
    EmbedderChanged when it holds another model's collection only, InvalidVector and InvalidUserId for what it is given.
    """

    def __init__(self, url: str, api_key: str | None, embedder_name: str, dim: int, timeout_s: float = 5.0) -> None:
        self._server = QdrantConnection(url, api_key, embedder_name, dim, timeout_s)
        self._name = self._server.collection
        self._dim = dim

    async def upsert(self, points: Sequence[Point]) -> None:
        """Write points in batches; nothing is sent if one is invalid. An existing id is replaced."""
        vectors = [common.checked_vector(point.vector, self._dim) for point in points]
        payloads = [common.payload_of(point) for point in points]
        await self._server.client()
        for start in range(0, len(points), POINTS_AN_UPSERT):
            part = slice(start, start + POINTS_AN_UPSERT)
            batch = [_struct(*row) for row in zip(points[part], vectors[part], payloads[part], strict=True)]
            await self._server.call(methodcaller("upsert", self._name, batch, wait=True))

    async def search(self, user_id: str, vector: Vectors, text: str, k: int, where: Where) -> list[Hit]:
        """Best k of this user's points by both signals fused; the weight of a word is its rarity in these points."""
        query = common.checked_vector(vector, self._dim)
        only = await self._only(user_id, where)
        if k < 1:
            return []
        from qdrant_client import models

        fields, limit = ["user_id", common.INTERACTION], common.depth(k)
        legs = [models.QueryRequest(query=query, using=common.DENSE, filter=only, limit=limit, with_payload=fields)]
        indices, values = common.query_terms(text)
        if indices:
            terms = models.SparseVector(indices=indices, values=values)
            # rarity among these points only: neither other users nor what is still to come may move a score
            rarity = models.SearchParams(idf=models.IdfCorpusParams(corpus=only))
            legs.append(
                models.QueryRequest(
                    query=terms, using=common.LEXICAL, filter=only, params=rarity, limit=limit, with_payload=fields
                )
            )
        indices, values = common.code_terms(text)
        if indices:
            codes = models.SparseVector(indices=indices, values=values)
            legs.append(
                models.QueryRequest(query=codes, using=common.LEXICAL, filter=only, limit=limit, with_payload=fields)
            )
        answers = await self._server.call(lambda client: client.query_batch_points(self._name, legs))
        found = [
            [(own, p.score) for p in answer.points if (own := common.owned(p.payload, user_id)) is not None]
            for answer in answers
        ]
        return [Hit(id=key, score=score, dense=dense) for key, score, dense in common.fused(found, k, limit)]

    async def delete(self, user_id: str, ids: Sequence[str]) -> None:
        """Remove these points of this user; another user's point of the same interaction id stays."""
        check_user_id(user_id)
        gone: list[Any] = [common.point_id(user_id, i) for i in ids]
        if gone:
            await self._server.call(lambda client: client.delete(self._name, gone, wait=True))

    async def delete_user(self, user_id: str) -> None:
        """Remove every point of this user."""
        only = await self._only(user_id)
        await self._server.call(lambda client: client.delete(self._name, only, wait=True))

    async def count(self, user_id: str | None = None) -> int:
        """Number of points, of one user or in all."""
        only = await self._all() if user_id is None else await self._only(user_id)
        return (await self._server.call(lambda client: client.count(self._name, only, exact=True))).count

    async def close(self) -> None:
        """Release the connections; a later call opens them again."""
        await self._server.close()

    async def identity(self) -> str | None:
        """What tells this collection from one that was made in its place: a point of no user, made where it lacks."""
        if (found := await self._mark()) is not None:
            return found
        await self._server.client()
        from qdrant_client import models

        first = [1.0] + [0.0] * (self._dim - 1)
        mark = models.PointStruct(id=MARK, vector={common.DENSE: first}, payload={IDENTITY: uuid4().hex})
        await self._server.call(methodcaller("upsert", self._name, [mark], wait=True))
        return await self._mark()  # as it is there: another process may have been faster

    async def _mark(self) -> str | None:
        found = await self._server.call(methodcaller("retrieve", self._name, [MARK], with_payload=True))
        return str(found[0].payload[IDENTITY]) if found and found[0].payload else None

    async def wipe(self) -> None:
        """Remove every vector, of any embedding model, and start this one's collection: the start of a reindex."""
        await self._server.wipe()

    async def _all(self) -> Filter:
        await self._server.client()
        from qdrant_client import models

        return models.Filter(must_not=[models.HasIdCondition(has_id=[MARK])])

    async def _only(self, user_id: str, where: Where = Where()) -> Filter:
        check_user_id(user_id)
        await self._server.client()  # imports what a filter is made of, in a thread
        return _filter(user_id, where)


def _struct(point: Point, vector: list[float], payload: dict[str, Any]) -> PointStruct:
    from qdrant_client import models

    vectors: dict[str, Any] = {common.DENSE: vector}
    indices, values = common.document_terms(point.text)
    if indices:
        vectors[common.LEXICAL] = models.SparseVector(indices=indices, values=values)
    return models.PointStruct(id=common.point_id(point.user_id, point.id), vector=vectors, payload=payload)


def _filter(user_id: str, where: Where = Where()) -> Filter:
    """The only place where a filter is made; it always holds the user."""
    from qdrant_client import models

    must: list[Any] = [models.FieldCondition(key="user_id", match=models.MatchValue(value=check_user_id(user_id)))]
    for key, value in (("task", where.task), ("thread_id", where.thread_id)):
        if value is not None:
            must.append(models.FieldCondition(key=key, match=models.MatchValue(value=value)))
    if where.before is not None or where.since is not None:
        lt = None if where.before is None else to_micros(where.before)
        gte = None if where.since is None else to_micros(where.since)
        must.append(models.FieldCondition(key="created_at", range=models.Range(lt=lt, gte=gte)))
    hidden: list[Any] = [common.point_id(user_id, i) for i in sorted(where.exclude)]
    return models.Filter(must=must, must_not=[models.HasIdCondition(has_id=hidden)] if hidden else None)


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
