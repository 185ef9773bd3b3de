"""Server-sent events of a turn: what fails before the first word has its own status, and who goes stops it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from personaagent.app.server.page.house import HEADERS, refusal_of
from personaagent.app.server.turns import Answer, Event, Token
from personaagent.errors import PersonaAgentError

T = TypeVar("T")
PING_S: Final = 15
ANSWER: Final[TypeAdapter[Answer]] = TypeAdapter(Answer)
log = logging.getLogger(__name__)


async def until_gone(request: Request, work: Awaitable[T]) -> T:
    """What comes of the work, which is stopped where the client goes before; raises ClientDisconnect then."""
    task = asyncio.ensure_future(work)
    gone = asyncio.create_task(_gone(request))
    try:
        await asyncio.wait([task, gone], return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        for one in (task, gone):
            one.cancel()
        await asyncio.wait([task, gone])


async def whole(events: AsyncIterator[Event]) -> Answer:
    """The last event, which is the answer."""
    answer: Answer | None = None
    async with aclosing(events):  # type: ignore[type-var]  # ours are generators
        async for event in events:
            if isinstance(event, Answer):
                answer = event
    if answer is None:
        raise PersonaAgentError("the turn ended without an answer")
    return answer


async def streamed(
    request: Request, events: AsyncIterator[Event], encode: Callable[[AsyncIterator[Event]], AsyncIterator[Any]]
) -> Response:
    """The events as ``encode`` writes them; what fails before the first of them is raised here."""
    first = await until_gone(request, anext(events))

    async def all_of_them() -> AsyncIterator[Event]:
        async with aclosing(events):  # type: ignore[type-var]
            yield first
            async for event in events:
                yield event

    return EventSourceResponse(encode(all_of_them()), headers=HEADERS, ping=PING_S, sep="\n")


async def as_events(
    events: AsyncIterator[Event], add: Callable[[Answer], dict[str, Any]] = lambda _: {}
) -> AsyncIterator[ServerSentEvent]:
    """``token`` (``reset`` begins anew), then ``done`` with the whole answer, or ``error`` with its name."""
    async with aclosing(events):  # type: ignore[type-var]
        try:
            async for event in events:
                if isinstance(event, Token):
                    yield _event("token", {"text": event.text} | ({"reset": True} if event.reset else {}))
                else:
                    yield _event("done", ANSWER.dump_python(event, mode="json") | add(event))
        except PersonaAgentError as error:
            yield _event("error", failure(error))


def failure(error: PersonaAgentError) -> dict[str, Any]:
    """A named failure that comes after the stream began, as the body of any other; what is the operator's is logged."""
    refusal = refusal_of(error)
    log.log(logging.WARNING if refusal.status >= 500 else logging.DEBUG, "%s: %s", type(error).__name__, error)
    return {"error": {"name": type(error).__name__, "message": refusal.text}}


def _event(name: str, data: Any) -> ServerSentEvent:
    return ServerSentEvent(json.dumps(data, ensure_ascii=False, separators=(",", ":")), event=name, sep="\n")


async def _gone(request: Request) -> None:
    with suppress(asyncio.CancelledError):
        while (await request.receive())["type"] != "http.disconnect":
            pass
