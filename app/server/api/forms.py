"""What goes in and out of the JSON routes; the OpenAPI document is made of these."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from personaagent.memory.forgetting import Selection
from personaagent.ports import Where
from personaagent.types import Fact, Interaction, Persona, Pin

MAX_FOUND: Final = 100
MAX_IDS: Final = 500
MAX_VERSION: Final = 1_000_000_000
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")


def _moment(value: object) -> object:
    """Only RFC 3339: a number that happens to be a time stamp, or a day, is none."""
    if not isinstance(value, str) or not _MOMENT.fullmatch(value) or not "1970" <= value[:4] <= "9000":
        raise ValueError("a time has the form 2026-03-31T08:00:00Z, from 1970 to 9000")
    return datetime.fromisoformat(value.replace("Z", "+00:00")).astimezone(UTC)


Moment = Annotated[AwareDatetime, BeforeValidator(_moment)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class Asked(BaseModel):
    """What every request model is: nothing that it does not know, nothing of another type."""

    model_config = ConfigDict(extra="forbid", strict=True)


class ForgetRequest(Asked):
    """What to forget: these ids and all that task and times leave, or everything. Times: from ``since``, to before
    ``before``."""

    ids: list[Id] = Field(default_factory=list, max_length=MAX_IDS)
    task: Name | None = None
    since: Moment | None = None
    before: Moment | None = None
    everything: bool = False

    @property
    def selection(self) -> Selection:
        """The selection of the forgetter."""
        where = Where(task=self.task, since=self.since, before=self.before)
        return Selection(ids=tuple(self.ids), where=None if where == Where() else where, everything=self.everything)


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
    """All versions, oldest first."""

    versions: tuple[Persona, ...]


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
