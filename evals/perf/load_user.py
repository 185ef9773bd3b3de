"""One user of the load test: asks, answers back what they really wanted, and looks for what is not theirs."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import httpx
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import LangGraphError

from personaagent.context import MAX_CANDIDATES, MAX_EPOCHS, MAX_INSTRUCTIONS_CHARS, MAX_INTERACTIONS
from personaagent.evals.perf.load_endpoint import CANARY

DRINKS = ("tea", "coffee", "juice", "water")
DISHES = ("soup", "bread", "cheese", "rice", "beans", "cake", "fish", "salad", "eggs", "plums")
THREAD_TURNS = 5  # then a new conversation begins, and the old one is deleted
FEEDBACK_SHARE = 0.6
CHOICE_SHARE = 0.7
RETRY_S = 1.0


class RunFailed(Exception):
    """A run ended with an error; the message is the server's."""


_FAILURES = (httpx.HTTPError, LangGraphError, RunFailed)


@dataclass
class Tally:
    """What all users saw together. Times are in seconds."""

    turns: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)  # of each turn, by the clock
    feedback: list[float] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    leaks: list[str] = field(default_factory=list)


@dataclass
class User:
    """A user, their canary, and what the server acknowledged: interaction → query, and interaction → label."""

    user_id: str
    canary: str
    favourite: str
    client: LangGraphClient
    rng: random.Random
    tries: int  # how often a request that failed is sent again
    asked: dict[str, str] = field(default_factory=dict)
    labelled: dict[str, str] = field(default_factory=dict)
    sent: int = 0

    async def live(self, until: float, think_s: float, tally: Tally) -> None:
        """Turns and feedback until that moment of the clock, with pauses of ``think_s`` seconds on average."""
        thread, turns = self._uuid(), 0
        await asyncio.sleep(self.rng.uniform(0, think_s))
        while time.perf_counter() < until:
            interaction, choices = await self._turn(thread, tally)
            turns += 1
            if interaction and self.rng.random() < FEEDBACK_SHARE:
                await self._feedback(interaction, choices, tally)
            if turns == THREAD_TURNS:
                await self._end(thread)
                thread, turns = self._uuid(), 0
            await asyncio.sleep(self.rng.expovariate(1 / think_s) if think_s else 0)

    async def _turn(self, thread: str, tally: Tally) -> tuple[str | None, bool]:
        self.sent += 1
        choices = self.rng.random() < CHOICE_SHARE
        query = f"turn {self.sent}: what to drink with {self.rng.choice(DISHES)}? {self.canary}"
        # the message's id is ours, so that sending it again is the same turn
        message = {"role": "user", "content": query, "id": self._uuid()}
        context = {"task": "drinks", "choices": list(DRINKS)} if choices else {}
        result = await self._run(thread, "agent", {"messages": [message]}, context, tally, tally.turns)
        if result is None:
            return None, choices
        tally.counts["turns"] += 1
        tally.counts["degraded"] += bool(result["degraded"])
        if any(note.startswith("write") for note in result["degraded"]):
            tally.counts["turns said to be not kept"] += 1
            return None, choices
        self.asked[result["interaction_id"]] = query
        return result["interaction_id"], choices

    async def _feedback(self, interaction: str, choices: bool, tally: Tally) -> None:
        truth = self.favourite if choices else f"{self.favourite}, as always. {self.canary}"
        given = {"interaction_id": interaction, "ground_truth": truth, "source": "choice" if choices else "correction"}
        result = await self._run(None, "feedback", given, {}, tally, tally.feedback)
        if result is not None:
            tally.counts["labels"] += 1
            self.labelled[interaction] = truth

    async def _run(
        self,
        thread: str | None,
        graph: str,
        given: Mapping[str, Any],
        context: Mapping[str, Any],
        tally: Tally,
        times: list[float],
    ) -> dict[str, Any] | None:
        """The result of a run, or None when it failed to the last; what is not this user's is noted as a leak."""
        for attempt in range(self.tries + 1):
            began = time.perf_counter()
            try:
                result = await self._once(thread, graph, given, context)
            except _FAILURES as error:
                tally.failures[f"{graph}: {type(error).__name__}: {_short(error)}"] += 1
                tally.counts["failed requests"] += 1
                if attempt < self.tries:
                    await asyncio.sleep(RETRY_S * min(attempt + 1, 5))
                continue
            times.append(time.perf_counter() - began)
            if times is tally.turns:
                tally.ended.append(time.perf_counter())
            tally.counts["sent again"] += attempt > 0
            foreign = set(CANARY.findall(json.dumps(result))) - {self.canary}
            if foreign:
                tally.leaks.append(f"{self.user_id} was shown {sorted(foreign)}")
            return result
        tally.counts[f"{graph} given up"] += 1
        return None

    async def _once(
        self, thread: str | None, graph: str, given: Mapping[str, Any], context: Mapping[str, Any]
    ) -> dict[str, Any]:
        context, known = {"user_id": self.user_id, **context}, dict(given)
        runs = self.client.runs
        result: Any = (
            await runs.wait(None, graph, input=known, context=context, raise_error=False)
            if thread is None
            else await runs.wait(thread, graph, input=known, context=context, if_not_exists="create", raise_error=False)
        )
        if not isinstance(result, dict) or "__error__" in result or "interaction" not in str(result):
            raise RunFailed(_short(result.get("__error__", result) if isinstance(result, dict) else result))
        return result

    async def _end(self, thread: str) -> None:
        try:
            await self.client.threads.delete(thread)
        except _FAILURES:
            return  # the server is away, and the thread with it

    def _uuid(self) -> str:
        return str(UUID(int=self.rng.getrandbits(128), version=4))


