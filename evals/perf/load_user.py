"""One user of the load test: asks, answers back what they really wanted, and looks for what is not theirs."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import LangGraphError

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
