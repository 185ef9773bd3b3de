"""The vector index on a Qdrant server or cluster."""

from __future__ import annotations

from collections.abc import Sequence
from operator import methodcaller
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from personaagent.inputs import check_user_id
from personaagent.ledger.tables import to_micros
from personaagent.memory import index_common as common
from personaagent.memory.index_qdrant_client import QdrantConnection
from personaagent.ports import Hit, Point, Vectors, Where

if TYPE_CHECKING:
    from qdrant_client.http.models import Filter, PointStruct

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
