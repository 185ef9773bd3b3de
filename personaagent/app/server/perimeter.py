"""Which requests come in at all: ASGI middleware around every route of the server, LangGraph's own and ours.

LangGraph server adds routes that its auth handlers never see (``/internal``, ``/deploy``, ``/ui``), so what is served
is listed here by the first part of its path, and everything else is 404. In development mode every route holds the
connection, ``Host`` and ``Origin`` to this machine; elsewhere ``Host`` is one of ``Settings.allowed_hosts``, where set.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from personaagent import telemetry
from personaagent.app.server.identity import check_local
from personaagent.errors import NotSignedIn, RequestTooLarge
from personaagent.settings import Settings

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
        telemetry.refused.labels("perimeter").inc()
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


DISCARDED_BYTES = 32_000_000
TOO_BIG = 1009  # as sockets say it


class BodyLimit:
    """Answers 413 to a request whose body is longer than ``max_bytes`` (0: any), told or found while it is read.

    A path of ``uploads`` has a limit of its own.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int, uploads: Mapping[str, int] = MappingProxyType({})) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._uploads = {
            path: BodyLimit(app, max_bytes=own) for path, own in uploads.items() if own != max_bytes and max_bytes
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is short enough."""
        if scope["type"] == "http" and (own := self._uploads.get(scope["path"])) is not None:
            await own(scope, receive, send)
            return
        if scope["type"] == "websocket" and self._max_bytes:
            await self._socket(scope, receive, send)
            return
        if scope["type"] != "http" or not self._max_bytes:
            await self._app(scope, receive, send)
            return
        told = dict(scope["headers"]).get(b"content-length", b"0")
        if told.isdigit() and int(told) > self._max_bytes:
            await _discard(receive)
            await self._refuse(scope, receive, send)
            return
        read, started = 0, False

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._max_bytes:
                raise self._error()
            return message

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, counted, noted)
        except RequestTooLarge:
            if started:
                raise  # the answer is on its way, so the connection can only be cut
            await _discard(receive)
            await self._refuse(scope, receive, send)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Close a socket at the first frame that is longer than a body may be."""

        async def bounded() -> Message:
            message = await receive()
            if len(message.get("text") or "") <= self._max_bytes >= len(message.get("bytes") or b""):
                return message
            telemetry.refused.labels("request_bytes").inc()
            await send({"type": "websocket.close", "code": TOO_BIG, "reason": str(self._error())})
            return {"type": "websocket.disconnect", "code": TOO_BIG}

        await self._app(scope, bounded, send)

    def _error(self) -> RequestTooLarge:
        return RequestTooLarge(
            f"the request's body is longer than {self._max_bytes:,} bytes: send less, "
            "or raise PERSONAAGENT_MAX_REQUEST_BYTES"
        )

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        telemetry.refused.labels("request_bytes").inc()
        error = self._error()
        body = {"error": {"name": type(error).__name__, "message": str(error)}}
        await JSONResponse(body, status_code=413, headers={"Connection": "close"})(scope, receive, send)


class BatchLimit:
    """Answers 413 to a batch of more runs than may wait (``max_runs``; 0: any number): all of it or nothing is made."""

    def __init__(self, app: ASGIApp, *, max_runs: int) -> None:
        self._app = app
        self._max_runs = max_runs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is no batch, and batches that are short enough."""
        if scope["type"] != "http" or not self._max_runs or not scope["path"].rstrip("/").endswith("/runs/batch"):
            await self._app(scope, receive, send)
            return
        body, more = bytearray(), True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        if _length(bytes(body)) > self._max_runs:
            telemetry.refused.labels("pending_runs").inc()
            error = RequestTooLarge(
                f"more than {self._max_runs} runs in one batch: send fewer, or raise PERSONAAGENT_PENDING_RUNS"
            )
            told = {"error": {"name": type(error).__name__, "message": str(error)}}
            await JSONResponse(told, status_code=413)(scope, receive, send)
            return
        kept = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def again() -> Message:
            return kept.pop() if kept else await receive()

        await self._app(scope, again, send)


def _length(body: bytes) -> int:
    """How many runs a batch holds; 0 for what is no list, which the server refuses itself."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return 0
    return len(told) if isinstance(told, list) else 0


async def _discard(receive: Receive) -> None:
    """Let the client finish sending, within reason: one that is cut off while it sends never reads the answer."""
    left = DISCARDED_BYTES
    while left > 0:
        message = await receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return
        left -= len(message.get("body", b""))
