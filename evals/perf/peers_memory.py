"""Add, search and delete: our port, mem0's store API and LangGraph's store (what langmem stands on), in one run.

mem0 and langmem are no dependency of this project. Make an environment that has them and can see this one's packages:
``python -m venv P && P/bin/pip install mem0ai langmem``, write the path of this environment's site-packages into
``P/lib/python3.11/site-packages/house.pth``, then ``P/bin/python -m evals.perf.peers_memory``.
Every text is embedded once, before anything is timed, and all systems read it from that cache: what is timed is the
memory, not the model. One embedding is timed apart; add it to every add and search for the time with it. After the
deletes the bytes of all files are searched for the deleted texts.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import random
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np

from personaagent.evals.perf.memory_bench import on_disk, parts
from personaagent.memory.forgetting import Forgetter, Selection
from personaagent.models.embedder import MiniLMEmbedder
from personaagent.ports import Vectors
from personaagent.samples import news
from personaagent.types import Interaction

START = datetime(2025, 1, 1, tzinfo=UTC)
K = 10
Rows = Sequence[tuple[str, str]]  # (user, text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """Seconds of each call; bytes on disk before the deletes, and how many deleted texts are in the files after."""

    added: list[float]
    found: list[float]
    deleted: list[float]
    size: int
    left: int | None = None  # None: there are no files


class Cached:
    """Implements ``ports.Embedder`` from vectors that were made before, and the embedders of the peers."""

    def __init__(self, name: str, vectors: dict[str, Vectors]) -> None:
        self.name, self.dim, self.vectors = name, len(next(iter(vectors.values()))), vectors

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """One unit vector a text."""
        return np.stack([self.vectors[text] for text in texts])

    def many(self, texts: Sequence[str]) -> list[list[float]]:
        """The same as lists, as the peers want them."""
        return [self.vectors[text].tolist() for text in texts]


class Mem0Embedder:
    """What mem0 asks of an embedding model."""

    def __init__(self, cached: Cached) -> None:
        self.cached = cached
        self.config = type("Config", (), {"embedding_dims": cached.dim})()

    def embed(self, text: str, memory_action: str | None = None) -> list[float]:  # noqa: ARG002
        """One vector."""
        return self.cached.many([text])[0]

    def embed_batch(self, texts: Sequence[str], memory_action: str | None = None) -> list[list[float]]:  # noqa: ARG002
        """One vector a text."""
        return self.cached.many(texts)


async def timed(calls: Sequence[Callable[[], Awaitable[Any]]]) -> list[float]:
    """The seconds that each call took, one after another."""
    seconds = []
    for call in calls:
        started = time.perf_counter()
        await call()
        seconds.append(time.perf_counter() - started)
    return seconds


async def ours(cached: Cached, rows: Rows, asked: Rows, gone: Sequence[int], folder: Path, *, wait: bool) -> Timed:
    """Through the port: on the disk (fsynced ledger) when an add returns, found by the next search."""
    house = parts(folder, cached, wait_for_index=wait)
    forgetter = Forgetter(house.database, house.indexer)
    episodes = [
        Interaction(id=str(UUID(int=n + 1)), user_id=user, query=text, created_at=START + timedelta(seconds=n))
        for n, (user, text) in enumerate(rows)
    ]
    await house.memory.append(
        "warm", Interaction(id=str(UUID(int=0)), user_id="warm", query=rows[0][1], created_at=START)
    )
    added = await timed([lambda e=e: house.memory.append(e.user_id, e) for e in episodes])  # type: ignore[misc]
    await house.memory.search("warm", asked[0][1], K)
    found = await timed([lambda u=u, t=t: house.memory.search(u, t, K) for u, t in asked])  # type: ignore[misc]
    size = on_disk(folder)
    picked = [(episodes[n].user_id, Selection(ids=(episodes[n].id,))) for n in gone]
    deleted = await timed([lambda u=u, p=p: forgetter.forget(u, p) for u, p in picked])  # type: ignore[misc]
    await house.close()
    return Timed(added=added, found=found, deleted=deleted, size=size, left=left(folder, rows, gone))


async def mem0(cached: Cached, rows: Rows, asked: Rows, gone: Sequence[int], folder: Path) -> Timed:
    """mem0's own API without inference, on the Qdrant store in a folder that it has by default."""
    os.environ |= {"MEM0_TELEMETRY": "False", "OPENAI_API_KEY": "any", "MEM0_DIR": str(folder / "home")}
    from mem0 import Memory
    from mem0.configs.base import MemoryConfig

    store = {"path": str(folder / "qdrant"), "embedding_model_dims": cached.dim, "on_disk": True}
    memory = Memory(
        MemoryConfig(vector_store={"provider": "qdrant", "config": store}, history_db_path=str(folder / "history.db"))
    )
    memory.embedding_model = Mem0Embedder(cached)

    ids: list[str] = []

    async def add(user: str, text: str) -> None:
        ids.append(memory.add(text, user_id=user, infer=False)["results"][0]["id"])

    async def search(user: str, text: str) -> None:
        memory.search(text, filters={"user_id": user}, top_k=K, threshold=0.0)

    async def delete(n: int) -> None:
        memory.delete(ids[n])

    added = await timed([lambda u=u, t=t: add(u, t) for u, t in rows])  # type: ignore[misc]
    found = await timed([lambda u=u, t=t: search(u, t) for u, t in asked])  # type: ignore[misc]
    size = on_disk(folder)
    deleted = await timed([lambda n=n: delete(n) for n in gone])  # type: ignore[misc]
    return Timed(added=added, found=found, deleted=deleted, size=size, left=left(folder, rows, gone))


