"""The JSON routes. Who asks is told by the same headers as everywhere (``identify``); no cookie opens them.

A body must be ``application/json``, which no other site's form can send.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from functools import cache
from importlib.metadata import version
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from personaagent.app.server.api import handlers
from personaagent.app.server.api.forms import (
    DecisionsRequest,
    Facts,
    Failed,
    Failure,
    FeedbackRequest,
    FeedbackTaken,
    ForgetRequest,
    Memories,
    Personalization,
    PersonaNow,
    PinRequest,
    RollbackRequest,
    TurnRequest,
    Versions,
)
from personaagent.app.server.api.handlers import Call
from personaagent.app.server.api.openapi import Described, document
from personaagent.app.server.identity import identify
from personaagent.app.server.page.house import HEADERS, Door, refusal_of
from personaagent.app.server.streaming import failure
from personaagent.app.server.turns import Answer
from personaagent.errors import InputError, NotSignedIn, PersonaAgentError, TooManyRequests
from personaagent.memory.forgetting import ForgetReport
from personaagent.types import Interaction, Persona, Pin

BASE: Final = "/api/v1"
Handler = Callable[[Call], Awaitable[Any]]


class NotJson(InputError):
    """The body of a request is not announced as JSON."""


def _route(
    method: str,
    path: str,
    handler: Handler,
    returns: Any,
    body: type[BaseModel] | None = None,
    query: tuple[str, ...] = (),
    *,
    streams: bool = False,
) -> tuple[Described, Handler]:
    summary = (handler.__doc__ or "").splitlines()[0]
    told = Described(
        method=method,
        path=path,
        name=getattr(handler, "__name__", path),
        summary=summary,
        returns=TypeAdapter(returns),
        body=body,
        query=query,
        streams=streams,
    )
    return told, handler


@cache
def table() -> tuple[tuple[Described, Handler], ...]:
    """Every route with what does its work."""
    return (
        _route("POST", "/me/turns", handlers.turn, Answer, TurnRequest, streams=True),
        _route("POST", "/me/turns/{turn_id}/decisions", handlers.decide, Answer, DecisionsRequest, streams=True),
        _route("POST", "/me/pins", handlers.pin, Pin, PinRequest),
        _route("DELETE", "/me/pins/{pin_id}", handlers.unpin, Pin),
        _route("GET", "/me/persona", handlers.persona, PersonaNow),
        _route("GET", "/me/persona/history", handlers.history, Versions),
        _route("POST", "/me/persona/rollback", handlers.rollback, Persona, RollbackRequest),
        _route("GET", "/me/memories", handlers.memories, Memories, query=("q", "task", "since", "before", "limit")),
        _route("GET", "/me/memories/{memory_id}", handlers.memory, Interaction),
        _route("POST", "/me/memories/{memory_id}/feedback", handlers.feedback, FeedbackTaken, FeedbackRequest),
        _route("GET", "/me/facts", handlers.facts, Facts, query=("all",)),
        _route("GET", "/me/export", handlers.export, dict[str, Any]),
        _route("POST", "/me/forget", handlers.forget, ForgetReport, ForgetRequest),
        _route("PUT", "/me/personalization", handlers.personalization, Personalization, Personalization),
    )


def api_routes(door: Door) -> list[Route]:
    """The routes, and the document that describes them."""
    described = json.dumps(document([told for told, _ in table()], BASE, version("personaagent"))).encode()

    async def openapi(_: Request) -> Response:
        return Response(described, headers=HEADERS, media_type="application/json")

    made = [Route(f"{BASE}/openapi.json", openapi)]
    for told, handler in table():
        made.append(Route(BASE + told.path, _endpoint(door, told, handler), methods=[told.method]))
    return made


def _endpoint(door: Door, told: Described, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            user_id = await signed_in(door, request)
            call = Call(
                services=door.services,
                turns=door.turns,
                user=door.agent.user(user_id),
                request=request,
                user_id=user_id,
                query=_once(request, told),
                path=request.path_params,
                body=await _body(request, told.body),
            )
            value = await handler(call)
            if isinstance(value, Response):
                return value
            return _answer(told.returns.dump_json(told.returns.validate_python(value)))
        except PersonaAgentError as error:
            return _failed(error)
        except ClientDisconnect:
            return Response(status_code=400)

    return endpoint


async def signed_in(door: Door, request: Request) -> str:
    """Who asks, by their headers; raises NotSignedIn, TooManyRequests."""
    peer = request.client.host if request.client else None
    found = await identify(dict(request.headers), door.services.settings, peer=peer)
    if wait := door.rate.wait(found.user_id):
        raise TooManyRequests("too many requests within a minute: wait", wait)
    return found.user_id


def _once(request: Request, told: Described) -> dict[str, str]:
    """The query string; raises InputError for a name that the route does not know, or that comes twice."""
    given = request.query_params.multi_items()
    names = [name for name, _ in given]
    for name in names:
        if name not in told.query or names.count(name) > 1:
            raise InputError(f"the query string may have {', '.join(told.query) or 'nothing'}, each once")
    return dict(given)


async def _body(request: Request, form: type[BaseModel] | None) -> BaseModel | None:
    if form is None:
        return None
    try:
        return form.model_validate_json(await json_body(request))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the body"
        raise InputError(f"{place}: {first['msg']}") from error


async def json_body(request: Request) -> bytes:
    """The body; raises NotJson where it is not announced as JSON, which another site's form cannot do."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise NotJson("send the body with Content-Type: application/json")
    return await request.body()


def status_of(error: PersonaAgentError) -> int:
    """The status that a program gets: unlike a browser it is told that it did not say who it is."""
    if isinstance(error, NotSignedIn | NotJson):
        return 401 if isinstance(error, NotSignedIn) else 415
    return refusal_of(error).status


def _failed(error: PersonaAgentError) -> Response:
    refusal, wrong = refusal_of(error), failure(error)["error"]
    failed = Failed(error=Failure(name=wrong["name"], message=wrong["message"]))
    response = _answer(TypeAdapter(Failed).dump_json(failed), status_of(error))
    if refusal.retry_after_s:
        response.headers["Retry-After"] = str(refusal.retry_after_s)
    return response


def _answer(body: bytes, status: int = 200) -> Response:
    return Response(body, status, headers=HEADERS, media_type="application/json")
