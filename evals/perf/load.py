"""Many users at once on a real server process: turns, feedback and background alignments, with and without faults.

``python -m evals.perf.load --users 50 --minutes 10 [--faults] [--noisy]``. The model endpoint takes 200 ms a call. With
``--faults`` it also fails one call in ten, the vector index (a stand-in for a Qdrant server) is stopped twice and
started again, and the server is killed twice and restarted. Afterwards a checker proves over the ledger that every
acknowledged interaction and label is there exactly once and that nothing crossed users. Exits non-zero with what was
found. With ``--noisy`` one more user wants everything in the second half (``load_user.Noisy``): the 95th percentile of
the others' turns may be 1.5 times that of the first half. All traffic stays on this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from langgraph_sdk.client import LangGraphClient

from personaagent.evals.perf.load_endpoint import running
from personaagent.evals.perf.load_qdrant import Qdrant
from personaagent.evals.perf.load_report import MB_A_MINUTE, check, growth, percentile, told
from personaagent.evals.perf.load_server import Server
from personaagent.evals.perf.load_user import DRINKS, Noisy, Tally, User
from personaagent.settings import Settings

MODEL_S = 0.2
FAIL_EVERY = 10
OUTAGE_S = 8.0
SETTLE_S = 120.0  # how long background work and the index may take after the last turn
KEEP_ALIVE_S = 2.0
RETRIES = 12  # of a client, while the server is away
MOST_NOISE = 1.5  # times the 95th percentile of the others' turns without the noisy user
RESTART_GROWTH_MIN_S = 240.0  # below it a process is still warming up, and its growth says nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is run."""

    users: int
    seconds: float
    think_s: float
    faults: bool
    seed: int
    strict_memory: bool
    noisy: bool = False


async def run(plan: Plan, folder: Path) -> int:
    """Run the plan in that folder; prints the report and returns the exit code."""
    with running(MODEL_S, FAIL_EVERY if plan.faults else 0) as model_url:
        qdrant = Qdrant()
        await qdrant.start()
        environment = _environment(model_url) | ({"QDRANT_URL": qdrant.url} if plan.faults else {})
        server, tally = Server(folder, environment), Tally()
        users = _users(plan)
        async with _started(server):
            began = time.perf_counter()
            seconds = await _load(plan, server, qdrant, users, tally)
            waiting = await _settled(server)
            async with httpx.AsyncClient() as client:
                stats: dict[str, int] = (await client.get(f"{model_url}/stats")).json()
            code = await server.stop()
        settings = Settings(home=server.home, qdrant_url=qdrant.url if plan.faults else None)
        found = await check(settings, users)
        await qdrant.stop()
    print(told(tally, server, stats, found, seconds))
    print(f"left waiting: {waiting or 'nothing'}; processes {server.starts}; exit code at SIGTERM {code}")
    noise = _noise(tally, began, plan) if plan.noisy else 0.0
    verdict: dict[str, object] = {
        "leaks": tally.leaks or stats.get("crossed"),
        "broken promises": found.broken,
        "work left waiting": waiting,
        f"exit code {code}": code not in (0, -signal.SIGTERM),  # uvicorn passes the signal on at its end
        "requests given up": sum(count for name, count in tally.counts.items() if name.endswith("given up")),
        "errors": tally.failures and not plan.faults,
        f"the others waited {noise:.1f} times as long": noise > MOST_NOISE,
        "memory grows": plan.strict_memory and growth(server.memory) > MB_A_MINUTE,
    }
    wrong = [what for what, holds in verdict.items() if holds]
    print(f"verdict: {', '.join(wrong) or 'held'}")
    return int(bool(wrong))


async def _load(plan: Plan, server: Server, qdrant: Qdrant, users: Sequence[User], tally: Tally) -> float:
    """Let all users live for the time of the plan; returns the seconds until the last of them had ended."""
    for user in users:
        user.client = client_of(server.url, user.user_id)
    began = time.perf_counter()
    faults = asyncio.create_task(_faults(plan, server, qdrant)) if plan.faults else None
    noisy = asyncio.create_task(_noisy(plan, server, began)) if plan.noisy else None
    await asyncio.gather(*(user.live(began + plan.seconds, plan.think_s, tally) for user in users))
    if noisy is not None:
        await noisy
    if faults is not None:
        await faults
    return time.perf_counter() - began


async def _noisy(plan: Plan, server: Server, began: float) -> None:
    """The second half's noise."""
    await asyncio.sleep(plan.seconds / 2)
    one = Noisy(server.url)
    await one.live(began + plan.seconds)
    print(f"the noisy user was answered: {dict(sorted(one.answers.items()))}")


