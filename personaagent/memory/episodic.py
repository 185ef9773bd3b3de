"""Episodic memory: the ledger keeps what happened, the index finds it (paper, episodic memory ``D^u``)."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime

from personaagent.errors import (
    FeedbackWaits,
    HomeInUse,
    IndexUnavailable,
    LedgerUnavailable,
    ModelError,
    SetupError,
    StoreError,
)
from personaagent.inputs import Feedback, check_user_id
from personaagent.ledger.interactions import Interactions
from personaagent.masking import deep, storable, storable_feedback
from personaagent.memory.indexer import Indexer
from personaagent.memory.ranking import by_words, ranked
from personaagent.memory.spool import Spool, Waiting, WaitingFeedback, deliver
from personaagent.ports import Embedder, Hit, VectorIndex, Vectors, Where
from personaagent.types import Interaction, Kept, Path, Recall, is_statement

SPARE = 16  # results asked of the index beyond k: about as many ranks as age can cost (``ranking``)
BY_WORDS = 2_000  # newest interactions that are compared by words where the index cannot be had
INLINE_CHARS = 1_000  # that are masked at once, within half a millisecond
SETTLE = 64  # work that a search carries out first; only an import under way leaves more

logger = logging.getLogger(__name__)


class LedgerEpisodicMemory:
    """Implements ``ports.EpisodicMemory``. What is written is safe in the ledger before the index hears of it.

    With a ``spool`` an interaction is kept on disk while the ledger does not answer, and goes in, in order, before
    anything else is written once it does. Without ``wait_for_index`` an append returns when the ledger has it, and the
    index is brought up in the background; a search finds it all the same, because it settles what waits first.

    What an earlier process left is caught up with at the first use. ``landed`` is told the user of every piece of
    feedback that waited in the spool and has given an interaction a ground truth or a comment, at least once.
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
        self._lost = Counter[str]()  # pieces of feedback of each user that had no place, and were not told yet

    async def append(self, user_id: str, interaction: Interaction) -> Interaction:
        """Store an interaction once, secrets masked; the same id again changes nothing. Returns it as stored."""
        return (await self.keep(user_id, interaction)).turn

    async def keep(
        self,
        user_id: str,
        turn: Interaction,
        again: Callable[[Interaction], bool] = lambda _: False,
        path: Path | None = None,
    ) -> Kept:
        """Store a turn like ``append``, unless one of its thread's newest is this one ``again``."""
        check_user_id(user_id)
        masked = (await _storable(user_id, [turn]))[0]
        try:
            await self._begin()
            kept = await self._interactions.keep(masked, again, path)
            kept = replace(kept, lost=self._lost.pop(user_id, 0))
        except LedgerUnavailable:
            if self._spool is None:
                raise
            await self._spool.add(masked)
            self._spooled = True
            return Kept(turn=masked, new=True)
        if self._wait_for_index:
            await self._indexer.try_flush(user_id)
        else:
            self._indexer.flush_soon(user_id)
        return kept

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

    async def _deliver(self, waiting: Waiting) -> bool | None:
        placed = await deliver(self._interactions, waiting)
        if placed is None:
            self._lost[waiting.user_id] += 1
        if placed and self._landed is not None:
            await self._landed(waiting.user_id)
        return placed

    async def get(self, user_id: str, interaction_id: str) -> Interaction:
        """The interaction; raises UnknownInteraction."""
        check_user_id(user_id)
        await self.catch_up()
        return await self._interactions.get(user_id, interaction_id)

    async def search(self, user_id: str, query: str, k: int, where: Where = Where()) -> list[Recall]:
        """The k memories that fit the query best, best first, near-duplicates in one place (``ranking``).

        What was appended before is found. Nothing fits an empty query. Where another process does not give the index
        away, words are compared, of the newest ``BY_WORDS`` in the ledger. Raises IndexUnavailable (and what the index
        itself raises) when index or embedder do not answer, LedgerUnavailable when the ledger does not.
        """
        check_user_id(user_id)
        text = query.strip()
        if k < 1 or not text:
            return []
        await self.catch_up()
        try:
            return await self._search(user_id, text, k, where)
        except HomeInUse as error:
            logger.warning("memory is searched by words alone: %s", error)
            past = await self._interactions.newest(user_id, BY_WORDS, where)
            return ranked([r for r in by_words(text, past) if not is_statement(r.interaction)], k, self._half_life_days)

    async def _search(self, user_id: str, text: str, k: int, where: Where) -> list[Recall]:
        vector, fetch = await self._vector(text), k + SPARE
        await self._indexer.under_way(user_id)  # else it would be looked for twice
        with self._indexer.watching(user_id) as watched:
            hits = await self._index.search(user_id, vector, text, fetch, where)
            # what waits is asked last, in the trip that reads the rows: what was flushed meanwhile was watched
            rows, waiting = await self._interactions.recall(user_id, [hit.id for hit in hits])
        if waiting and await self._indexer.depth(user_id) > SETTLE:
            return await self._during_an_import(user_id, text, hits, rows, k, where)
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

    async def _during_an_import(
        self, user_id: str, text: str, hits: Sequence[Hit], rows: Mapping[str, Interaction], k: int, where: Where
    ) -> list[Recall]:
        """What the index has by now, and before it what shares words with the query in the newest of the ledger."""
        best = ranked(_checked(user_id, hits, rows, where), k, self._half_life_days)
        past = await self._interactions.newest(user_id, BY_WORDS, where)
        fresh = [i for i in past if i.id not in rows and not is_statement(i)]
        told = ranked(by_words(text, fresh), max(1, k // 2), self._half_life_days)
        return [*told, *best][:k]

    async def newest(self, user_id: str, limit: int, where: Where = Where()) -> list[Interaction]:
        """The newest ``limit`` interactions, oldest first."""
        check_user_id(user_id)
        await self.catch_up()
        return await self._interactions.newest(user_id, limit, where)

    async def feedback(self, user_id: str, interaction_id: str, given: Feedback) -> Interaction:
        """Take in what the user says of an answer, secrets masked. Explicit truth replaces implicit, never the reverse.

        Raises UnknownInteraction, InvalidLabel; LedgerUnavailable, and of it FeedbackWaits where the feedback is kept.
        """
        check_user_id(user_id)
        given = await asyncio.to_thread(storable_feedback, given)
        waiting = WaitingFeedback(
            user_id=user_id, interaction_id=interaction_id, given_at=datetime.now(UTC), **asdict(given)
        )
        try:
            await self._begin()
            stored = await self._interactions.feedback(user_id, interaction_id, given)
        except LedgerUnavailable as error:
            raise await self._kept(waiting, error) from error
        await self._indexer.try_flush(user_id)
        return stored

    async def _kept(self, given: WaitingFeedback, error: LedgerUnavailable) -> LedgerUnavailable:
        """Keep feedback on disk while the ledger is down; returns what the caller is to be told."""
        if self._spool is None:
            return error
        await self._spool.add(given)
        self._spooled = True
        logger.warning("feedback waits on disk: %s", error)
        return FeedbackWaits(
            "memory does not answer now: the feedback is kept and goes in once it does, to an answer that is there"
        )

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
        Recall(interaction=rows[hit.id], score=hit.score, similarity=hit.dense)
        for hit in hits
        if hit.id in rows
        and rows[hit.id].user_id == user_id
        and matches(rows[hit.id], where)
        and not is_statement(rows[hit.id])
    ]


def matches(interaction: Interaction, where: Where) -> bool:
    """Whether an interaction is among those that ``where`` leaves."""
    same = (
        (where.task, interaction.task),
        (where.thread_id, interaction.thread_id),
        (where.labelled, interaction.ground_truth is not None),
        (where.abandoned, interaction.abandoned),
    )
    return (
        (where.before is None or interaction.created_at < where.before)
        and (where.since is None or interaction.created_at >= where.since)
        and interaction.id not in where.exclude
        and all(wanted in (None, has) for wanted, has in same)
    )


async def _storable(user_id: str, interactions: Sequence[Interaction]) -> list[Interaction]:
    if any(interaction.user_id != user_id for interaction in interactions):
        raise ValueError("an interaction of another user was given")
    if len(interactions) == 1 and _is_short(interactions[0]):
        return [storable(interactions[0])]  # a trip to a thread costs more
    return await asyncio.to_thread(lambda: [storable(interaction) for interaction in interactions])


def _is_short(interaction: Interaction) -> bool:
    if deep(interaction.metadata):
        return False
    texts = interaction.query, interaction.response or "", *interaction.choices, str(interaction.metadata)
    return not interaction.tools and sum(map(len, texts)) <= INLINE_CHARS
