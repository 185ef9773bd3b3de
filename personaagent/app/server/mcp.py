"""``/mcp``: our MCP server over streamable HTTP, for whoever the request's key or token says.

Nothing is kept between requests, so any worker answers any of them and nobody can take over another's session.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from mcp.server.fastmcp import Context
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from personaagent.app.mcp_server import build_server
from personaagent.app.server.identity import identify
from personaagent.app.server.page.house import HEADERS, Door, refusal_of
from personaagent.app.server.session import Session
from personaagent.errors import NotSignedIn, PersonaAgentError, TooManyRequests

PATH: Final = "/mcp"
USER: Final = "personaagent.user"  # of a request's scope
CODE_CHARS: Final = 8
log = logging.getLogger(__name__)


class McpDoor:
    """The route; it answers while ``open``."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._manager: StreamableHTTPSessionManager | None = None

    def route(self) -> Route:
        """POST only: nothing is streamed outside of an answer, and there is no session to end."""
        return Route(PATH, self, methods=["POST"], include_in_schema=False)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Answer requests meanwhile."""
        server = build_server(self._door.agent, _whose, self._code, lambda error: refusal_of(error).text)
        server.streamable_http_app()
        async with server.session_manager.run():
            self._manager = server.session_manager
            try:
                yield
            finally:
                self._manager = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell who asks, and hand the request on."""
        request = Request(scope)
        try:
            peer = request.client.host if request.client else None
            found = await identify(dict(request.headers), self._door.services.settings, peer=peer)
            if wait := self._door.rate.wait(found.user_id):
                raise TooManyRequests("too many requests within a minute: wait", wait)
        except PersonaAgentError as error:
            await _refused(error)(scope, receive, send)
            return
        if self._manager is None:
            raise RuntimeError("the server's lifespan has not begun")
        await self._manager.handle_request({**scope, USER: found.user_id}, receive, send)

    async def _code(self, user_id: str, key: str) -> str:
        """What approves that this user's ``key`` is forgotten; any worker makes the same."""
        made = await self._door.sessions.form_token(Session(id=f"forget {len(user_id)}:{user_id}{key}"))
        return made[:CODE_CHARS]


def _whose(context: Context[Any, Any, Any]) -> str:
    """The user of the very request that a call came in."""
    request = context.request_context.request
    user_id = request.scope.get(USER) if isinstance(request, Request) else None
    if not isinstance(user_id, str):
        raise NotSignedIn("nobody is signed in")
    return user_id


def _refused(error: PersonaAgentError) -> Response:
    refusal = refusal_of(error)
    status = 401 if isinstance(error, NotSignedIn) else refusal.status
    log.log(logging.WARNING if status >= 500 else logging.DEBUG, "%s: %s", type(error).__name__, error)
    body = {"error": {"name": type(error).__name__, "message": refusal.text}}
    response = Response(json.dumps(body), status, headers=HEADERS, media_type="application/json")
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if refusal.retry_after_s:
        response.headers["Retry-After"] = str(refusal.retry_after_s)
    return response
