"""The server's own routes beside LangGraph's: the page, its JSON sibling, and what operation needs.

``langgraph.json`` names ``app`` (``http.app``); ``personaagent serve`` runs the same composition alone.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import Route

from personaagent.app.server.api.openai import openai_routes
from personaagent.app.server.api.routes import api_routes
from personaagent.app.server.mcp import McpDoor
from personaagent.app.server.ops import ops_lifespan, ops_routes
from personaagent.app.server.page.house import UPLOAD, Door
from personaagent.app.server.page.routes import page_routes
from personaagent.app.server.perimeter import BatchLimit, BodyLimit, Perimeter
from personaagent.app.server.session import Sessions
from personaagent.graph.services import Services, default_services
from personaagent.limits import rate_of
from personaagent.settings import Settings

log = logging.getLogger(__name__)


def build_app(
    services_of: Callable[[], Services], settings: Settings, *, proposed: str = "", alone: bool = False
) -> Starlette:
    """All of our own routes over these services, which are made when the server starts.

    ``proposed`` is the name that the sign-in form of development mode begins with. ``alone``: no other server stands
    beside them, so ``/`` is ours too and leads to the chat, and alignments that fall due are carried out here.
    """
    door = Door(
        services_of=services_of,
        sessions=Sessions(settings),
        rate=rate_of(settings, "requests", settings.requests_per_minute),
        proposed=proposed,
    )
    mcp = McpDoor(door)
    start = [Route("/", _to_chat, methods=["GET"])] if alone else []
    ours = [*page_routes(door), *api_routes(door), *openai_routes(door), mcp.route(), *ops_routes(services_of)]
    return Starlette(
        routes=[*start, *ours],
        middleware=[
            Middleware(Perimeter, settings=settings),
            Middleware(BodyLimit, max_bytes=settings.max_request_bytes, uploads={UPLOAD: settings.max_upload_bytes}),
            Middleware(BatchLimit, max_runs=settings.pending_runs),
        ],
        lifespan=_life(door, mcp, background=alone),
    )


async def _to_chat(request: Request) -> RedirectResponse:
    return RedirectResponse(f"{request.scope.get('root_path', '')}/me", 307)


def alone() -> Starlette:
    """The same for a process of its own, over the environment's settings: what uvicorn makes in each of its workers."""
    return build_app(default_services, Settings(), proposed=os.environ.get("PERSONAAGENT_USER", ""), alone=True)


def _life(door: Door, mcp: McpDoor, *, background: bool) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    """The life of the server; with ``background``, alignments of all users as they fall due, given back at its end."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with ops_lifespan(door.services_of)(app), mcp.open():
            if background and door.agent.services.settings.align_by == "server":
                door.agent.start_background(lambda done: log.info("alignment: %s", done.error or done.outcome))
            try:
                yield
            finally:
                if background:
                    await door.agent.stop_background()

    return lifespan


app = build_app(default_services, Settings())