async def langgraph_store(
    cached: Cached,
    rows: Rows,
    asked: Rows,
    gone: Sequence[int],
    folder: Path,  # noqa: ARG001
) -> Timed:
    """LangGraph's store in memory with an index, in a namespace a user, as langmem's documentation has it."""
    from langgraph.store.memory import InMemoryStore

    store = InMemoryStore(index={"dims": cached.dim, "embed": cached.many, "fields": ["text"]})

    def put(n: int, user: str, text: str) -> Awaitable[None]:
        return store.aput(("memories", user), str(n), {"text": text})

    added = await timed([lambda n=n, u=u, t=t: put(n, u, t) for n, (u, t) in enumerate(rows)])  # type: ignore[misc]
    found = await timed(
        [lambda u=u, t=t: store.asearch(("memories", u), query=t, limit=K) for u, t in asked]  # type: ignore[misc]
    )
    picked = [(("memories", rows[n][0]), str(n)) for n in gone]
    deleted = await timed([lambda w=w, k=k: store.adelete(w, k) for w, k in picked])  # type: ignore[misc]
    return Timed(added=added, found=found, deleted=deleted, size=0)


def left(folder: Path, rows: Rows, gone: Sequence[int]) -> int:
    """How many of the deleted texts are in some file."""
    files = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    return sum(any(rows[n][1].encode() in data for data in files) for n in gone)


def told(seconds: Sequence[float]) -> str:
    """p50 / p99 in milliseconds."""
    middle, high = np.percentile(seconds, [50, 99]) * 1000
    return f"{middle:.2f} / {high:.2f}"


async def main(interactions: int, users: int, searches: int, deletes: int, seed: int) -> None:
    """Print the table."""
    rng = random.Random(seed)
    texts = [article["title"] for article in news()]
    rows = [(f"user-{n % users}", f"{texts[n % len(texts)]} ({n})") for n in range(interactions)]
    asked = [(f"user-{rng.randrange(users)}", rng.choice(texts)) for _ in range(searches)]
    gone = rng.sample(range(interactions), deletes)
    model, wanted = MiniLMEmbedder(), list(dict.fromkeys(text for _, text in [*rows, *asked]))
    await model.embed(["warm"])
    vectors: dict[str, Vectors] = {}
    embedding = []
    for text in wanted:
        started = time.perf_counter()
        vectors[text] = (await model.embed([text]))[0]
        embedding.append(time.perf_counter() - started)
    print(f"{interactions:,} interactions, {users} users, {searches} searches, {deletes} deletes, seed {seed}")
    print(f"one embedding, to be added to each add and search: {told(embedding)}; all times are p50 / p99 in ms\n")
    print("| system | add | search | delete | deleted texts still on disk | MB on disk |\n|" + "---|" * 6)
    systems: dict[str, Callable[..., Awaitable[Timed]]] = {
        "PersonaAgent": partial(ours, wait=False),
        "PersonaAgent, an add waits for the index": partial(ours, wait=True),
        "mem0": mem0,
        "LangGraph InMemoryStore": langgraph_store,
    }
    for name, system in systems.items():
        with tempfile.TemporaryDirectory() as folder:
            gc.collect()
            seen = await system(Cached(model.name, vectors), rows, asked, gone, Path(folder))
        kept = "no disk" if seen.left is None else f"{seen.left} of {deletes}"
        times = f"{told(seen.added)} | {told(seen.found)} | {told(seen.deleted)}"
        print(f"| {name} | {times} | {kept} | {seen.size / 1e6:.1f} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--interactions", type=int, default=2_000)
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("--searches", type=int, default=300)
    parser.add_argument("--deletes", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    asyncio.run(main(given.interactions, given.users, given.searches, given.deletes, given.seed))
