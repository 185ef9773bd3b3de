"""What operators and their machines ask of a server, and its orderly beginning and end.

``/healthz`` (liveness): 200 while the process answers; restart it when this fails, and for no other reason.
``/readyz`` (readiness): 200 where turns can be answered (``ok``, or ``degraded``: without memory), 503 (``down``) where
they cannot. ``/metrics``: this process's metrics for Prometheus; LangGraph server has a /metrics of its own, which
holds them too and is served in place of this one. Nothing here names a user, and nobody has to sign in: keep these
routes inside the deployment.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from time import monotonic
from typing import TYPE_CHECKING, Final, Literal

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from personaagent import telemetry
from personaagent.errors import ModelUnreachable, PersonaAgentError
from personaagent.graph.services import Services
from personaagent.telemetry import set_up_logs

if TYPE_CHECKING:
    from personaagent.graph.services import Services


ServicesOf = Callable[[], Services]
_log = logging.getLogger(__name__)
NO_STORE = {"Cache-Control": "no-store"}


def ops_routes(services_of: ServicesOf) -> list[Route]:
    """The routes over these services, which are made at the first request that needs them."""

    @cache
    def probe() -> Probe:
        return Probe(services_of())

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "ok"}, headers=NO_STORE)

    async def readyz(_: Request) -> Response:
        found = await probe().ready()
        body = {"status": found.status, "parts": found.parts}
        return JSONResponse(body, status_code=503 if found.status == "down" else 200, headers=NO_STORE)

    async def show_metrics(_: Request) -> Response:
        await services_of().backlog.observe()
        return Response(telemetry.exposition(), media_type=telemetry.CONTENT_TYPE, headers=NO_STORE)

    return [
        Route("/healthz", healthz, include_in_schema=False),
        Route("/readyz", readyz, include_in_schema=False),
        Route("/metrics", show_metrics, include_in_schema=False),
    ]


def ops_lifespan(services_of: ServicesOf) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    """The life of a server: logs and gauges from the start; at the end what is open is flushed and closed.

    What an earlier process left in spool and outbox is caught up with at once.
    On LangGraph server the alignments that an earlier process owed when it was killed are asked for again; elsewhere
    they wait in the ledger's queue.
    """

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        services = services_of()
        set_up_logs(services.settings)
        gc.collect()
        gc.freeze()  # what is imported by now stays: to look through it again stopped every turn for 120 ms at times
        tasks = [asyncio.create_task(_take_up(services)), asyncio.create_task(services.backlog.watch())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await services.close()
            gc.unfreeze()

    return lifespan


async def _take_up(services: Services) -> None:
    if "langgraph_api.server" not in sys.modules:
        await services.episodic.catch_up()
        return
    try:
        found = await services.schedule_owed()
    except PersonaAgentError as error:
        _log.error("alignments that are due wait for the next label: %s", error)
    else:
        _log.info("alignments asked for again: %d", found)


Part = Literal["ledger", "index", "model"]
Status = Literal["ok", "degraded", "down"]
PATIENCE_S: Final = 3.0
FRESH_S: Final = 5.0  # anybody may ask, and asking must not become load on what is asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """``down``: no turn can be answered and kept; ``degraded``: turns go on without memory; with each part's word."""

    status: Status
    parts: dict[Part, Literal["ok", "down"]]


class Probe:
    """Asks the parts of these services; an answer holds for ``FRESH_S`` seconds."""

    def __init__(self, services: Services, *, patience_s: float = PATIENCE_S, fresh_s: float = FRESH_S) -> None:
        self._services = services
        self._patience_s = patience_s
        self._fresh_s = fresh_s
        self._asking = asyncio.Lock()
        self._last: tuple[float, Readiness] | None = None

    async def ready(self) -> Readiness:
        """How it is now, or was some seconds ago."""
        async with self._asking:
            if self._last is None or monotonic() - self._last[0] > self._fresh_s:
                self._last = monotonic(), await self._ask()
            return self._last[1]

    async def _ask(self) -> Readiness:
        services = self._services
        ledger, index, model = await asyncio.gather(
            self._answers("ledger", services.outbox.depth),
            self._answers("index", services.index.count),
            self._answers("model", self._model),
        )
        status: Status = "ok" if index else "degraded"
        if not (ledger and model):
            status = "down"
        words: dict[Part, Literal["ok", "down"]] = {
            "ledger": "ok" if ledger else "down",
            "index": "ok" if index else "down",
            "model": "ok" if model else "down",
        }
        return Readiness(status=status, parts=words)

    async def _answers(self, part: Part, ask: Callable[[], Awaitable[object]]) -> bool:
        try:
            async with asyncio.timeout(self._patience_s):
                await ask()
        except (PersonaAgentError, TimeoutError) as error:
            # the reason may name addresses: it is for the log, not for whoever asks
            _log.warning("not ready: %s: %s", part, str(error) or "no answer in time")
            return False
        return True

    async def _model(self) -> None:
        """Raise ModelUnreachable unless something answers at the endpoint, whatever it says without a key."""
        import httpx

        url = self._services.settings.openai_base_url
        if not url:
            return  # the embedded model runs in this process, and OpenAI's own endpoint is not ours to watch
        client = await asyncio.to_thread(httpx.AsyncClient, timeout=self._patience_s)  # making it reads certificates
        async with client:
            try:
                await client.get(f"{url.rstrip('/')}/models")
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise ModelUnreachable(f"the model endpoint cannot be reached ({type(error).__name__})") from error
