"""What a tool declares of itself, what a call of it carries, and what may be granted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from personaagent.ledger.users import Granted


class ToolFault(Exception):
    """A tool could not do what was asked. Its message is shown to the model and says what to do instead.

    ``transient`` faults are tried again where the tool declares retries.
    """

    def __init__(self, message: str, *, transient: bool = False) -> None:
        super().__init__(message)
        self.transient = transient


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """One checked call. ``before`` is set in simulation: nothing at or after that moment may be seen.

    ``left`` are interactions that the turn takes the place of; they are no memory of it.
    """

    user_id: str
    arguments: Mapping[str, Any]
    before: datetime | None = None
    thread_id: str | None = None
    left: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSpec:
    """A tool: its name, its schema (a pydantic model or a JSON schema), what it may do, and how to run it.

    A tool with ``side_effects`` changes something outside of the turn: it needs the user's approval, is never retried
    and is frozen in simulation. One that is ``outward`` reaches addresses that are among its arguments (see
    ``tools.addresses``); those that one which ``searches`` gives may be reached without asking. ``retries`` counts
    further tries after transient faults, all within ``timeout_s``.
    ``cost`` is a relative price (0: local, 1: a network request) for reports. ``run`` may raise ToolFault.
    What ``preview`` says of a call is shown to the user who is asked about it; where it raises, the call has failed. A
    call with an argument that ``always_asks`` is asked about whatever was approved for good.
    """

    name: str
    description: str
    args: type[BaseModel] | Mapping[str, Any]
    run: Callable[[ToolCall], Awaitable[str]]
    scopes: frozenset[str] = frozenset()
    side_effects: bool = False
    reads_user_data: bool = False
    outward: bool = False
    searches: bool = False
    timeout_s: float = 20.0
    retries: int = 0
    cost: float = 0.0
    preview: Callable[[ToolCall], Awaitable[str]] | None = None
    always_asks: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.side_effects and self.retries:
            raise ValueError(f"tool {self.name!r} has side effects, so it must not be retried: set retries=0")

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of the arguments, without the titles that only cost tokens."""
        full = dict(self.args if isinstance(self.args, Mapping) else _schema_of(self.args))
        full.pop("title", None)
        full.pop("description", None)
        properties = full.get("properties")
        named = properties if isinstance(properties, Mapping) else {}
        full["properties"] = {
            name: {k: v for k, v in field.items() if k != "title"} if isinstance(field, Mapping) else field
            for name, field in named.items()
        }
        return full

    def check(self, arguments: object) -> dict[str, Any]:
        """The arguments as the tool takes them; raises ToolFault with the schema when they do not fit."""
        if not isinstance(arguments, Mapping):
            raise ToolFault(f"The arguments of {self.name} must be a JSON object. {self.usage}")
        if isinstance(self.args, Mapping):
            missing = [name for name in self.args.get("required", []) if name not in arguments]
            if missing:
                raise ToolFault(f"{self.name} needs {', '.join(missing)}. {self.usage}")
            return dict(arguments)
        try:
            return self.args.model_validate(dict(arguments)).model_dump()
        except ValidationError as error:
            faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'arguments'}: {e['msg']}" for e in error.errors()[:5])
            raise ToolFault(f"Wrong arguments for {self.name}: {faults}. {self.usage}") from error

    @property
    def usage(self) -> str:
        """One line that tells a model how to call the tool."""
        required = set(self.schema.get("required", []))
        fields = [name if name in required else f"{name} (optional)" for name in self.schema["properties"]]
        return f"Arguments of {self.name}: {', '.join(fields) or 'none'}."

    def in_any(self, grants: Collection[str]) -> bool:
        """Whether one of the grants covers this tool: its name, one of its scopes, or a prefix such as ``time__*``."""
        if self.name in grants or self.scopes & set(grants):
            return True
        return any(grant.endswith("*") and self.name.startswith(grant[:-1]) for grant in grants)


@lru_cache(maxsize=256)
def _schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a model, which takes pydantic a third of a millisecond to make; nobody may change it."""
    return model.model_json_schema()


def brief_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema as a model reads it every turn: without lengths, empty defaults and "or null" of optional fields.

    What the model then sends is checked against the whole schema all the same.
    """
    fields = schema.get("properties", {})
    return {**schema, "properties": {name: _brief(field) for name, field in fields.items()}}


def _brief(field: Any) -> Any:
    if not isinstance(field, Mapping):
        return field
    told = {key: value for key, value in field.items() if key not in {"minLength", "maxLength"}}
    if told.get("default", "") in (None, ""):
        told.pop("default", None)
    kinds = [kind for kind in told.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) == 1 and isinstance(kinds[0], Mapping):
        del told["anyOf"]
        told = {**kinds[0], **told}
    return told


class Grants(Protocol):
    """What a user has decided about tools; each entry is a tool name, a scope, or a prefix with ``*``."""

    async def of(self, user_id: str, *, recent: bool = False) -> Granted:
        """All of it; where ``recent`` does, as it was a second ago. Before a call is carried out it never does."""


class ToolSource(Protocol):
    """Where a user's further tools come from: MCP servers, the user's own files."""

    async def specs(self, user_id: str) -> Sequence[ToolSpec]:
        """The tools of this user; an unreachable source gives what it last gave, or none. Never raises."""
