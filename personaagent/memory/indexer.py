"""From the ledger to the vector index: carries out what waits in the outbox, and tries again while the index is down.

The ledger's present state decides, not the order inside a batch: an interaction that is there is (re)written, one
that is gone is removed. So carrying out the same work twice, or after a crash once more, changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from personaagent.errors import (
    HomeInUse,
    InvalidVector,
    ModelDenied,
    ModelError,
    ModelUnreachable,
    PersonaAgentError,
)
from personaagent.ledger.interactions import Interactions
from personaagent.ledger.queues import Outbox, Work, by_user
from personaagent.memory.ranking import dense_text, point_of
from personaagent.ports import Embedder, Point, VectorIndex, Vectors
from personaagent.types import Interaction

BATCH = 256  # work taken at once: a few seconds of the embedded embedder, some megabytes
CATCH_UP = 32  # a piece of what an earlier process left: searches settle their own work between two of them
PIECE = 32  # of an import, between two of which others get their turn
SOON_S = 0.5  # that a search waits for a flush that is under way already
PROBE = "Is anybody there?"
BACKOFF_S = (1.0, 2.0, 5.0, 15.0, 60.0)

Progress = Callable[[int, int], None]  # (done, in all), called after every batch

logger = logging.getLogger(__name__)


@dataclass
class _Lane:
    """The flushes of one event loop: one at a time, and how far the last one reached."""

    flushing: asyncio.Lock = field(default_factory=asyncio.Lock)
    asked: int = 0  # how often somebody wanted a flush
    covered: int = 0  # the last of them whose work a flush has carried out
    left: bool = False  # to the retry that is under way, since its last flush began


@dataclass(eq=False, slots=True)
class Watched:
    """Whether the index changed for a user while somebody looked."""

    user_id: str
    changed: bool = False


class Indexer:
    """Brings the index up to the ledger: at least once, in order, one flush at a time in this process."""

    def __init__(
        self,
        outbox: Outbox,
        interactions: Interactions,
        index: VectorIndex,
        embedder: Embedder,
        *,
        backoff_s: Sequence[float] = BACKOFF_S,
        before: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._outbox = outbox
        self._interactions = interactions
        self._index = index
        self._embedder = embedder
        self._backoff_s = tuple(backoff_s)
        self._before = before  # asked before work is looked for: it may make some
        self._lanes: WeakKeyDictionary[asyncio.AbstractEventLoop, _Lane] = WeakKeyDictionary()
        # by user: the newest flush that was asked for in the background
        self._soon: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Task[bool]]] = WeakKeyDictionary()
        self._watched: set[Watched] = set()
        self._catching_up: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[None]] = WeakKeyDictionary()
        self._retries: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[None]] = WeakKeyDictionary()

    async def flush(
        self, user_id: str | None = None, *, limit: int | None = None, progress: Progress | None = None
    ) -> int:
        """Carry out the oldest work, of one user or of all, up to ``limit`` pieces; returns how many were done.

        Raises whatever keeps the index or the embedder from working; what was not done yet waits on.
        """
        if self._before is not None:
            await self._before()
        async with self._lane().flushing:
            return await self._drain(user_id, limit, progress)

    async def rebuild(self, empty: Callable[[], Awaitable[None]], progress: Progress | None = None) -> int:
        """Empty the index by ``empty`` and fill it from the ledger; returns how much work that was.

        All interactions are put into the outbox before, so that a crash leaves the work waiting, and once more after,
        in case another process carried some of it out on the index that was then emptied.
        """
        async with self._lane().flushing:
            await self._outbox.refill()
            await empty()
            await self._outbox.refill()
            if self._before is not None:
                await self._before()
            return await self._drain(None, None, progress)

    async def try_flush(self, user_id: str, progress: Progress | None = None, *, whole: bool = True) -> bool:
        """Flush this user's work; a named failure leaves it in the outbox for the retry in the background.

        Those who come while a flush is under way share the next one. While a retry is under way the index is known to
        be down, and nobody waits for it. Of an import others get their turn after every batch; without ``whole`` its
        rest is left to its own flush. Returns whether it worked.
        """
        if self._left_to_retry():
            return False
        lane = self._lane()
        lane.asked += 1
        mine = lane.asked
        try:
            async with lane.flushing:
                if lane.covered >= mine:
                    return True
                if self._is_retrying():
                    return False  # the flush that this one waited for has failed
                covers = lane.asked  # whoever asked by now had written before
                if await self._drain(None, PIECE, None) < PIECE:
                    lane.covered = covers
                    return True
            while whole:
                async with lane.flushing:
                    if await self._drain(user_id, PIECE, progress) < PIECE:
                        return True
        except PersonaAgentError as error:
            logger.warning("memory is kept but not indexed yet: %s", error)
            self._retry_later()
            return False
        return True

    def flush_soon(self, user_id: str) -> None:
        """Flush in the background: what is in the ledger is safe, and a search first settles what waits."""
        if not self._left_to_retry():
            soon = self._soon.setdefault(asyncio.get_running_loop(), {})
            soon[user_id] = task = asyncio.create_task(self.try_flush(user_id, whole=False))
            task.add_done_callback(lambda done: soon.pop(user_id) if soon.get(user_id) is done else None)

    async def under_way(self, user_id: str) -> None:
        """Wait for the flush in the background that this user's newest memory is part of, but for no import."""
        task = self._soon.get(asyncio.get_running_loop(), {}).get(user_id)
        if task is not None:
            await asyncio.wait([task], timeout=SOON_S)

    def catch_up_soon(self) -> None:
        """Carry out in the background what an earlier process left in the outbox, unless another one has the index."""
        loop = asyncio.get_running_loop()
        if loop not in self._catching_up or self._catching_up[loop].done():
            self._catching_up[loop] = asyncio.create_task(self._catch_up())

    @contextmanager
    def watching(self, user_id: str) -> Iterator[Watched]:
        """Tell whether a flush here changed this user's part of the index meanwhile: a search may have missed it."""
        watched = Watched(user_id)
        self._watched.add(watched)
        try:
            yield watched
        finally:
            self._watched.discard(watched)

    @property
    def retrying(self) -> bool:
        """Whether work waits for the index to come back."""
        return self._is_retrying()

    def _is_retrying(self) -> bool:
        task = self._retries.get(asyncio.get_running_loop())
        return task is not None and not task.done()

    async def depth(self, user_id: str | None = None) -> int:
        """How much work waits, of one user or in all."""
        return await self._outbox.depth(user_id)

    async def close(self) -> None:
        """Finish the flushes that were asked for and stop the others; what still waits stays in the ledger."""
        await asyncio.gather(*self._soon.pop(asyncio.get_running_loop(), {}).values())
        for tasks in (self._catching_up, self._retries):
            task = tasks.pop(asyncio.get_running_loop(), None)
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def _catch_up(self) -> None:
        try:
            while await self.flush(limit=CATCH_UP) == CATCH_UP:
                pass
        except HomeInUse as error:
            logger.info("what waits for the index is left to the process that has it: %s", error)
        except PersonaAgentError as error:
            logger.warning("what an earlier process left is not indexed yet: %s", error)
            self._retry_later()

    async def _drain(self, user_id: str | None, limit: int | None, progress: Progress | None) -> int:
        done = 0
        total = 0 if progress is None else await self._outbox.depth(user_id)
        while limit is None or done < limit:
            size = BATCH if limit is None else min(BATCH, limit - done)
            work, present = await self._outbox.due(size, user_id)
            more = 0
            if work:
                await self._carry_out(work, present)
                more = await self._outbox.done(work)
                done += len(work)
                if progress is not None:
                    progress(done, max(total, done))
            if len(work) < size and not more:
                break  # what comes meanwhile has a flush of its own
        return done

    def _left_to_retry(self) -> bool:
        """Whether a retry is under way; then it sees to what has just been written."""
        if self.retrying:
            self._lane().left = True
            return True
        return False

    def _retry_later(self) -> None:
        if not self.retrying:
            self._retries[asyncio.get_running_loop()] = asyncio.create_task(self._retry())

    async def _retry(self) -> None:
        attempt = 0
        while True:
            await asyncio.sleep(self._backoff_s[min(attempt, len(self._backoff_s) - 1)])
            attempt += 1
            lane = self._lane()
            lane.left = False
            try:
                done = await self.flush()
                while lane.left:  # what came while it flushed was left to it
                    lane.left = False
                    done += await self.flush()
            except PersonaAgentError as error:
                logger.warning("the index is still behind (attempt %d): %s", attempt, error)
            else:
                logger.info("the index has caught up: %d changes", done)
                return

    def _lane(self) -> _Lane:
        return self._lanes.setdefault(asyncio.get_running_loop(), _Lane())

    async def _carry_out(self, work: Sequence[Work], present: Mapping[str, Mapping[str, Interaction]]) -> None:
        for user_id in dict.fromkeys(piece.user_id for piece in work if piece.op == "delete_user"):
            await self._index.delete_user(user_id)
        wanted = by_user(work)
        await self._upsert([present[user][key] for user, ids in wanted.items() for key in ids if key in present[user]])
        for user_id, ids in wanted.items():
            gone = [key for key in ids if key not in present[user_id]]
            if gone:
                await self._index.delete(user_id, gone)
        for watched in list(self._watched):
            if any(piece.user_id == watched.user_id for piece in work):
                watched.changed = True

    async def _upsert(self, interactions: Sequence[Interaction]) -> None:
        if not interactions:
            return
        points = [point_of(*pair) for pair in await self._embedded(interactions)]
        try:
            await self._index.upsert(points)
        except InvalidVector:
            await self._upsert_one_by_one(points)

    async def _embedded(self, interactions: Sequence[Interaction]) -> list[tuple[Interaction, Vectors]]:
        """The interactions with their vectors; one that only the embedder refuses is left out."""
        try:
            vectors = await self._embedder.embed([dense_text(i) for i in interactions])
            return list(zip(interactions, vectors, strict=True))
        except (ModelUnreachable, ModelDenied):
            raise
        except ModelError as error:
            if len(interactions) > 1:
                middle = len(interactions) // 2
                return await self._embedded(interactions[:middle]) + await self._embedded(interactions[middle:])
            await self._embedder.embed([PROBE])  # raises where it is not the text
            logger.error("interaction %s stays out of the index until a reindex: %s", interactions[0].id, error)
            return []

    async def _upsert_one_by_one(self, points: Sequence[Point]) -> None:
        """One text that the embedder cannot take must not hold up everybody's memories behind it."""
        for point in points:
            try:
                await self._index.upsert([point])
            except InvalidVector as error:
                logger.error("interaction %s stays out of the index until a reindex: %s", point.id, error)
