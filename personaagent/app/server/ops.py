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
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from personaagent.app.server.readiness import Probe
from personaagent.errors import PersonaAgentError
from personaagent.graph.services import Services
from personaagent.telemetry import metrics
from personaagent.telemetry.logs import set_up_logs

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
        return Response(metrics.exposition(), media_type=metrics.CONTENT_TYPE, headers=NO_STORE)

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
