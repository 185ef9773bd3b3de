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
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar
from uuid import UUID, uuid4

from personaagent.errors import (
    EmbedderChanged,
    HomeInUse,
    HomeNotWritable,
    IndexUnavailable,
    PersonaAgentError,
)
from personaagent.inputs import check_user_id
from personaagent.ledger.tables import to_micros
from personaagent.memory import index_common as common
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


GONE = ".gone-"  # begins the name of what is being removed
MARK = "index.json"  # which embedding model the folder's vectors are of
LOCK = "lock"  # a file that is locked by the process that has the folder
WANTED = "wanted"  # a file that another process makes while it waits for the folder


class EdgeFolder:
    """``root`` with the mark and one shard folder named by the vector space. Every method blocks."""

    def __init__(self, root: Path, embedder: str, dim: int) -> None:
        self.root = root
        self._mark = {"embedder": embedder, "dim": dim}
        self._dim = dim
        self._path = root / common.space_name(embedder, dim)
        self._taken: IO[bytes] | None = None

    def open(self) -> qdrant_edge.EdgeShard:
        """The shard, made at first use; raises EmbedderChanged and whatever ``engine_errors`` names."""
        import qdrant_edge as edge

        self.take()
        try:
            self._check_mark()
            if not self._path.exists():
                self._write_mark()  # with an id of its own: what the shard before held is not in this one
                self._make()
            return edge.EdgeShard.load(str(self._path))
        except BaseException:
            self.release()
            raise

    def take(self) -> None:
        """Keep every other process out until ``release``; raises HomeInUse where one is in.

        The engine has a lock of its own, but takes it only after it has begun to load, and so to mend, the files.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        lock = (self.root / LOCK).open("ab")
        try:
            _lock(lock)
        except BlockingIOError:
            lock.close()
            raise _in_use(self.root) from None
        self._taken = lock

    def release(self) -> None:
        """Let others in; the shard must be closed."""
        if self._taken is not None:
            self._taken.close()
            self._taken = None

    def ask(self) -> None:
        """Let the process that has the folder know that it is wanted."""
        (self.root / WANTED).touch()

    def wanted(self) -> bool:
        """Whether another process waits for the folder."""
        return (self.root / WANTED).exists()

    def answered(self) -> None:
        """The folder is this process's now; whoever still waits asks again."""
        (self.root / WANTED).unlink(missing_ok=True)

    def wipe(self) -> None:
        """Remove the shards of every embedding model and mark the folder for this one."""
        for path in self._shards():
            # renamed first: half a shard, which a kill would leave, is one that no start could open
            gone = path.with_name(f"{GONE}{uuid4().hex}")
            path.rename(gone)
            shutil.rmtree(gone)
        self.root.mkdir(parents=True, exist_ok=True)
        self._write_mark()

    def identity(self) -> str | None:
        """What tells this shard from one that was made in its place; None for one of an earlier version."""
        try:
            found = json.loads((self.root / MARK).read_text()).get("id")
        except (OSError, ValueError, AttributeError):
            return None
        return found if isinstance(found, str) else None

    def _shards(self) -> list[Path]:
        return [path for path in self.root.iterdir() if path.is_dir()] if self.root.is_dir() else []

    def _check_mark(self) -> None:
        path = self.root / MARK
        if not path.exists():
            self._write_mark()
            return
        try:
            found = json.loads(path.read_text())
            held = {"embedder": str(found["embedder"]), "dim": int(found["dim"])}
        except (ValueError, KeyError, TypeError) as error:
            raise _unreadable(self.root, error) from error
        if held != self._mark:
            raise EmbedderChanged(
                f"the index in {self.root} is of {held['embedder']} ({held['dim']} dimensions), the settings name "
                f"{self._mark['embedder']} ({self._mark['dim']}): run `personaagent memory reindex`"
            )

    def _write_mark(self) -> None:
        draft = self.root / f"{MARK}.{os.getpid()}"
        draft.write_text(json.dumps(self._mark | {"id": uuid4().hex}))
        draft.replace(self.root / MARK)

    def _make(self) -> None:
        """Make an empty shard aside and move it in place, so that a kill leaves a whole shard or none."""
        import qdrant_edge as edge

        aside = Path(tempfile.mkdtemp(prefix=".making-", dir=self.root))
        # no graph is built over the vectors: a user's points are found by the payload index and compared exactly
        config = edge.EdgeConfig(
            vectors={common.DENSE: edge.EdgeVectorParams(size=self._dim, distance=edge.Distance.Cosine)},
            sparse_vectors={common.LEXICAL: edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)},
        )
        shard = edge.EdgeShard.create(str(aside), config)
        for name, schema in (
            ("user_id", edge.KeywordIndexParams(is_tenant=True)),
            ("created_at", edge.IntegerIndexParams(lookup=False, range=True)),
            ("task", edge.KeywordIndexParams()),
            ("thread_id", edge.KeywordIndexParams()),
        ):
            shard.update(edge.UpdateOperation.create_field_index(name, schema))
        shard.flush()
        shard.close()
        try:
            aside.rename(self._path)
        except OSError:
            shutil.rmtree(aside)
            if not self._path.exists():  # otherwise another process was faster, and its shard is as good
                raise


@contextmanager
def engine_errors(root: Path) -> Iterator[None]:
    """Give the engine's and the file system's failures their names; our own errors pass."""
    try:
        yield
    except PersonaAgentError:
        raise
    except OSError as error:
        raise HomeNotWritable(
            f"the index folder {root} cannot be written ({error.strerror or error}): "
            "mend its permissions or set PERSONAAGENT_HOME to another folder"
        ) from error
    except Exception as error:
        if type(error) is not Exception:  # the engine raises the bare class and nothing else does
            raise
        if "WouldBlock" in str(error):
            raise _in_use(root) from error
        raise _unreadable(root, error) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # Rust's panics are no Exceptions
            raise
        raise _unreadable(root, error) from error


def _lock(file: IO[bytes]) -> None:
    try:
        import fcntl
    except ImportError:
        return  # elsewhere the engine's own lock has to do
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _in_use(root: Path) -> HomeInUse:
    return HomeInUse(
        f"{root} is held by another process that does not give it up: end that one, it may hang or be stopped"
    )


def _unreadable(root: Path, error: BaseException) -> IndexUnavailable:
    reason = " ".join(str(error).split())[:200]
    return IndexUnavailable(f"the index in {root} fails ({reason}): rebuild it with `personaagent memory reindex`")
