"""One user who wants everything at once: the others are to be served as if there were none.

Batches of hundreds of runs, runs one after the other without waiting, the largest contexts that are taken and larger
ones, alignments as long as they may be, histories that fill a body, and socket frames of megabytes.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from uuid import uuid4

import httpx

from personaagent.context import MAX_CANDIDATES, MAX_EPOCHS, MAX_INSTRUCTIONS_CHARS, MAX_INTERACTIONS

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
