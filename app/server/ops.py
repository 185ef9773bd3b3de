"""What operators and their machines ask of a server: /healthz, /readyz and /metrics; and its orderly end.

Nothing here names a user. The routes ask for no sign-in: keep them inside the deployment, or set a token for /metrics.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from app.server.readiness import Probe
from personaagent.errors import PersonaAgentError
from personaagent.scheduling import ServerScheduler
from personaagent.telemetry import metrics
from personaagent.telemetry.logs import set_up_logs

if TYPE_CHECKING:
    from graph.services import Services

_log = logging.getLogger(__name__)
NO_STORE = {"Cache-Control": "no-store"}


def _services() -> Services:
    from graph.services import default_services

    return default_services()


@cache
def _probe() -> Probe:
    return Probe(_services())


async def healthz(_: Request) -> Response:
    """Liveness: the process answers. Restart it when this fails, and for no other reason."""
    return JSONResponse({"status": "ok"}, headers=NO_STORE)


async def readyz(_: Request) -> Response:
    """Readiness: 200 where turns can be answered (``ok`` or ``degraded``), 503 where they cannot (``down``)."""
    found = await _probe().ready()
    body = {"status": found.status, "parts": found.parts}
    return JSONResponse(body, status_code=503 if found.status == "down" else 200, headers=NO_STORE)


async def show_metrics(request: Request) -> Response:
    """The metrics of this process for Prometheus; 401 without the token where one is set."""
    wanted = _services().settings.metrics_token
    if wanted is not None:
        given = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, f"Bearer {wanted.get_secret_value()}".encode()):
            return PlainTextResponse("send Authorization: Bearer with PERSONAAGENT_METRICS_TOKEN\n", status_code=401)
    await _services().backlog.observe()
    return Response(metrics.exposition(), media_type=metrics.CONTENT_TYPE, headers=NO_STORE)


routes = [
    Route("/healthz", healthz, methods=["GET"], include_in_schema=False),
    Route("/readyz", readyz, methods=["GET"], include_in_schema=False),
    Route("/metrics", show_metrics, methods=["GET"], include_in_schema=False),
]


async def _schedule_owed(services: Services) -> None:
    if "langgraph_api.server" not in sys.modules:
        return
    try:
        found = await services.schedule_owed(ServerScheduler(services.settings.align_delay_s))
    except PersonaAgentError as error:
        _log.error("alignments that are due wait for the next label: %s", error)
    else:
        _log.info("alignments asked for again: %d", found)


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    """Logs from the start; at the end what is open is flushed and closed.

    On LangGraph server the alignments that an earlier process owed when it was killed are asked for again; elsewhere
    they wait in the ledger's queue.
    """
    services = _services()
    set_up_logs(services.settings)
    owed = asyncio.create_task(_schedule_owed(services))
    try:
        yield
    finally:
        owed.cancel()
        with suppress(asyncio.CancelledError):
            await owed
        await services.close()
