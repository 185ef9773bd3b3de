"""What goes in and out of the JSON routes; the OpenAPI document is made of these."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final, Literal, Self
from uuid import uuid4

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

from personaagent.app.server.turns import Question, Said
from personaagent.context import MAX_CHOICES, MAX_INSTRUCTIONS_CHARS, Context
from personaagent.inputs import MAX_COMMENT_CHARS, MAX_LABEL_CHARS, moment_of
from personaagent.memory.forgetting import Selection
from personaagent.persona.store import MAX_PIN_CHARS
from personaagent.ports import Where
from personaagent.types import Critique, Fact, Interaction, Persona, Pin

MAX_FOUND: Final = 100
MAX_IDS: Final = 500
FIRST: Final = datetime.min.replace(tzinfo=UTC)
LAST: Final = datetime.max.replace(tzinfo=UTC)
MAX_VERSION: Final = 1_000_000_000
MAX_MESSAGE_CHARS: Final = 32_000  # as Settings.max_query_chars, which may ask for less
MAX_EARLIER: Final = 200
MAX_DECISIONS: Final = 32
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")


def _moment(value: object) -> object:
    """Only RFC 3339: a number that happens to be a time stamp, or a day, is none."""
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        raise ValueError("a time has the form 2026-03-31T08:00:00Z")
    return moment_of(value)


Moment = Annotated[AwareDatetime, BeforeValidator(_moment)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=64)]

ThreadId = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")]

Text = Annotated[str, StringConstraints(min_length=1, max_length=MAX_LABEL_CHARS)]
Comment = Annotated[str, StringConstraints(min_length=1, max_length=MAX_COMMENT_CHARS)]


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


class FeedbackRequest(Asked):
    """What the user says of an answer; ``ground_truth`` or a pick of two, ``rating`` or ``thumb``, and a comment.

    A pick is ``picked`` and ``over``, two texts without a ``source``; a ``source`` alone says nothing.
    """

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    ground_truth: Text = Field(default="")
    source: Literal["correction", "choice", "edit"] = Field(default="correction")
    picked: Text = Field(default="")
    over: Text = Field(default="")
    rating: int = Field(default=0, ge=1, le=5)
    thumb: Literal["up", "down"] = Field(default="up")
    comment: Comment = Field(default="")


_SAYS_SOMETHING: Final = Field(json_schema_extra={"pattern": r"\S"})
Message = Annotated[str, StringConstraints(min_length=1, max_length=MAX_MESSAGE_CHARS), _SAYS_SOMETHING]


class EarlierMessage(Asked):
    """A message of the conversation before this turn."""

    role: Literal["user", "assistant"]
    text: Message


class TurnRequest(Asked):
    """A message, and how to answer it. The conversation is the thread's as it is kept, or ``earlier`` where given.

    ``instead_of`` is an earlier turn of the thread whose place the message takes; with the same text it is answered
    anew.
    """

    text: Message
    thread_id: ThreadId = Field(default="")
    instead_of: Id = Field(default="")
    earlier: list[EarlierMessage] = Field(default_factory=list, max_length=MAX_EARLIER)
    task: Name = Field(default="")
    instructions: Annotated[str, StringConstraints(min_length=1, max_length=MAX_INSTRUCTIONS_CHARS)] = Field(default="")
    choices: list[Name] = Field(default_factory=list, min_length=1, max_length=MAX_CHOICES)
    personalize: bool = True
    stream: bool = False

    def question(self, user_id: str) -> Question:
        """The turn of this user; raises InvalidContext."""
        context = Context(
            user_id=user_id,
            task=self.task or None,
            instructions=self.instructions or None,
            choices=list(self.choices) or None,
            personalize=self.personalize,
        )
        earlier = tuple(Said(role=one.role, text=one.text) for one in self.earlier)
        return Question(
            text=self.text,
            context=context,
            thread_id=self.thread_id or str(uuid4()),
            instead_of=self.instead_of,
            earlier=earlier if "earlier" in self.model_fields_set else None,
        )


class Decision(Asked):
    """Whether a call may run; ``remember``: this tool need not ask again."""

    type: Literal["accept", "ignore"]
    remember: bool = False


class DecisionsRequest(Asked):
    """What the user decides about each call that waits, in their order; what is missing is a no."""

    decisions: list[Decision] = Field(min_length=1, max_length=MAX_DECISIONS)
    stream: bool = False


class PinRequest(Asked):
    """An instruction that holds for all answers until it is taken back."""

    text: Annotated[str, StringConstraints(min_length=1, max_length=MAX_PIN_CHARS), _SAYS_SOMETHING]


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
class FeedbackTaken:
    """The memory with the feedback, what was understood of it in sentences, and whether an alignment is due."""

    memory: Interaction
    understood: tuple[str, ...]
    alignment_due: bool


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
