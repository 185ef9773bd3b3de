"""What a turn costs beside the plainest LangGraph agent (``bare_agent.py``), measured in alternation.

``python -m evals.perf.beside_bare``: both answer the same users by the same model endpoint of 200 ms, first as a graph
in a process of their own, then under ``langgraph dev``; every tenth turn calls a tool. The first user has
``--memories`` memories, the others 50. CPU is of the whole process, all threads. Where other work shares the machine
CPU is what counts: times and turns a second are then only comparable within a row, and the processes take turns so
that both have the same luck. With ``--align`` users label every answer, so that alignments run in the background.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import numpy as np
import psutil  # type: ignore[import-untyped]

from personaagent.evals.perf.load_endpoint import TOOL_TURNS, running
from personaagent.evals.perf.load_server import ROOT, Server

KINDS = ("bare", "ours")
MODEL_S = 0.2
OTHERS = 50  # memories of every user but the first
DISHES = ("soup", "bread", "cheese", "rice", "beans", "cake", "fish", "salad", "eggs", "plums")
WARM_UP = 3  # turns of one user, before anything is measured


@dataclass
class Round:
    """What some turns took: seconds of CPU and on the clock, seconds of each turn, and MB of memory after them."""

    cpu_s: float = 0.0
    wall_s: float = 0.0
    turns: list[float] = field(default_factory=list)
    resident_mb: float = 0.0

    def add(self, other: Round) -> None:
        """Take in a further round of the same size."""
        self.cpu_s += other.cpu_s
        self.wall_s += other.wall_s
        self.turns += other.turns
        self.resident_mb = other.resident_mb


class Subject(Protocol):
    """One of the two, in one of the ways to run it."""

    async def run(self, users: int, turns: int) -> Round:
        """So many turns of each of so many users, who ask at the same time."""


def question(number: int) -> str:
    """What is asked; every tenth number makes the endpoint call a tool."""
    return f"turn {number}: what to drink with {random.choice(DISHES)}?"


async def _conversations(users: int, turns: int, ask: Any) -> list[float]:
    """Seconds of every turn; ``ask(user, number, thread)`` makes one."""
    found: list[float] = []

    async def one(user: int) -> None:
        thread = str(uuid4())
        for turn in range(turns):
            began = time.perf_counter()
            await ask(user, user * turns + turn, thread)
            found.append(time.perf_counter() - began)

    await asyncio.gather(*(one(user) for user in range(users)))
    return found


class Child:
    """The graph in a process of its own, which is told by lines of JSON what to run."""

    def __init__(self, kind: str, home: Path, model_url: str) -> None:
        self._command = [sys.executable, "-m", "personaagent.evals.perf.beside_bare", "--child", kind]
        self._environment = environment(home, model_url)

    async def __aenter__(self) -> Child:
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            limit=2**24,
        )
        return self

    async def run(self, users: int, turns: int) -> Round:
        """Turns in that process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{users} {turns}\n".encode())
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process ended: {' '.join(self._command)}")
        return Round(**json.loads(line))

    async def __aexit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


async def child(kind: str) -> None:
    """The other side of ``Child``."""
    from langchain_core.messages import HumanMessage

    graph: Any
    services: Any = None
    if kind == "bare":
        from personaagent.evals.perf.bare_agent import graph
    else:
        from personaagent.graph.agent import build_agent
        from personaagent.graph.services import Services

        services = Services()
        graph = build_agent(services).compile()

    async def ask(user: int, number: int, thread: str) -> None:
        given = {} if kind == "bare" else {"context": {"user_id": f"user-{user}", "align": "off"}}
        config = {"configurable": {"thread_id": thread}}
        await graph.ainvoke({"messages": [HumanMessage(question(number))]}, config, **given)

    while line := await asyncio.to_thread(sys.stdin.readline):
        users, turns = map(int, line.split())
        cpu, began = time.process_time(), time.perf_counter()
        found = await _conversations(users, turns, ask)
        wall = time.perf_counter() - began
        if services is not None:
            await services.indexer.flush()  # work behind the answers counts
        resident = psutil.Process().memory_info().rss / 1e6
        taken = Round(cpu_s=time.process_time() - cpu, wall_s=wall, turns=found, resident_mb=resident)
        print(json.dumps(vars(taken)), flush=True)
    if services is not None:
        await services.close()


class Served:
    """The graph under ``langgraph dev``."""

    def __init__(self, kind: str, folder: Path, model_url: str, align: bool) -> None:
        self._kind, self._align = kind, align and kind == "ours"
        config = {"graphs": {"agent": f"{ROOT / 'evals/perf/bare_agent.py'}:graph"}, "auth": None, "http": None}
        self._server = Server(folder, environment(folder / "home", model_url), config=config if kind == "bare" else {})

    async def __aenter__(self) -> Served:
        await self._server.start()
        return self

    async def run(self, users: int, turns: int) -> Round:
        """Turns over HTTP."""
        from personaagent.evals.perf.load import client_of

        clients = [client_of(self._server.url, f"user-{user}") for user in range(users)]

        async def ask(user: int, number: int, thread: str) -> None:
            told = {"user_id": f"user-{user}", "align": "background" if self._align else "off"}
            context: Any = {} if self._kind == "bare" else {"context": told}
            given = {"messages": [{"role": "user", "content": question(number)}]}
            runs: Any = clients[user].runs
            said = await runs.wait(thread, "agent", input=given, if_not_exists="create", **context)
            if self._align:
                label = {"interaction_id": said["interaction_id"], "ground_truth": "tea", "source": "correction"}
                labels.append(asyncio.create_task(runs.wait(None, "feedback", input=label, **context)))

        assert self._server.process is not None
        process, labels = psutil.Process(self._server.process.pid), list[Any]()
        cpu, began = sum(process.cpu_times()[:2]), time.perf_counter()
        found = await _conversations(users, turns, ask)
        wall = time.perf_counter() - began
        await asyncio.gather(*labels)
        taken = sum(process.cpu_times()[:2]) - cpu
        return Round(cpu_s=taken, wall_s=wall, turns=found, resident_mb=process.memory_info().rss / 1e6)

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop()


