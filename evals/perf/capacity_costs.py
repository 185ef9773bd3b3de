"""The unit costs under the capacity plan, measured: what a typical user weighs, and what an embedding takes.

Texts are the titles and first sentences of ``personaagent/samples/news.jsonl``; vectors of the index are random, since
their bytes do not depend on their meaning. The outbox is left out: it is empty where the index keeps up.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

import numpy as np
from sqlalchemy import text

from personaagent.errors import SetupError
from personaagent.evals.perf.memory_bench import RandomEmbedder
from personaagent.ledger.database import Database, sqlite_url
from personaagent.ledger.facts import Facts
from personaagent.ledger.interactions import Interactions
from personaagent.ledger.outbox import Outbox
from personaagent.memory.index_common import document_terms, payload_of
from personaagent.memory.index_edge import EdgeIndex
from personaagent.models.embedder import MiniLMEmbedder
from personaagent.persona.store import LedgerPersonaStore
from personaagent.ports import Point
from personaagent.samples import news
from personaagent.types import Clause, Fact, Interaction, Persona, Section

START = datetime(2025, 1, 1, tzinfo=UTC)
CLAUSES = 8  # of a persona, what docs/alignment.md shows after 60 alignments
WEIGHED = (
    "SELECT sum(pg_total_relation_size(oid)) FROM pg_class "
    "WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> 'outbox'"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a typical user has after a time."""

    interactions: int = 500
    facts: int = 30
    versions: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Bytes a user or a memory, CPU milliseconds a text; None where it was not measured."""

    text_chars: float  # of a memory: query and answer
    sqlite_b: float  # a user
    postgres_b: float | None  # a user
    edge_b: float  # a memory, further ones in a shard that has some
    payload_b: float  # a memory, as JSON
    terms: float  # a memory, of the lexical vector
    embed_ms: float  # a query, p50, one at a time
    embed_cpu_ms: float  # a query, over all cores


async def measure(profile: Profile, users: int, postgres: str | None) -> Costs:
    """All of them, with so many users; ``postgres`` is the URL of an empty database, which is left filled."""
    rows = list(news())
    mine = memories(rows, "user-0", profile.interactions)
    embed_ms, embed_cpu_ms = await _embedding([i.query for i in mine[:200]])
    points = [_point(i) for i in mine]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        sqlite_b = await _ledger(sqlite_url(home), rows, profile, users)
        edge_b = await _edge(home / "index", rows, profile, users)
    return Costs(
        text_chars=statistics.fmean(len(i.query) + len(i.response or "") for i in mine),
        sqlite_b=sqlite_b,
        postgres_b=None if postgres is None else await _ledger(postgres, rows, profile, users),
        edge_b=edge_b,
        payload_b=statistics.fmean(len(json.dumps(payload_of(p))) for p in points),
        terms=statistics.fmean(len(document_terms(p.text)[0]) for p in points),
        embed_ms=embed_ms,
        embed_cpu_ms=embed_cpu_ms,
    )


def memories(rows: Sequence[dict[str, str]], user: str, count: int) -> list[Interaction]:
    """Labelled interactions of a user, an hour apart."""
    choices = tuple(sorted({row["category"] for row in rows}))
    told = []
    for n in range(count):
        row = rows[n % len(rows)]
        told.append(
            Interaction(
                id=str(uuid5(NAMESPACE_URL, f"{user}/{n}")), user_id=user, created_at=START + timedelta(hours=n),
                query=f"{row['title']}\n{row['text']}", choices=choices, response=row["category"], task="news",
                thread_id=str(uuid5(NAMESPACE_URL, f"{user}/thread/{n // 5}")), persona_version=n // 50,
                ground_truth=row["category"], truth_source="choice", truth_confidence=1.0,
                labelled_at=START + timedelta(hours=n, minutes=1),
            )
        )  # fmt: skip
    return told


async def _ledger(url: str, rows: Sequence[dict[str, str]], profile: Profile, users: int) -> float:
    database = Database(url)
    interactions, facts, personas = Interactions(database), Facts(database), LedgerPersonaStore(database)
    try:
        if await interactions.users():
            raise SetupError("capacity is measured on an empty database: give --postgres one that holds nothing")
        before = await _weight(database)
        for n in range(users):
            mine = memories(rows, f"user-{n}", profile.interactions)
            await interactions.append_many(f"user-{n}", mine)
            await facts.put(f"user-{n}", _facts(mine, profile.facts))
            await personas.restore(f"user-{n}", _versions(mine, profile.versions), [])
        outbox = Outbox(database)
        while work := await outbox.pending(1_000):
            await outbox.done(work)
        return (await _weight(database) - before) / users
    finally:
        await database.close()


async def _weight(database: Database) -> int:
    if database.dialect == "sqlite":
        await database.scrub()

        def used() -> int:
            with sqlite3.connect(str(database.url.database)) as connection:
                pages, free, size = (
                    connection.execute(f"PRAGMA {what}").fetchone()[0]
                    for what in ("page_count", "freelist_count", "page_size")
                )
            return int((pages - free) * size)

        return await asyncio.to_thread(used)
    return int(await database.run_read(lambda connection: connection.execute(text(WEIGHED)).scalar_one()))


def _facts(mine: Sequence[Interaction], count: int) -> list[Fact]:
    return [
        Fact(
            id=str(uuid5(NAMESPACE_URL, f"{i.user_id}/fact/{n}")), user_id=i.user_id, confidence=0.8,
            text=i.query.partition("\n")[0], evidence=tuple(e.id for e in mine[n : n + 4]), valid_from=i.created_at,
        )
        for n, i in enumerate(mine[:count])
    ]  # fmt: skip


def _versions(mine: Sequence[Interaction], count: int) -> list[Persona]:
    return [
        Persona(
            user_id=mine[0].user_id, version=n, parent=n - 1 if n else None, origin="aligned" if n else "seed",
            created_at=mine[-1].created_at + timedelta(days=n), proposer="gradient", loss_before=0.5, loss_after=0.25,
            reason="6 pairs, 4 wins, 0 losses", aligned_through=mine[-1].created_at,
            sections={Section.WHO: tuple(_clause(mine, n + c) for c in range(CLAUSES))},
        )
        for n in range(count)
    ]  # fmt: skip


def _clause(mine: Sequence[Interaction], n: int) -> Clause:
    told = mine[n % len(mine)]
    return Clause(text=told.query.partition("\n")[0], evidence=tuple(i.id for i in mine[n : n + 4]))


def _point(told: Interaction) -> Point:
    return Point(
        id=told.id, user_id=told.user_id, vector=np.zeros(RandomEmbedder.dim, np.float32), text=told.query,
        created_at=told.created_at, task=told.task, thread_id=told.thread_id,
    )  # fmt: skip


async def _edge(folder: Path, rows: Sequence[dict[str, str]], profile: Profile, users: int) -> float:
    """Disk blocks a memory, of the second half of the users: what is set aside in advance counts for the first."""
    embedder = RandomEmbedder()
    index = EdgeIndex(folder, embedder.name, embedder.dim)
    sizes = []
    for half in (range(users), range(users, 2 * users)):
        for n in half:
            mine = memories(rows, f"user-{n}", profile.interactions)
            vectors = await embedder.embed([f"{n} {i.id}" for i in mine])
            await index.upsert([replace(_point(i), vector=v) for i, v in zip(mine, vectors, strict=True)])
        await index.close()
        sizes.append(await asyncio.to_thread(_blocks, folder))
    return (sizes[1] - sizes[0]) / (users * profile.interactions)


def _blocks(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


async def _embedding(texts: Sequence[str]) -> tuple[float, float]:
    embedder = MiniLMEmbedder()
    await embedder.embed(["warm up"])
    taken, distinct, cpu = [], list(dict.fromkeys(texts)), time.process_time()
    for one in distinct:
        started = time.perf_counter()
        await embedder.embed([one])
        taken.append((time.perf_counter() - started) * 1000)
    return statistics.median(taken), (time.process_time() - cpu) * 1000 / len(distinct)
