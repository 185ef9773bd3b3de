"""What goes in and out of the JSON routes; the OpenAPI document is made of these."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    RootModel,
    StringConstraints,
    model_validator,
)

from personaagent.memory.forgetting import Selection
from personaagent.ports import Where
from personaagent.types import Critique, Fact, Interaction, Persona, Pin

MAX_FOUND: Final = 100
MAX_IDS: Final = 500
FIRST: Final = datetime.min.replace(tzinfo=UTC)
LAST: Final = datetime.max.replace(tzinfo=UTC)
MAX_VERSION: Final = 1_000_000_000
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)")


def _moment(value: object) -> object:
    """Only RFC 3339: a number that happens to be a time stamp, or a day, is none."""
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        raise ValueError("a time has the form 2026-03-31T08:00:00Z")
    try:
        return datetime.fromisoformat(value.upper().replace("Z", "+00:00")).astimezone(UTC)
    except OverflowError as error:
        raise ValueError("a time lies between the years 1 and 9999") from error


Moment = Annotated[AwareDatetime, BeforeValidator(_moment)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class Asked(BaseModel):
    """What every request model is: nothing that it does not know, nothing of another type."""

    model_config = ConfigDict(extra="forbid", strict=True)


class ForgetSome(Asked):
    """These ids, and all that task and times leave, from ``since`` to before ``before``; at least one of the four."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    ids: list[Id] = Field(default_factory=list, min_length=1, max_length=MAX_IDS)
    task: Name = Field(default="")
    since: Moment = Field(default=FIRST)
    before: Moment = Field(default=LAST)

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("name ids, a task or a time, or ask for everything")
        return self


class ForgetEverything(Asked):
    """All that is kept of the user."""

    everything: Literal[True]


class ForgetRequest(RootModel[ForgetEverything | ForgetSome]):
    """What to forget."""

    @property
    def selection(self) -> Selection:
        """The selection of the forgetter."""
        wanted = self.root
        if isinstance(wanted, ForgetEverything):
            return Selection(everything=True)
        given = {name: getattr(wanted, name) for name in wanted.model_fields_set if name != "ids"}
        return Selection(ids=tuple(wanted.ids), where=Where(**given) if given else None)


class RollbackRequest(Asked):
    """Which version to put back in force."""

    version: int = Field(ge=0, le=MAX_VERSION)


class Personalization(Asked):
    """Whether the agent reads and keeps what is known of the user."""

    personalize: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonaNow:
    """The version in force, None before the first, and the pinned instructions."""

    persona: Persona | None
    pins: tuple[Pin, ...]
    personalize: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """All versions, and the critiques that came before them, both oldest first."""

    versions: tuple[Persona, ...]
    critiques: tuple[Critique, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Memories:
    """The memories found, best first for a query and newest first without; ``count`` is how many the filters leave."""

    count: int
    memories: tuple[Interaction, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Facts, oldest first."""

    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A named failure: ``name`` is its class, ``message`` says what to do."""

    name: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The body of every answer that is no success."""

    error: Failure
