"""``python -m evals.perf.turn_overhead``: what a turn costs beside its model, by part.

The real agent graph with the real embedded embedder and a chat model that answers at once. The user has ``--mine``
memories among ``--memories``; those of the others have random unit vectors, because embedding 100,000 texts takes
minutes and their meaning plays no part in a search that is filtered by user. Times of parts are wall time, so parts
that run beside each other overlap. Indexing a turn happens after it, in the background, and is shown by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from langchain_core.messages import HumanMessage

from personaagent.context import Context
from personaagent.evals.attacks.gullible import Gullible
from personaagent.evals.perf.memory_bench import CHUNK, RandomEmbedder, interaction, sentence
from personaagent.graph.agent import build_agent
from personaagent.graph.services import Services
from personaagent.models.embedder import MiniLMEmbedder
from personaagent.ports import Vectors
from personaagent.settings import Settings

NODES = ("load_persona", "retrieve_memory", "reason", "write_memory")
ME = "user-me"


class BulkEmbedder:
    """Implements ``ports.Embedder``: MiniLM, or random vectors of the same dimension while the others are filled in."""

    name = MiniLMEmbedder.name
    dim = MiniLMEmbedder.dim

    def __init__(self) -> None:
        self.real, self.random, self.bulk = MiniLMEmbedder(), RandomEmbedder(), False

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """One unit vector a text, shape (len(texts), 384)."""
        return await (self.random if self.bulk else self.real).embed(texts)


class Clock:
    """Milliseconds spent in each part, turn by turn."""

    def __init__(self) -> None:
        self.turn: dict[str, float] = defaultdict(float)

    def timed(self, owner: Any, method: str, part: str) -> None:
        """Time a method of an object from now on."""
        setattr(owner, method, self.around(getattr(owner, method), part))

    def around(self, call: Callable[..., Awaitable[Any]], part: str) -> Callable[..., Awaitable[Any]]:
        """The same coroutine function, timed."""

        async def timed(*args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            try:
                return await call(*args, **kwargs)
            finally:
                self.turn[part] += (time.perf_counter() - started) * 1000

        return timed


async def fill(services: Services, embedder: BulkEmbedder, memories: int, mine: int, users: int) -> None:
    """Give the others their memories, then the user theirs."""
    rng = random.Random(7)
    names = [f"user-{n}" for n in range(users)]
    embedder.bulk = True
    for place, user in enumerate(names):
        rows = [interaction(rng, user, n) for n in range(place, memories - mine, users)]
        for start in range(0, len(rows), CHUNK):
            await services.episodic.append_many(user, rows[start : start + CHUNK])
        print(f"\rfilling: {(place + 1) / users:4.0%}", end="", flush=True)
    embedder.bulk = False
    rows = [interaction(rng, ME, n) for n in range(mine)]
    for start in range(0, len(rows), CHUNK):
        await services.episodic.append_many(ME, rows[start : start + CHUNK])
    print("\r", end="")


async def measure(services: Services, embedder: BulkEmbedder, turns: int) -> list[dict[str, float]]:
    """The parts of each turn after ten that warm up."""
    clock = Clock()
    clock.timed(embedder, "embed", "- embedding of the query")
    clock.timed(services.index, "search", "- index")
    clock.timed(services.interactions, "recall", "- ledger rows")
    clock.timed(services.interactions, "keep", "- ledger commit")
    clock.timed(services.indexer, "try_flush", "background: indexing the turn")
    builder = build_agent(services)
    for name in NODES:
        node: Any = builder.nodes[name].runnable
        node.afunc = clock.around(node.afunc, name)
    graph, rng = builder.compile(), random.Random(3)
    context, found = Context(user_id=ME), []
    for _ in range(turns + 10):
        clock.turn.clear()
        asked = {"messages": [HumanMessage(sentence(rng))]}
        config = {"configurable": {"thread_id": str(uuid4())}}
        started, cpu = time.perf_counter(), time.process_time()
        await graph.ainvoke(asked, config, context=context)  # type: ignore[call-overload]
        whole, used = (time.perf_counter() - started) * 1000, (time.process_time() - cpu) * 1000
        during = dict(clock.turn)
        await services.indexer.flush(ME)  # waits for the one under way: the next turn must not pay for it
        await asyncio.sleep(0.005)
        background = {key: value for key, value in clock.turn.items() if key.startswith("background")}
        nodes = sum(during.get(name, 0.0) for name in NODES)
        found.append(during | background | {"whole turn": whole, "graph machinery": whole - nodes, "CPU time": used})
    return found[10:]


def table(found: Sequence[dict[str, float]]) -> str:
    """p50 and p99 in milliseconds of every part."""
    order = [
        "load_persona", "retrieve_memory", "- embedding of the query", "- index", "- ledger rows", "reason",
        "write_memory", "- ledger commit", "graph machinery", "whole turn", "CPU time",
        "background: indexing the turn",
    ]  # fmt: skip
    lines = ["| part | p50, ms | p99, ms |", "|---|---|---|"]
    for part in order:
        spent = [turn.get(part, 0.0) for turn in found]
        lines.append(f"| {part} | {np.percentile(spent, 50):.2f} | {np.percentile(spent, 99):.2f} |")
    return "\n".join(lines)


async def main(memories: int, mine: int, users: int, turns: int) -> None:
    """Fill, measure, print."""
    embedder = BulkEmbedder()
    with tempfile.TemporaryDirectory() as home:
        services = Services(Settings(home=Path(home)), models=Gullible("tea"), embedder=embedder)
        try:
            await fill(services, embedder, memories, mine, users)
            found = await measure(services, embedder, turns)
        finally:
            await services.close()
    print(f"{turns} turns of a user with {mine:,} memories among {memories:,}; the model answers at once.\n")
    print(table(found))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m evals.perf.turn_overhead", description=__doc__)
    parser.add_argument("--memories", type=int, default=100_000, help="memories of all users together")
    parser.add_argument("--mine", type=int, default=1_000, help="memories of the user whose turns are measured")
    parser.add_argument("--users", type=int, default=200, help="other users, who share the rest of the memories")
    parser.add_argument("--turns", type=int, default=200, help="turns measured, after ten that warm up")
    given = parser.parse_args()
    asyncio.run(main(given.memories, given.mine, given.users, given.turns))
