"""How long the body of a request may be: ASGI middleware for the whole server, LangGraph's own routes too.

Turns and feedback, which come over LangGraph's routes, are counted in the graph (``personaagent.limits``), requests to
our own routes by the page.
"""

from __future__ import annotations

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from personaagent.errors import RequestTooLarge
from personaagent.telemetry import metrics

DISCARDED_BYTES = 32_000_000


class BodyLimit:
    """Answers 413 to a request whose body is longer than ``max_bytes`` (0: any), told or found while it is read."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is short enough."""
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

    def _error(self) -> RequestTooLarge:
        return RequestTooLarge(
            f"the request's body is longer than {self._max_bytes:,} bytes: send less, "
            "or raise PERSONAAGENT_MAX_REQUEST_BYTES"
        )

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        metrics.refused.labels("request_bytes").inc()
        error = self._error()
        body = {"error": {"name": type(error).__name__, "message": str(error)}}
        await JSONResponse(body, status_code=413, headers={"Connection": "close"})(scope, receive, send)


async def _discard(receive: Receive) -> None:
    """Let the client finish sending, within reason: one that is cut off while it sends never reads the answer."""
    left = DISCARDED_BYTES
    while left > 0:
        message = await receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return
        left -= len(message.get("body", b""))
