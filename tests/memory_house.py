"""A whole memory on a folder, with an index that can be made to fail: what the memory tests stand on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from ledger_house import with_ledger
from personaagent.errors import IndexUnavailable, LedgerUnavailable, PersonaAgentError
from personaagent.inputs import Feedback
from personaagent.ledger.database import Database, Meta, sqlite_url
from personaagent.ledger.facts import Facts
from personaagent.ledger.interactions import Interactions
from personaagent.ledger.queues import Outbox
from personaagent.memory.episodic import LedgerEpisodicMemory
from personaagent.memory.forgetting import Forgetter
from personaagent.memory.index_edge import EdgeIndex
from personaagent.memory.indexer import Indexer
from personaagent.memory.semantic import LedgerSemanticMemory
from personaagent.memory.spool import Spool
from personaagent.persona.store import LedgerPersonaStore
from personaagent.ports import Hit, Point, Vectors, Where
from personaagent.types import Interaction, TruthSource
from scripted import HashEmbedder

START = datetime(2026, 1, 1, tzinfo=UTC)


def label_of(truth: str, source: TruthSource = "correction", confidence: float = 1.0) -> Feedback:
    """A ground truth as feedback."""
    return Feedback(ground_truth=truth, source=source, confidence=confidence)


def uid(number: int) -> str:
    return str(uuid5(NAMESPACE_URL, str(number)))


def episode(number: int, user: str = "ann", **changes: Any) -> Interaction:
    """Interaction ``number`` of a user, ``number`` days after the start."""
    values: dict[str, Any] = {
        "id": uid(number),
        "user_id": user,
        "query": f"question {_spelled(number)}",
        "response": f"the answer of the agent to {number}",
        "created_at": START + timedelta(days=number),
        **changes,
    }
    return Interaction(**values)


async def happened(database: Database, *ids: str, user: str = "ann") -> None:
    """Let the user have interactions with these ids."""
    await Interactions(database).append_many(user, [episode(n, user, id=key) for n, key in enumerate(ids)])


def _spelled(number: int) -> str:
    return "".join(chr(ord("a") + int(digit)) * 3 for digit in str(abs(number)))


class FailingIndex:
    """Passes everything on to a real index, until it is told to fail."""

    def __init__(self, inner: EdgeIndex) -> None:
        self.inner = inner
        self.error: Exception | None = None
        self.written: list[str] = []  # ids, as they were written
        self.refused = 0

    def _check(self) -> None:
        if self.error is not None:
            self.refused += 1
            raise self.error

    async def upsert(self, points: Sequence[Point]) -> None:
        self._check()
        await self.inner.upsert(points)
        self.written += [point.id for point in points]

    async def search(self, user_id: str, vector: Vectors, text: str, k: int, where: Where) -> list[Hit]:
        self._check()
        return await self.inner.search(user_id, vector, text, k, where)

    async def delete(self, user_id: str, ids: Sequence[str]) -> None:
        self._check()
        await self.inner.delete(user_id, ids)

    async def delete_user(self, user_id: str) -> None:
        self._check()
        await self.inner.delete_user(user_id)

    async def count(self, user_id: str | None = None) -> int:
        return await self.inner.count(user_id)

    async def wipe(self) -> None:
        await self.inner.wipe()

    async def close(self) -> None:
        await self.inner.close()


class House:
    """The parts, and a switch for each store that can be down."""

    def __init__(self, home: Path, ledger: str | None = None) -> None:
        self.home = home
        self.database = Database(ledger or sqlite_url(with_ledger(home)))
        self.interactions = Interactions(self.database)
        self.outbox = Outbox(self.database)
        self.facts = Facts(self.database)
        self.meta = Meta(self.database)
        self.personas = LedgerPersonaStore(self.database)
        self.embedder = HashEmbedder()
        self.index = FailingIndex(EdgeIndex(home / "index", self.embedder.name, self.embedder.dim))
        self.indexer = Indexer(self.outbox, self.interactions, self.index, self.embedder, backoff_s=[0.01])
        self.spool = Spool(home / "spool")
        self.episodic = LedgerEpisodicMemory(
            self.interactions, self.indexer, self.index, self.embedder, half_life_days=180, spool=self.spool
        )
        self.semantic = LedgerSemanticMemory(self.facts, self.embedder, token_budget=100)
        self.forgetter = Forgetter(
            self.database, self.indexer, drain_spool=self.episodic.drain_spool, search=self.episodic.search
        )

    def index_down(self, error: PersonaAgentError | None = None) -> None:
        self.index.error = error or IndexUnavailable("the index is down")

    def index_up(self) -> None:
        self.index.error = None

    def ledger_down(self) -> None:
        async def fail(*args: Any, **kwargs: Any) -> Any:
            raise LedgerUnavailable("the ledger is down")

        self.interactions.append = fail  # type: ignore[method-assign]
        self.interactions.keep = fail  # type: ignore[method-assign]
        self.interactions.feedback = fail  # type: ignore[method-assign]

    def ledger_up(self) -> None:
        for name in ("append", "keep", "feedback"):
            delattr(self.interactions, name)

    async def found(self, user: str, query: str, k: int = 50, where: Where = Where()) -> list[str]:
        return [recall.interaction.id for recall in await self.episodic.search(user, query, k, where)]

    async def close(self) -> None:
        await self.indexer.close()
        await self.index.close()
        await self.database.close()


def ledger_of(database: Database) -> str | None:
    """The URL to open a house with: of a Postgres that a fixture has emptied; None for SQLite in the house's folder."""
    return None if database.dialect == "sqlite" else database.url.render_as_string(hide_password=False)


@asynccontextmanager
async def opened(home: Path, ledger: str | None = None) -> AsyncIterator[House]:
    """A house in a folder, its ledger there or at a URL."""
    house = House(home, ledger)
    try:
        yield house
    finally:
        await house.close()