def environment(home: Path, model_url: str) -> dict[str, str]:
    """Of either, so that both have the same endpoint and nothing of the caller's settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PERSONAAGENT_")}
    return kept | {
        "OPENAI_BASE_URL": model_url,
        "OPENAI_API_KEY": "none",
        "PERSONAAGENT_HOME": str(home),
        "PERSONAAGENT_TURNS_PER_MINUTE": "0",
        "LANGSMITH_TRACING": "false",
        "LOG_LEVEL": "ERROR",
    }


async def fill(home: Path, users: int, memories: int) -> None:
    """Give the users their memories; random vectors, because what they mean plays no part."""
    from personaagent.evals.perf.memory_bench import interaction
    from personaagent.evals.perf.turn_overhead import BulkEmbedder
    from personaagent.graph.services import Services
    from personaagent.settings import Settings

    embedder, rng = BulkEmbedder(), random.Random(7)
    embedder.bulk = True
    services = Services(Settings(home=home), embedder=embedder)
    for user in range(users):
        name = f"user-{user}"
        rows = [interaction(rng, name, n) for n in range(OTHERS if user else memories)]
        await services.episodic.append_many(name, rows)
        await services.seeds.persona(name)
    await services.close()


async def alternate(
    subjects: dict[str, Any], sizes: Sequence[int], rounds: int, turns: int
) -> dict[tuple[str, int], Round]:
    """Rounds of every size, each subject in turn; by kind and size what they took together."""
    found: dict[tuple[str, int], Round] = {}
    for kind, subject in subjects.items():
        found[kind, 0] = await subject.run(1, WARM_UP)
    for size in sizes:
        for number in range(rounds):
            for kind in KINDS if number % 2 else KINDS[::-1]:
                taken = await subjects[kind].run(size, max(2, turns // size))
                found.setdefault((kind, size), Round()).add(taken)
    return found


def table(found: dict[tuple[str, int], Round], sizes: Sequence[int], where: str) -> str:
    """One row a size and kind, then the ratio of the two."""
    lines = [
        f"| {where}: users | | CPU ms a turn | turns a second | p50 ms | p95 ms | RSS MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for size in sizes:
        figures = {kind: _figures(found[kind, size]) for kind in KINDS}
        for kind in KINDS:
            lines.append(f"| {size} | {kind} | {' | '.join(f'{value:.1f}' for value in figures[kind])} |")
        ratios = (ours / bare for bare, ours in zip(figures["bare"], figures["ours"], strict=True))
        lines.append(f"| {size} | ratio | {' | '.join(f'{ratio:.2f}' for ratio in ratios)} |")
    return "\n".join(lines)


def _figures(taken: Round) -> tuple[float, ...]:
    turns = len(taken.turns)
    p50, p95 = (1e3 * float(np.percentile(taken.turns, share)) for share in (50, 95))
    return 1e3 * taken.cpu_s / turns, turns / taken.wall_s, p50, p95, taken.resident_mb


async def main(given: argparse.Namespace) -> None:
    """Fill, measure, print."""
    assert TOOL_TURNS == 10
    with tempfile.TemporaryDirectory() as name, running(MODEL_S, 0) as model_url:
        folder = Path(name)
        await fill(folder / "filled", max(given.users), given.memories)
        if "process" in given.where:
            shutil.copytree(folder / "filled", folder / "process")
            async with AsyncExitStack() as stack:
                subjects = {
                    kind: await stack.enter_async_context(Child(kind, folder / "process", model_url)) for kind in KINDS
                }
                found = await alternate(subjects, given.users, given.rounds, given.turns)
            print(table(found, given.users, "in process"), flush=True)
        if "server" in given.where:
            served = {}
            async with AsyncExitStack() as stack:
                for kind in KINDS:
                    shutil.copytree(folder / "filled", folder / kind / "home")
                    server = Served(kind, folder / kind, model_url, given.align)
                    served[kind] = await stack.enter_async_context(server)
                found = await alternate(served, given.users, given.rounds, given.turns)
            print(table(found, given.users, "langgraph dev" + (", aligning" if given.align else "")))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m evals.perf.beside_bare", description=__doc__)
    parser.add_argument("--users", type=int, nargs="+", default=[1, 10, 50])
    parser.add_argument("--memories", type=int, default=1_000, help="memories of the first user")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--turns", type=int, default=40, help="of all users in a round; two of each at least")
    parser.add_argument("--where", nargs="+", default=["process", "server"], choices=["process", "server"])
    parser.add_argument("--align", action="store_true", help="label every answer on the server")
    parser.add_argument("--child", choices=KINDS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    asyncio.run(child(arguments.child) if arguments.child else main(arguments))
