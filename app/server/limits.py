"""What one request may be: how long its body, and how many a minute from one place; as ASGI middleware.

``BodyLimit`` is for the whole server, LangGraph's own routes too. ``RateLimit`` is for our own routes below a prefix;
turns and feedback, which come over LangGraph's routes, are counted in the graph (``personaagent.limits``).
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from personaagent.errors import PersonaAgentError, RequestTooLarge, TooManyRequests
from personaagent.limits import Rate
from personaagent.settings import Settings
from personaagent.telemetry import metrics

Who = Callable[[Scope], str]


def peer(scope: Scope) -> str:
    """The address of the connection; behind a proxy that uvicorn trusts, the one that the proxy names."""
    client = scope.get("client")
    return client[0] if client else ""


def limits(settings: Settings, prefix: str, who: Who = peer) -> list[Middleware]:
    """The middleware of a server whose own routes lie below ``prefix``; ``who`` names what a rate is counted by."""
    return [
        Middleware(BodyLimit, max_bytes=settings.max_request_bytes),
        Middleware(RateLimit, per_minute=settings.requests_per_minute, prefix=prefix, who=who),
    ]


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
            await self._refuse(scope, receive, send)

    def _error(self) -> RequestTooLarge:
        return RequestTooLarge(
            f"the request's body is longer than {self._max_bytes:,} bytes: send less, "
            "or raise PERSONAAGENT_MAX_REQUEST_BYTES"
        )

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        metrics.refused.labels("request_bytes").inc()
        # the rest of the body is not read, so the connection cannot be used again
        await refusal(self._error(), 413, {"Connection": "close"})(scope, receive, send)


class RateLimit:
    """Answers 429 with Retry-After to more than ``per_minute`` requests (0: any) below ``prefix`` of one ``who``."""

    def __init__(self, app: ASGIApp, *, per_minute: int, prefix: str, who: Who = peer) -> None:
        self._app = app
        self._per_minute = per_minute
        self._prefix = prefix
        self._who = who
        self._rate = Rate(per_minute)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what comes slowly enough."""
        if scope["type"] == "http" and scope["path"].startswith(self._prefix):
            wait = self._rate.wait(self._who(scope))
            if wait:
                metrics.refused.labels("requests_per_minute").inc()
                error = TooManyRequests(
                    f"{self._per_minute} requests within a minute are the limit "
                    f"(PERSONAAGENT_REQUESTS_PER_MINUTE): send it again in {wait} s",
                    wait,
                )
                await refusal(error, 429, {"Retry-After": str(wait)})(scope, receive, send)
                return
        await self._app(scope, receive, send)


def refusal(error: PersonaAgentError, status: int, headers: dict[str, str]) -> JSONResponse:
    """The answer for a refused request: the error's name and its line, as the command line's ``--json`` gives them."""
    body = {"error": {"name": type(error).__name__, "message": str(error)}}
    return JSONResponse(body, status_code=status, headers=headers)
