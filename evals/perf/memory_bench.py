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
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from personaagent.ledger.database import Database, sqlite_url
from personaagent.ledger.interactions import Interactions
from personaagent.ledger.queues import Outbox
from personaagent.memory.episodic import LedgerEpisodicMemory
from personaagent.memory.index_common import DENSE, LEXICAL, query_terms
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


class BenchIndex(EdgeIndex):
    """The index, with a way past everything of ours to the engine under it."""

    async def bare_ms(self, user_id: str, vector: Vectors, text: str, k: int) -> float:
        """Milliseconds of the engine alone, timed in its thread: one hybrid query, both signals fused by the engine."""
        import qdrant_edge as edge

        indices, values = query_terms(text)
        only = self._filter(user_id)
        legs = [
            edge.Prefetch(limit=4 * k, query=edge.Query.Nearest(vector.tolist(), DENSE), filter=only),
            edge.Prefetch(
                limit=4 * k, query=edge.Query.Nearest(edge.SparseVector(indices, values), LEXICAL), filter=only
            ),
        ]
        fusion: Any = edge.Fusion.Rrf(60)  # the package's stubs do not know it for a Fusion
        asked = edge.QueryRequest(limit=k, query=fusion, prefetches=legs, filter=only, with_payload=True)

        def query() -> float:
            started = time.perf_counter()
            self._opened().query(asked)
            return (time.perf_counter() - started) * 1000

        return await self._run(query)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A memory on a folder, with its parts at hand."""

    database: Database
    index: BenchIndex
    indexer: Indexer
    embedder: Embedder
    memory: LedgerEpisodicMemory

    async def close(self) -> None:
        """Release folder and connections."""
        await self.indexer.close()
        await self.index.close()
        await self.database.close()


def parts(home: Path, embedder: Embedder, *, wait_for_index: bool = True) -> Parts:
    """The memory of a data folder, wired as the services wire it."""
    database = Database(sqlite_url(home))
    interactions, outbox = Interactions(database), Outbox(database)
    index = BenchIndex(home / "index", embedder.name, embedder.dim)
    indexer = Indexer(outbox, interactions, index, embedder)
    return Parts(
        database=database,
        index=index,
        indexer=indexer,
        embedder=embedder,
        memory=LedgerEpisodicMemory(interactions, indexer, index, embedder, wait_for_index=wait_for_index),
    )


async def bench(points: int, users: int, queries: int, embedder: Embedder) -> str:
    """One row of the table: ``points`` memories in all, shared by so many users."""
    rng = random.Random(points)
    names = [f"user-{n}" for n in range(users)]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        made = parts(home, embedder)
        started = time.perf_counter()
        with Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
                      console=Console(stderr=True), transient=True) as progress:  # fmt: skip
            bar = progress.add_task("import", total=points)
            for place, user in enumerate(names):
                rows = [interaction(rng, user, n) for n in range(place, points, users)]
                for start in range(0, len(rows), CHUNK):
                    chunk = rows[start : start + CHUNK]
                    await made.memory.append_many(user, chunk)
                    progress.advance(bar, len(chunk))
        rate = points / (time.perf_counter() - started)
        await made.close()
        size = await asyncio.to_thread(on_disk, home) / points

        made = parts(home, embedder)
        started = time.perf_counter()
        await asyncio.gather(made.index.count(names[0]), made.memory.count(names[0]))
        opened = (time.perf_counter() - started) * 1000
        await made.close()
        made = parts(home, embedder)
        started = time.perf_counter()
        await made.memory.search(names[0], sentence(rng), K)
        first = (time.perf_counter() - started) * 1000
        spent = await _interleaved(made, names, queries, max(K, points // users), rng)
        await made.close()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)
    times = " | ".join(f"{np.percentile(column, 50):.3f} / {np.percentile(column, 99):.3f}" for column in spent)
    middle = [float(np.median(column)) for column in spent]
    return (
        f"| {points:,} | {users:,} | {times} "
        f"| {middle[3] / middle[1]:.1f} | {middle[3] / middle[2]:.1f} | {opened:.0f} | {first:.0f} "
        f"| {rate:,.0f} | {size:,.0f} | {memory:,.0f} |"
    )


async def _interleaved(
    made: Parts, names: Sequence[str], queries: int, mine: int, rng: random.Random
) -> tuple[list[float], list[float], list[float], list[float]]:
    """Milliseconds of floor, bare engine, index and port, one after the other for every query, after 20 that warm up.

    The query's vector is made anew inside the port's time, as random numbers: it stands for a cached embedding.
    """
    vectors = await RandomEmbedder().embed([str(n) for n in range(mine)])
    floor: list[float] = []
    engine: list[float] = []
    index: list[float] = []
    port: list[float] = []
    for _ in range(queries + 20):
        user, asked = rng.choice(names), sentence(rng)
        vector = (await made.embedder.embed([asked]))[0]
        started = time.perf_counter()
        scores = vectors @ vector
        best = np.argpartition(-scores, min(K, mine - 1))[:K]
        best = best[np.argsort(-scores[best])]
        floor.append((time.perf_counter() - started) * 1000)
        engine.append(await made.index.bare_ms(user, vector, asked, K))
        started = time.perf_counter()
        await made.index.search(user, vector, asked, K, Where())
        index.append((time.perf_counter() - started) * 1000)
        started = time.perf_counter()
        await made.memory.search(user, asked, K)
        port.append((time.perf_counter() - started) * 1000)
    return floor[20:], engine[20:], index[20:], port[20:]


def on_disk(home: Path) -> int:
    """Bytes of all files."""
    return sum(path.stat().st_size for path in home.rglob("*") if path.is_file())


def interaction(rng: random.Random, user: str, number: int) -> Interaction:
    """A labelled interaction of a user, ``number`` minutes after the start."""
    return Interaction(
        id=str(UUID(int=rng.getrandbits(128))),
        user_id=user,
        query=sentence(rng),
        created_at=START + timedelta(minutes=number),
        ground_truth=rng.choice(WORDS),
        truth_source="imported",
        task=rng.choice(("news", "movies", "ratings")),
    )


def sentence(rng: random.Random) -> str:
    """Five to twenty-five words without a meaning."""
    return " ".join(rng.choices(WORDS, k=rng.randint(5, 25)))


async def main(points: Sequence[int], big: int, queries: int, real: bool) -> None:
    """Print the table, a row as soon as it is measured."""
    embedder: Embedder = MiniLMEmbedder() if real else RandomEmbedder()
    print(f"Top {K} of one user, p50 / p99 in ms over {queries} queries; embedder {embedder.name}.\n")
    print("| points | users | numpy floor | bare engine | our index | through the port | port / engine | port / index |"
          " open, ms | first recall, ms | imported / s | B each | peak MB |")  # fmt: skip
    print("|" + "---|" * 13)
    for size in points:
        print(await bench(size, max(1, min(1_000, size // 100)), queries, embedder), flush=True)
    if big:
        print(await bench(big, 1, queries, embedder), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m evals.perf.memory_bench", description=__doc__)
    parser.add_argument(
        "--points",
        default="1000,10000,100000",
        help="memories in all, one row of the table each; of a user for every 100, 1,000 users at most",
    )
    parser.add_argument(
        "--one-user", type=int, default=10_000, help="memories of a row with one user alone, 0 for none"
    )
    parser.add_argument("--queries", type=int, default=300, help="searches timed in each row, after 20 that warm up")
    parser.add_argument("--real", action="store_true", help="embed with the embedded model (100,000 take 7 minutes)")
    given = parser.parse_args()
    asyncio.run(main([int(size) for size in given.points.split(",")], given.one_user, given.queries, given.real))
