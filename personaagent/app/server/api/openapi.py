"""The OpenAPI document of the JSON routes, made of the table of routes and of the types that go in and out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter

from personaagent.app.server.api.forms import MAX_FOUND, Failed
from personaagent.app.server.api.handlers import MAX_WORDS

_REF: Final = "#/components/schemas/{model}"
_MOMENT: Final = {"type": "string", "format": "date-time"}
_FAILURES: Final = {
    400: "What was asked for cannot be done",
    401: "Nobody is signed in",
    404: "This user has no such thing",
    409: "Something changed meanwhile, or waits no longer",
    413: "The body is too long",
    415: "The body is not JSON",
    429: "Too many requests within a minute; Retry-After says when to come again",
    503: "The memory or the model does not answer now",
}
PARAMETERS: Final[dict[str, dict[str, Any]]] = {
    "q": {"type": "string", "maxLength": MAX_WORDS},
    "task": {"type": "string", "minLength": 1, "maxLength": 256},
    "since": _MOMENT,
    "before": _MOMENT,
    "limit": {"type": "integer", "minimum": 1, "maximum": MAX_FOUND, "default": 20},
    "all": {"type": "boolean", "default": False},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """One route as the document tells it."""

    method: str
    path: str  # with {names}
    name: str
    summary: str
    returns: TypeAdapter[Any]
    body: type[BaseModel] | None = None
    query: tuple[str, ...] = ()
    streams: bool = False  # as server-sent events where they are asked for


def document(routes: Sequence[Described], base: str, version: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document; ``base`` is the path that all routes lie below."""
    schemas: dict[str, Any] = {}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(base + route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "PersonaAgent",
            "version": version,
            "description": "The signed-in user's agent: its answers, what it knows of them, what they decide of it.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
        "security": [{"bearer": []}, {"key": []}],
    }


def _operation(route: Described, schemas: dict[str, Any]) -> dict[str, Any]:
    failed = {"application/json": {"schema": _schema(TypeAdapter(Failed), schemas, "serialization")}}
    told: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "responses": {
            "200": {
                "description": "Done",
                "content": {"application/json": {"schema": _schema(route.returns, schemas, "serialization")}}
                | ({"text/event-stream": {}} if route.streams else {}),
            }
        }
        | {str(status): {"description": why, "content": failed} for status, why in _FAILURES.items()},
    }
    if route.body is not None:
        schema = _schema(TypeAdapter(route.body), schemas, "validation")
        told["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "query", "schema": PARAMETERS[name]} for name in route.query
    ]
    identifier = {"type": "string", "minLength": 1, "maxLength": 64}
    for name in re.findall(r"\{(\w+)\}", route.path):
        parameters.append({"name": name, "in": "path", "required": True, "schema": identifier})
    if parameters:
        told["parameters"] = parameters
    return told


def _schema(form: TypeAdapter[Any], schemas: dict[str, Any], mode: Any) -> dict[str, Any]:
    """The schema of a type, those it names moved to the components."""
    made = form.json_schema(mode=mode, ref_template=_REF)
    schemas.update(made.pop("$defs", {}))
    return made
