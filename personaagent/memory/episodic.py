"""Episodic memory: the ledger keeps what happened, the index finds it (paper, episodic memory ``D^u``)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime

from personaagent.errors import IndexUnavailable, LedgerUnavailable, ModelError, SetupError, StoreError
from personaagent.inputs import check_user_id
from personaagent.ledger.interactions import Interactions
from personaagent.memory.indexer import Indexer
from personaagent.memory.intake import storable, storable_text
from personaagent.memory.ranking import ranked
from personaagent.memory.spool import Spool, Waiting, WaitingFeedback, deliver
from personaagent.ports import Embedder, Hit, VectorIndex, Vectors, Where
from personaagent.types import Interaction, Recall, TruthSource

SPARE = 16  # results asked of the index beyond k: about as many ranks as age can cost (``ranking``)
SETTLE = 256  # work that a search carries out first; only an import under way leaves more

logger = logging.getLogger(__name__)


class LedgerEpisodicMemory:
    """Implements ``ports.EpisodicMemory``. What is written is safe in the ledger before the index hears of it.

    With a ``spool`` an interaction is kept on disk while the ledger does not answer, and goes in, in order, before
    anything else is written once it does. Without ``wait_for_index`` an append returns when the ledger has it, and the
    index is brought up in the background; a search finds it all the same, because it settles what waits first.

    What an earlier process left is caught up with at the first use. ``landed`` is told the user of every piece of
    feedback that waited in the spool and has given an interaction its ground truth, at least once.
    """

    def __init__(
        self,
        interactions: Interactions,
        indexer: Indexer,
        index: VectorIndex,
        embedder: Embedder,
        *,
        half_life_days: float = 180.0,
        spool: Spool | None = None,
        wait_for_index: bool = True,
        landed: Callable[[str], Awaitable[object]] | None = None,
    ) -> None:
        self._interactions = interactions
        self._indexer = indexer
        self._index = index
        self._embedder = embedder
        self._half_life_days = half_life_days
        self._spool = spool
        self._wait_for_index = wait_for_index
        self._landed = landed
        self._spooled = spool is not None  # an earlier process may have left some
        self._caught_up = False

    async def append(self, user_id: str, interaction: Interaction) -> Interaction:
        """Store an interaction once, secrets masked; the same id again changes nothing. Returns it as stored."""
        check_user_id(user_id)
        kept = (await _storable(user_id, [interaction]))[0]
        try:
            await self._begin()
            stored, _ = await self._interactions.append(kept)
        except LedgerUnavailable:
            if self._spool is None:
                raise
            await self._spool.add(kept)
            self._spooled = True
            return kept
        if self._wait_for_index:
            await self._indexer.try_flush(user_id)
        else:
            self._indexer.flush_soon(user_id)
        return stored

    async def append_many(self, user_id: str, interactions: Sequence[Interaction]) -> int:
        """Store many in one transaction; returns how many were new."""
        check_user_id(user_id)
        await self._begin()
        new = await self._interactions.append_many(user_id, await _storable(user_id, interactions))
        await self._indexer.try_flush(user_id)
        return new

    async def catch_up(self) -> None:
        """Bring what an earlier process left in spool and outbox where it belongs; the index follows in the background.

        The first use of this memory does it by itself. While the ledger is down nothing happens; the next use tries.
        """
        try:
            await self._begin()
        except StoreError as error:
            logger.warning("what an earlier process left waits on: %s", error)

    async def drain_spool(self) -> int:
        """Bring what waits for the ledger, of any process, into it; returns how many pieces."""
        if self._spool is None:
            return 0
        self._spooled = False  # before: what is added meanwhile asks for a drain of its own
        try:
            return await self._spool.drain(self._deliver)
        except BaseException:
            self._spooled = True
            raise

    async def _begin(self) -> None:
        if self._spooled:
            await self.drain_spool()
        if not self._caught_up:
            waiting = await self._indexer.depth()
            self._caught_up = True
            if waiting:
                self._indexer.catch_up_soon()

    async def _deliver(self, waiting: Waiting) -> None:
        if await deliver(self._interactions, waiting) and self._landed is not None:
            await self._landed(waiting.user_id)

    async def get(self, user_id: str, interaction_id: str) -> Interaction:
        """The interaction; raises UnknownInteraction."""
        check_user_id(user_id)
        await self.catch_up()
        return await self._interactions.get(user_id, interaction_id)

    async def search(self, user_id: str, query: str, k: int, where: Where = Where()) -> list[Recall]:
        """The k memories that fit the query best, best first, near-duplicates in one place (``ranking``).

        What was appended before is found. Nothing fits an empty query. Raises IndexUnavailable (and what the index
        itself raises) when index or embedder do not answer, LedgerUnavailable when the ledger does not.
        """
        check_user_id(user_id)
        text = query.strip()
        if k < 1 or not text:
            return []
        await self.catch_up()
        vector, fetch = await self._vector(text), k + SPARE
        with self._indexer.watching(user_id) as watched:
            hits = await self._index.search(user_id, vector, text, fetch, where)
            # what waits is asked last, in the trip that reads the rows: what was flushed meanwhile was watched
            rows, waiting = await self._interactions.recall(user_id, [hit.id for hit in hits])
        if waiting:
            await self._settle(user_id)
        stale = waiting or watched.changed
        while True:
            if stale:
                hits = await self._index.search(user_id, vector, text, fetch, where)
                rows = await self._interactions.get_many(user_id, [hit.id for hit in hits])
            best = ranked(_checked(user_id, hits, rows, where), k, self._half_life_days)
            if len(best) == k or len(hits) < fetch:
                return best
            fetch, stale = fetch * 4, True  # filters and near-duplicates took too many

    async def newest(self, user_id: str, limit: int, where: Where = Where()) -> list[Interaction]:
        """The newest ``limit`` interactions, oldest first."""
        check_user_id(user_id)
        await self.catch_up()
        return await self._interactions.newest(user_id, limit, where)

    async def label(
        self,
        user_id: str,
        interaction_id: str,
        ground_truth: str,
        source: TruthSource,
        *,
        confidence: float = 1.0,
    ) -> Interaction:
        """Set what the user really wanted. Explicit truth replaces implicit, never the reverse.

        Raises UnknownInteraction, InvalidLabel; LedgerUnavailable, whose message says whether the label is kept.
        """
        check_user_id(user_id)
        truth = await asyncio.to_thread(storable_text, ground_truth)
        given = WaitingFeedback(
            user_id=user_id,
            interaction_id=interaction_id,
            given_at=datetime.now(UTC),
            ground_truth=truth,
            source=source,
            confidence=confidence,
        )
        try:
            await self._begin()
            labelled = await self._interactions.label(user_id, interaction_id, truth, source, confidence)
        except LedgerUnavailable as error:
            raise await self._kept(given, error) from error
        await self._indexer.try_flush(user_id)
        return labelled

    async def rate(self, user_id: str, interaction_id: str, rating: int) -> Interaction:
        """Set what the user thought of the response, 1 to 5; from 4 up the response becomes the ground truth."""
        check_user_id(user_id)
        now = datetime.now(UTC)
        given = WaitingFeedback(user_id=user_id, interaction_id=interaction_id, given_at=now, rating=rating)
        try:
            await self._begin()
            rated = await self._interactions.rate(user_id, interaction_id, rating)
        except LedgerUnavailable as error:
            raise await self._kept(given, error) from error
        await self._indexer.try_flush(user_id)
        return rated

    async def _kept(self, given: WaitingFeedback, error: LedgerUnavailable) -> LedgerUnavailable:
        """Keep feedback on disk while the ledger is down; returns what the caller is to be told."""
        if self._spool is None:
            return error
        await self._spool.add(given)
        self._spooled = True
        return LedgerUnavailable(f"the feedback is kept and goes in once the ledger answers ({error})")

    async def count(self, user_id: str, where: Where = Where()) -> int:
        """How many interactions the user has."""
        check_user_id(user_id)
        await self.catch_up()
        return await self._interactions.count(user_id, where)

    async def _vector(self, text: str) -> Vectors:
        try:
            vectors = await self._embedder.embed([text])
        except (ModelError, SetupError) as error:
            raise IndexUnavailable(f"the query cannot be embedded: {error}") from error
        vector: Vectors = vectors[0]
        return vector

    async def _settle(self, user_id: str) -> None:
        try:
            await self._indexer.flush(user_id, limit=SETTLE)
        except (ModelError, SetupError) as error:
            raise IndexUnavailable(f"new memories cannot be embedded: {error}") from error


def _checked(user_id: str, hits: Sequence[Hit], rows: Mapping[str, Interaction], where: Where) -> list[Recall]:
    """The interactions behind the hits, as the ledger has them now; the index is never taken at its word."""
    return [
        Recall(interaction=rows[hit.id], score=hit.score)
        for hit in hits
        if hit.id in rows and rows[hit.id].user_id == user_id and matches(rows[hit.id], where)
    ]


def matches(interaction: Interaction, where: Where) -> bool:
    """Whether an interaction is among those that ``where`` leaves."""
    return (
        (where.before is None or interaction.created_at < where.before)
        and (where.since is None or interaction.created_at >= where.since)
        and (where.task is None or interaction.task == where.task)
        and (where.thread_id is None or interaction.thread_id == where.thread_id)
        and (where.labelled is None or (interaction.ground_truth is not None) == where.labelled)
        and interaction.id not in where.exclude
    )


async def _storable(user_id: str, interactions: Sequence[Interaction]) -> list[Interaction]:
    if any(interaction.user_id != user_id for interaction in interactions):
        raise ValueError("an interaction of another user was given")
    return await asyncio.to_thread(lambda: [storable(interaction) for interaction in interactions])
