"""How fast memory is: one user's top 10 through the port, beside the bare engine and the floor, in the same run.

``python -m evals.perf.memory_bench --points 1000,10000,100000``; prints a markdown table. Vectors are random unit
vectors made from the text, so the numbers are of the memory, not of an embedding model (``--real`` embeds for real).
"""

from __future__ import annotations

import argparse
import asyncio
import random
import resource
import sys
import tempfile
import time
import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import numpy as np

from personaagent.ledger.database import Database, sqlite_url
from personaagent.ledger.interactions import Interactions
from personaagent.ledger.outbox import Outbox
from personaagent.memory.episodic import LedgerEpisodicMemory
from personaagent.memory.index_edge import EdgeIndex
from personaagent.memory.indexer import Indexer
from personaagent.models.embedder import MiniLMEmbedder
from personaagent.ports import Embedder, Vectors, Where
from personaagent.types import Interaction

WORDS = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in ("a", "ei", "o", "u") for c in ("n", "ra", "st", "lo", "k")]
START = datetime(2024, 1, 1, tzinfo=UTC)
K = 10
CHUNK = 500


class RandomEmbedder:
    """Implements ``ports.Embedder``: the same text gives the same random unit vector, at no cost worth measuring."""

    name = "random-384"
    dim = 384

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """One unit vector a text, shape (len(texts), 384)."""
        made = [np.random.default_rng(zlib.crc32(t.encode())).standard_normal(self.dim, np.float32) for t in texts]
        vectors = np.stack(made) if made else np.empty((0, self.dim), np.float32)
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A memory on a folder, with its parts at hand."""

    database: Database
    index: EdgeIndex
    embedder: Embedder
    memory: LedgerEpisodicMemory

    async def close(self) -> None:
        """Release folder and connections."""
        await self.index.close()
        await self.database.close()


def parts(home: Path, embedder: Embedder) -> Parts:
    """The memory of a data folder, wired as the services wire it."""
    database = Database(sqlite_url(home))
    interactions, outbox = Interactions(database), Outbox(database)
    index = EdgeIndex(home / "index", embedder.name, embedder.dim)
    indexer = Indexer(outbox, interactions, index, embedder)
    return Parts(
        database=database,
        index=index,
        embedder=embedder,
        memory=LedgerEpisodicMemory(interactions, indexer, index, embedder),
    )


async def bench(points: int, queries: int, embedder: Embedder) -> str:
    """One row of the table: ``points`` memories in all, of 100 users or of one user for every 100 memories."""
    rng = random.Random(points)
    users = [f"user-{n}" for n in range(max(1, min(1_000, points // 100)))]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        made = parts(home, embedder)
        started = time.perf_counter()
        for place, user in enumerate(users):
            rows = [_interaction(rng, user, n) for n in range(place, points, len(users))]
            for start in range(0, len(rows), CHUNK):
                await made.memory.append_many(user, rows[start : start + CHUNK])
        rate = points / (time.perf_counter() - started)
        await made.close()
        size = await asyncio.to_thread(_bytes, home) / points

        made = parts(home, embedder)
        started = time.perf_counter()
        await made.memory.search(users[0], _text(rng), K)
        first = (time.perf_counter() - started) * 1000
        texts = [(rng.choice(users), _text(rng)) for _ in range(queries)]
        await _warm(made, texts)

        async def port(user: str, text: str, _vector: Vectors) -> object:
            return await made.memory.search(user, text, K)

        async def engine(user: str, text: str, vector: Vectors) -> object:
            return await made.index.search(user, vector, text, K, Where())

        floors = {user: (await embedder.embed([str(n) for n in range(points // len(users))])) for user in {users[0]}}

        async def floor(_user: str, _text: str, vector: Vectors) -> object:
            scores = floors[users[0]] @ vector
            best = np.argpartition(-scores, min(K, len(scores) - 1))[:K]
            return best[np.argsort(-scores[best])]

        cells = [await _timed(call, texts, embedder) for call in (floor, engine, port)]
        await made.close()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)
    times = " | ".join(f"{middle:.3f} / {slow:.3f}" for middle, slow in cells)
    return f"| {points:,} | {len(users)} | {times} | {first:.0f} | {rate:,.0f} | {size:,.0f} | {memory:,.0f} |"


def _bytes(home: Path) -> int:
    return sum(path.stat().st_size for path in home.rglob("*") if path.is_file())


async def _warm(made: Parts, texts: Sequence[tuple[str, str]]) -> None:
    for user, text in texts[:20]:
        await made.memory.search(user, text, K)


async def _timed(
    call: Callable[[str, str, Vectors], Awaitable[object]], texts: Sequence[tuple[str, str]], embedder: Embedder
) -> tuple[float, float]:
    """(median, 99th percentile) in milliseconds; the query's vector is at hand, as it is in a turn's cache."""
    spent = []
    for user, text in texts:
        vector = (await embedder.embed([text]))[0]
        started = time.perf_counter()
        await call(user, text, vector)
        spent.append((time.perf_counter() - started) * 1000)
    return float(np.percentile(spent, 50)), float(np.percentile(spent, 99))


def _interaction(rng: random.Random, user: str, number: int) -> Interaction:
    return Interaction(
        id=str(UUID(int=rng.getrandbits(128))),
        user_id=user,
        query=_text(rng),
        created_at=START + timedelta(minutes=number),
        ground_truth=rng.choice(WORDS),
        truth_source="imported",
        task=rng.choice(("news", "movies", "ratings")),
    )


def _text(rng: random.Random) -> str:
    return " ".join(rng.choices(WORDS, k=rng.randint(5, 25)))


async def main(points: Sequence[int], queries: int, real: bool) -> None:
    """Print the table, a row as soon as it is measured."""
    embedder: Embedder = MiniLMEmbedder() if real else RandomEmbedder()
    print(f"Top {K} of one user, p50 / p99 in ms over {queries} queries; embedder {embedder.name}.\n")
    print("| points | users | numpy floor | bare engine | through the port | first recall, ms | imported / s | B each |"
          " peak MB |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|")
    for size in points:
        print(await bench(size, queries, embedder), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", default="1000,10000,100000", help="memories in all, one row of the table each")
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--real", action="store_true", help="embed with the embedded model (100,000 take 7 minutes)")
    given = parser.parse_args()
    asyncio.run(main([int(size) for size in given.points.split(",")], given.queries, given.real))