def _short(error: object) -> str:
    return " ".join(str(error).split())[:160]


NAME = "noisy"
BATCH, FLOODS, FRAME_CHARS, BODY_CHARS = 500, 8, 12_000_000, 1_900_000
LARGEST: dict[str, Any] = {
    "align_epochs": MAX_EPOCHS,
    "align_candidates": MAX_CANDIDATES,
    "align_judge": MAX_INTERACTIONS,
    "align_batch": MAX_INTERACTIONS,
}
TOO_LARGE: dict[str, Any] = {"align_epochs": 100_000}
PAUSE_S = 0.2


class Noisy:
    """The user; ``answers`` counts what the server said, by what was asked."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.answers: Counter[str] = Counter()

    async def live(self, until: float) -> None:
        """Ask for all of it, all the time, until that moment of the clock."""
        headers = {"X-User-Id": NAME}
        limits = httpx.Limits(max_connections=64)
        async with httpx.AsyncClient(base_url=self._url, headers=headers, timeout=60, limits=limits) as client:
            works: list[Callable[[httpx.AsyncClient], Awaitable[None]]] = [
                self._batch,
                *[self._flood] * FLOODS,
                self._align,
                self._too_much,
                self._import,
                self._frame,
            ]
            await asyncio.gather(*(self._always(work, client, until) for work in works))

    async def _always(
        self, work: Callable[[httpx.AsyncClient], Awaitable[None]], client: httpx.AsyncClient, until: float
    ) -> None:
        while time.perf_counter() < until:
            with suppress(httpx.HTTPError):  # the server is away for a moment
                await work(client)
            await asyncio.sleep(PAUSE_S)

    async def _batch(self, client: httpx.AsyncClient) -> None:
        await self._post(client, "batch", "/runs/batch", [_turn(str(n)) for n in range(BATCH)])

    async def _flood(self, client: httpx.AsyncClient) -> None:
        context = {"instructions": "x" * MAX_INSTRUCTIONS_CHARS, "choices": ["tea", "coffee"], "task": "drinks"}
        answer = await self._post(client, "turn", "/runs/wait", _turn("which drink?") | {"context": context})
        told = answer.json() if answer.status_code == httpx.codes.OK else None
        if isinstance(told, dict) and "interaction_id" in told:
            label = {"interaction_id": told["interaction_id"], "ground_truth": "tea", "source": "choice"}
            await self._post(client, "label", "/runs/wait", {"assistant_id": "feedback", "input": label})

    async def _align(self, client: httpx.AsyncClient) -> None:
        asked = {"assistant_id": "alignment", "input": {}, "context": LARGEST}
        await self._post(client, "alignment", "/runs", asked)

    async def _too_much(self, client: httpx.AsyncClient) -> None:
        asked = {"assistant_id": "alignment", "input": {}, "context": TOO_LARGE}
        await self._post(client, "too many epochs", "/runs", asked)
        await self._post(client, "long instructions", "/runs", _turn("x") | {"context": {"instructions": "x" * 10**6}})

    async def _import(self, client: httpx.AsyncClient) -> None:
        await self._post(client, "long message", "/runs", _turn("x " * (BODY_CHARS // 2)))
        await self._post(client, "body over the limit", "/runs", _turn("x" * (2 * BODY_CHARS)))

    async def _frame(self, client: httpx.AsyncClient) -> None:
        import websockets

        thread = str(uuid4())
        await self._post(client, "thread", "/threads", {"thread_id": thread})
        address = f"{self._url.replace('http', 'ws')}/threads/{thread}/stream/events"
        with suppress(OSError, websockets.WebSocketException, TimeoutError):
            async with websockets.connect(address, additional_headers={"X-User-Id": NAME}, max_size=None) as socket:
                await socket.send(json.dumps({"method": "run.start", "id": 1, "params": {"input": "x" * FRAME_CHARS}}))
                await asyncio.wait_for(socket.recv(), 10)
        self.answers["frame sent"] += 1

    async def _post(self, client: httpx.AsyncClient, what: str, path: str, asked: Any) -> httpx.Response:
        answer = await client.post(path, json=asked)
        self.answers[f"{what}: {answer.status_code}"] += 1
        return answer


def _turn(text: str) -> dict[str, Any]:
    return {"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": text}]}}
