"""The vector index embedded in the process: qdrant-edge, one shard folder, one thread that owns it.

The engine lets one process at a time have the folder. So whoever wants it asks, by a file beside it, and whoever has
it looks for that file a few times a second and gives the folder away: any number of processes take turns, each of
which costs a close and an open (0.1 s at 5,000 points, 0.25 s at 30,000).

Durability: the engine writes every update to its log before it returns, so a killed process loses nothing. Only a
power cut can take what was not yet flushed, and that is rebuilt from the ledger. A flush holds the interpreter lock
(up to 250 ms at 100,000 points), so it runs 30 seconds after the first unflushed write, after 20,000 points, and on
close, never inside a turn.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from personaagent.errors import HomeInUse
from personaagent.inputs import check_user_id
from personaagent.ledger.tables import to_micros
from personaagent.memory import index_common as common
from personaagent.memory.index_edge_folder import EdgeFolder, engine_errors
from personaagent.ports import Hit, Point, Vectors, Where

if TYPE_CHECKING:
    import qdrant_edge

FLUSH_AFTER_S = 30.0
FLUSH_AFTER_POINTS = 20_000
POINTS_AN_UPDATE = 500
WAIT_S = 5.0  # for another process to give the folder away
RETRY_S = 0.05
LOOK_S = 0.25  # how often the process that has it looks whether it is wanted; so long it has it at least
HAND_OVER_S = 0.15  # after giving it away, before wanting it again
HOPELESS_S = 30.0  # after a wait in vain, before the next long one: that process hangs

T = TypeVar("T")


class EdgeIndex:
    """Implements ``ports.VectorIndex`` in ``folder``, with one shard ``<embedder>__<dim>`` and a mark naming it.

    All engine calls run one after another in a thread of this index, from whichever event loop they come: a search
    takes less than a millisecond, so waiting in line is cheaper than locks. Raises HomeInUse (another process has the
    folder and does not give it away), EmbedderChanged (the mark names another model), HomeNotWritable,
    IndexUnavailable (unreadable), and InvalidVector, InvalidUserId for what it is given.
    """

    def __init__(self, folder: Path, embedder_name: str, dim: int) -> None:
        self._dim = dim
        self._folder = EdgeFolder(folder, embedder_name, dim)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="edge-index")
        self._shard: qdrant_edge.EdgeShard | None = None
        self._unflushed = 0
        self._timer: threading.Timer | None = None
        self._closed = threading.Event()  # ends the look-out for others
        self._gave_away = False
        self._hopeless_until = 0.0

    async def upsert(self, points: Sequence[Point]) -> None:
        """Write points, all of a call or (on an invalid one) none; an existing id is replaced."""
        ready = await self._run(lambda: [self._point(point) for point in points])
        for start in range(0, len(ready), POINTS_AN_UPDATE):
            await self._run(partial(self._upsert, ready[start : start + POINTS_AN_UPDATE]))

    async def search(self, user_id: str, vector: Vectors, text: str, k: int, where: Where) -> list[Hit]:
        """Best k of this user's points by both signals fused; the weight of a word is its rarity in these points."""
        query = common.checked_vector(vector, self._dim)
        check_user_id(user_id)
        return [] if k < 1 else await self._run(lambda: self._search(user_id, query, text, k, where))

    async def delete(self, user_id: str, ids: Sequence[str]) -> None:
        """Remove these points of this user; another user's point of the same interaction id stays."""
        check_user_id(user_id)
        if ids:
            await self._run(lambda: self._delete(user_id, ids))

    async def delete_user(self, user_id: str) -> None:
        """Remove every point of this user."""
        await self._run(lambda: self._delete_user(user_id))

    async def count(self, user_id: str | None = None) -> int:
        """Number of points, of one user or in all."""
        return await self._run(lambda: self._count(user_id))

    async def close(self) -> None:
        """Flush and release the folder; a later call opens it again."""
        await self._run(self._close)

    async def wipe(self) -> None:
        """Remove every vector, of any embedding model, and mark the folder for this one: the start of a reindex."""
        await self._run(self._wipe)

    async def identity(self) -> str | None:
        """What tells this shard from one that was made in its place, where the one before was lost."""

        def opened() -> str | None:
            self._opened()
            return self._folder.identity()

        return await self._run(opened)

    async def _run(self, call: Callable[[], T]) -> T:
        def guarded() -> T:
            with engine_errors(self._folder.root):
                return call()

        return await asyncio.get_running_loop().run_in_executor(self._thread, guarded)

    # ---- everything below runs in the index's own thread ----

    def _point(self, point: Point) -> qdrant_edge.Point:
        import qdrant_edge as edge

        vectors: dict[str, Any] = {common.DENSE: common.checked_vector(point.vector, self._dim)}
        indices, values = common.document_terms(point.text)
        if indices:
            vectors[common.LEXICAL] = edge.SparseVector(indices, values)
        payload = common.payload_of(point)
        return edge.Point(common.point_id(point.user_id, point.id), vectors, payload)

    def _upsert(self, points: list[qdrant_edge.Point]) -> None:
        import qdrant_edge as edge

        self._opened().update(edge.UpdateOperation.upsert_points(points))
        self._wrote(len(points))

    def _search(self, user_id: str, vector: list[float], text: str, k: int, where: Where) -> list[Hit]:
        import qdrant_edge as edge

        shard, only, limit = self._opened(), self._filter(user_id, where), common.depth(k)
        legs = [edge.QueryRequest(limit=limit, query=edge.Query.Nearest(vector, common.DENSE), filter=only)]
        indices, values = common.query_terms(text)
        if indices:
            terms = edge.Query.Nearest(edge.SparseVector(indices, values), common.LEXICAL)
            # rarity among these points only: neither other users nor what is still to come may move a score
            rarity = edge.SearchParams(idf=edge.IdfParams(corpus=only))
            legs.append(edge.QueryRequest(limit=limit, query=terms, filter=only, params=rarity))
        indices, values = common.code_terms(text)
        if indices:
            codes = edge.Query.Nearest(edge.SparseVector(indices, values), common.LEXICAL)
            legs.append(edge.QueryRequest(limit=limit, query=codes, filter=only))
        found = shard.query_batch(edge.QueryBatchRequest(legs))
        # by their numbers: to write a UUID out takes longer than the engine takes to find it
        best = common.fused([[(_number(p.id), p.score) for p in leg] for leg in found], k, limit)
        # payloads of the few that won, not of every candidate: a third of the time
        records = shard.retrieve([UUID(int=key) for key, _, _ in best], ["user_id", common.INTERACTION], False)
        owners = {_number(record.id): common.owned(record.payload, user_id) for record in records}
        return [Hit(id=own, score=score, dense=dense) for key, score, dense in best if (own := owners.get(key))]

    def _delete(self, user_id: str, ids: Sequence[str]) -> None:
        import qdrant_edge as edge

        self._opened().update(edge.UpdateOperation.delete_points([common.point_id(user_id, i) for i in ids]))
        self._wrote(len(ids))

    def _delete_user(self, user_id: str) -> None:
        import qdrant_edge as edge

        self._opened().update(edge.UpdateOperation.delete_points_by_filter(self._filter(user_id)))
        self._wrote(1)

    def _count(self, user_id: str | None) -> int:
        import qdrant_edge as edge

        only = None if user_id is None else self._filter(user_id)
        return self._opened().count(edge.CountRequest(exact=True, filter=only))

    def _filter(self, user_id: str, where: Where = Where()) -> qdrant_edge.Filter:
        """The only place where a filter is made; it always holds the user."""
        import qdrant_edge as edge

        must: list[Any] = [edge.FieldCondition("user_id", match=edge.MatchValue(check_user_id(user_id)))]
        for key, value in (("task", where.task), ("thread_id", where.thread_id)):
            if value is not None:
                must.append(edge.FieldCondition(key, match=edge.MatchValue(value)))
        if where.before is not None or where.since is not None:
            lt = None if where.before is None else to_micros(where.before)
            gte = None if where.since is None else to_micros(where.since)
            must.append(edge.FieldCondition("created_at", range=edge.RangeFloat(lt=lt, gte=gte)))
        hidden: set[Any] = {common.point_id(user_id, i) for i in where.exclude}
        return edge.Filter(must=must, must_not=[edge.HasIdCondition(hidden)] if hidden else None)

    def _wrote(self, points: int) -> None:
        self._unflushed += points
        if self._unflushed >= FLUSH_AFTER_POINTS:
            self._flush()
        elif self._timer is None:
            self._timer = threading.Timer(FLUSH_AFTER_S, lambda: self._thread.submit(self._flush))
            self._timer.daemon = True
            self._timer.start()

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._unflushed = None, 0
        if self._shard is not None:
            self._shard.flush()

    def _opened(self) -> qdrant_edge.EdgeShard:
        if self._shard is None:
            self._shard = self._in_turn(self._folder.open)
            self._folder.answered()
            self._closed = threading.Event()
            threading.Thread(target=self._look_out, args=(self._closed,), name="edge-look-out", daemon=True).start()
        return self._shard

    def _in_turn(self, take: Callable[[], T]) -> T:
        """Take the folder, or ask the process that has it to give it away and wait."""
        if self._gave_away:
            self._gave_away = False
            time.sleep(HAND_OVER_S)
        began = time.monotonic()
        until = began if began < self._hopeless_until else began + WAIT_S
        while True:
            try:
                with engine_errors(self._folder.root):
                    return take()
            except HomeInUse:
                if time.monotonic() >= until:
                    self._hopeless_until = time.monotonic() + HOPELESS_S
                    raise
                self._folder.ask()
                time.sleep(RETRY_S)

    def _look_out(self, closed: threading.Event) -> None:
        while not closed.wait(LOOK_S):
            if self._folder.wanted():
                with suppress(RuntimeError):  # the process ends
                    self._thread.submit(self._give_away)
                return

    def _give_away(self) -> None:
        if self._shard is not None:
            self._close()
            self._gave_away = True

    def _close(self) -> None:
        self._closed.set()
        self._flush()
        if self._shard is not None:
            self._shard.close()
            self._shard = None
        self._folder.release()

    def _wipe(self) -> None:
        if self._shard is None:
            self._in_turn(self._folder.take)
        self._closed.set()
        self._shard = None  # dropped, not flushed: a broken shard must not keep itself from being removed
        self._flush()
        try:
            self._folder.wipe()
        finally:
            self._folder.release()


def _number(point_id: int | UUID | str) -> int:
    return point_id.int if isinstance(point_id, UUID) else int(point_id)
