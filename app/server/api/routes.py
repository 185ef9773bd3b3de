"""The JSON routes. Who asks is told by the same headers as everywhere (``identify``); no cookie opens them.

A body must be ``application/json``, which no other site's form can send.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from functools import cache
from importlib.metadata import version
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.server.api import handlers
from app.server.api.forms import (
    Facts,
    Failed,
    Failure,
    ForgetRequest,
    Memories,
    Personalization,
    PersonaNow,
    RollbackRequest,
    Versions,
)
from app.server.api.handlers import Call
from app.server.api.openapi import Described, document
from app.server.identity import identify
from app.server.page.house import HEADERS, Door
from app.server.page.refusals import refusal_of
from personaagent.errors import InputError, NotSignedIn, PersonaAgentError, TooManyRequests
from personaagent.memory.forgetting import ForgetReport
from personaagent.types import Interaction, Persona

BASE: Final = "/api/v1"
Handler = Callable[[Call], Awaitable[Any]]
log = logging.getLogger(__name__)


class NotJson(InputError):
    """The body of a request is not announced as JSON."""


def _route(
    method: str,
    path: str,
    handler: Handler,
    returns: Any,
    body: type[BaseModel] | None = None,
    query: tuple[str, ...] = (),
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
    )
    return told, handler


@cache
def table() -> tuple[tuple[Described, Handler], ...]:
    """Every route with what does its work."""
    return (
        _route("GET", "/me/persona", handlers.persona, PersonaNow),
        _route("GET", "/me/persona/history", handlers.history, Versions),
        _route("POST", "/me/persona/rollback", handlers.rollback, Persona, RollbackRequest),
        _route("GET", "/me/memories", handlers.memories, Memories, query=("q", "task", "since", "before", "limit")),
        _route("GET", "/me/memories/{memory_id}", handlers.memory, Interaction),
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
            peer = request.client.host if request.client else None
            found = await identify(dict(request.headers), door.services.settings, peer=peer)
            if wait := door.rate.wait(found.user_id):
                raise TooManyRequests("too many requests within a minute: wait", wait)
            call = Call(
                services=door.services,
                user_id=found.user_id,
                query=_once(request, told),
                path=request.path_params,
                body=await _body(request, told.body),
            )
            return _answer(told.returns.dump_json(told.returns.validate_python(await handler(call))))
        except PersonaAgentError as error:
            return _failed(error)

    return endpoint


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
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise NotJson("send the body with Content-Type: application/json")
    try:
        return form.model_validate_json(await request.body())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the body"
        raise InputError(f"{place}: {first['msg']}") from error


def _failed(error: PersonaAgentError) -> Response:
    refusal = refusal_of(error)
    status = 401 if isinstance(error, NotSignedIn) else 415 if isinstance(error, NotJson) else refusal.status
    # what names files and addresses is the operator's: it is logged, and told in general words
    log.log(logging.WARNING if status >= 500 else logging.DEBUG, "%s: %s", type(error).__name__, error)
    failed = Failed(error=Failure(name=type(error).__name__, message=refusal.text))
    response = _answer(TypeAdapter(Failed).dump_json(failed), status)
    if refusal.retry_after_s:
        response.headers["Retry-After"] = str(refusal.retry_after_s)
    return response


def _answer(body: bytes, status: int = 200) -> Response:
    return Response(body, status, headers=HEADERS, media_type="application/json")
