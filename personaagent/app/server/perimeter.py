"""Which requests come in at all: ASGI middleware around every route of the server, LangGraph's own and ours.

LangGraph server adds routes that its auth handlers never see (``/internal``, ``/deploy``, ``/ui``), so what is served
is listed here by the first part of its path, and everything else is 404. In development mode every route holds the
connection, ``Host`` and ``Origin`` to this machine; elsewhere ``Host`` is one of ``Settings.allowed_hosts``, where set.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from personaagent.app.server.identity import check_local
from personaagent.errors import NotSignedIn
from personaagent.settings import Settings
from personaagent.telemetry import metrics

SIGNED_IN: Final = frozenset({"assistants", "threads", "runs", "store", "me", "api", "v1", "mcp"})
OPEN: Final = {  # to everybody, and why
    "": "balancers ask it whether the server is up; `personaagent serve` leads on to the chat",
    "ok": "the same",
    "info": "version and features, which LangGraph Studio asks for first",
    "docs": "the server's API, the same for every deployment",
    "openapi.json": "the same",
    "metrics": "counts, by graph and node and never by user",
    "healthz": "liveness",
    "readyz": "readiness, without a reason",
}


class Perimeter:
    """Answers 404 outside of what is served; 401 (403 for the page) where this server is asked by another name."""

    def __init__(self, app: ASGIApp, *, settings: Settings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may come in."""
        if scope["type"] not in {"http", "websocket"} or _in_process(scope):
            await self._app(scope, receive, send)
            return
        status, reason = 404, "there is nothing here"
        part = _first_part(scope)
        if part in SIGNED_IN | OPEN.keys():
            try:
                self._check(scope)
            except NotSignedIn as error:
                # a browser that is sent to the page is told that it may not; a program, that it did not say who it is
                status, reason = 403 if part == "me" else 401, str(error)
            else:
                await self._app(scope, receive, send)
                return
        metrics.refused.labels("perimeter").inc()
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": reason[:100]})
            return
        body = {"error": {"name": "NotFound" if status == 404 else NotSignedIn.__name__, "message": reason}}
        await JSONResponse(body, status_code=status, headers={"Connection": "close"})(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if self._settings.auth == "dev":
            client = scope.get("client")
            check_local(headers, self._settings, client[0] if client else None)
        elif self._settings.allowed_hosts is not None:
            host = headers.get("host", "")
            if (_name(host) or "") not in self._settings.allowed_hosts:
                raise NotSignedIn(f"this server does not answer as {host[:100]!r}: see PERSONAAGENT_ALLOWED_HOSTS")


def _name(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _first_part(scope: Scope) -> str:
    """The first part of the path below the prefix that the server may be mounted at."""
    path = str(scope["path"]).removeprefix(str(scope.get("root_path", "")))
    return path.removeprefix("/").split("/", 1)[0]


def _in_process(scope: Scope) -> bool:
    """Whether this is the server's client of itself: its root path, which no connection from outside can set."""
    root = str(scope.get("root_path", ""))
    return root == "/noauth" or root.startswith("/noauth/")