def _noise(tally: Tally, began: float, plan: Plan) -> float:
    """The 95th percentile of the others' turns in the second half, by that of the first."""
    half = began + plan.seconds / 2
    times = list(zip(tally.turns, tally.ended, strict=True))
    calm = percentile([took for took, ended in times if ended <= half], 0.95)
    loud = percentile([took for took, ended in times if ended - took > half], 0.95)
    print(f"turns of the others, p95: {1e3 * calm:.0f} ms without the noisy user, {1e3 * loud:.0f} ms beside them")
    return loud / calm if calm else 0.0


async def _faults(plan: Plan, server: Server, qdrant: Qdrant) -> None:
    """Two outages of the index and two kills of the server, spread over the run."""

    async def outage() -> None:
        await qdrant.stop()
        await asyncio.sleep(OUTAGE_S)
        await qdrant.start()

    async def crash() -> None:
        await server.kill()
        await server.start()

    began = time.perf_counter()
    steps: list[tuple[float, str, Callable[[], Awaitable[None]]]] = [
        (0.2, "the index is stopped and started again", outage),
        (0.4, "the server is killed and started again", crash),
        (0.6, "the index is stopped and started again", outage),
        (0.75, "the server is killed and started again", crash),
    ]
    for share, what, step in steps:
        await asyncio.sleep(max(0.0, began + share * plan.seconds - time.perf_counter()))
        print(f"  {time.perf_counter() - began:.0f} s: {what}", flush=True)
        await step()


async def _settled(server: Server) -> dict[str, float]:
    """Wait until no background work and nothing for the index waits; returns what still does at the end of patience."""
    names = ("personaagent_queue_jobs", "personaagent_outbox_depth", "personaagent_spool_depth")
    until = time.perf_counter() + SETTLE_S
    waiting: dict[str, float] = {}
    while time.perf_counter() < until:
        seen = await server.observe()
        waiting = {name: seen.get(name, -1.0) for name in names if seen.get(name, -1.0) != 0}
        if not waiting:
            return {}
        await asyncio.sleep(1)
    return waiting


@asynccontextmanager
async def _started(server: Server) -> AsyncIterator[None]:
    await server.start()
    watching = asyncio.create_task(server.watch())
    try:
        yield
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        if server.process is not None and server.process.poll() is None:
            server.process.kill()


def client_of(url: str, user_id: str) -> LangGraphClient:
    """The SDK's client, but that it lets go of an idle connection before the server does.

    By default both keep one for 5 s, and now and then a request goes out on a connection that is just being closed.
    """
    transport = httpx.AsyncHTTPTransport(retries=5, limits=httpx.Limits(keepalive_expiry=KEEP_ALIVE_S))
    headers = {"X-User-Id": user_id}
    return LangGraphClient(httpx.AsyncClient(base_url=url, transport=transport, headers=headers, timeout=60))


def _environment(model_url: str) -> dict[str, str]:
    return {
        "OPENAI_BASE_URL": model_url,
        "OPENAI_API_KEY": "none",
        "LANGSMITH_TRACING": "false",
        "LOG_JSON": "true",
        "LOG_LEVEL": "WARNING",
    }


def _users(plan: Plan) -> list[User]:
    made = []
    for number in range(plan.users):
        rng: random.Random = random.Random(f"{plan.seed}-{number}")
        client: Any = None  # made when the server has an address
        made.append(
            User(
                user_id=f"user-{number}",
                canary=f"canary-{rng.getrandbits(48):012x}",
                favourite=DRINKS[number % len(DRINKS)],
                client=client,
                rng=rng,
                tries=RETRIES if plan.faults else 0,
            )
        )
    return made


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--think", type=float, default=5.0, help="seconds between two turns of a user, on average")
    parser.add_argument("--faults", action="store_true")
    parser.add_argument("--noisy", action="store_true", help="one more user, who wants everything in the second half")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="keep data and log in this new folder")
    given = parser.parse_args()
    plan = Plan(
        users=given.users,
        seconds=60 * given.minutes,
        think_s=given.think,
        faults=given.faults,
        seed=given.seed,
        noisy=given.noisy,
        strict_memory=not given.faults and not given.noisy and 60 * given.minutes >= RESTART_GROWTH_MIN_S,
    )
    logging.basicConfig(level=logging.ERROR)
    warnings.simplefilter("ignore")  # the client's, each time it reconnects
    kind = ("with faults" if plan.faults else "without faults") + (", with a noisy user" if plan.noisy else "")
    print(f"load: {plan.users} users, {given.minutes:g} minutes, {kind}, seed {plan.seed}", flush=True)
    if given.keep is not None:
        given.keep.mkdir(parents=True)
        sys.exit(asyncio.run(run(plan, given.keep.resolve())))
    with tempfile.TemporaryDirectory() as folder:
        code = asyncio.run(run(plan, Path(folder)))
    sys.exit(code)
