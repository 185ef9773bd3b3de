"""What the library returns: plain, frozen values whose ``str`` is what one would show a user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from personaagent.types import Critique, Fact, Interaction, Persona, Pin, Section, Sections, Verdict

T = TypeVar("T")


class Rows(tuple[T, ...], Generic[T]):
    """A tuple that is shown one item a line."""

    __slots__ = ()

    def __str__(self) -> str:
        return "\n".join(map(str, self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A piece of an answer while the model writes it; ``so_far`` is the answer up to and with it.

    ``so_far`` begins anew where the model said something and then called a tool after all.
    """

    text: str
    so_far: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolStep:
    """A tool call that ended while the turn goes on: ``ok``, ``error``, ``refused``, ``timeout`` or ``rejected``."""

    name: str
    outcome: str

    def __str__(self) -> str:
        return f"{self.name}: {self.outcome}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A tool call with side effects that waits for the user's decision."""

    tool: str
    arguments: Mapping[str, Any]
    description: str = ""
    preview: str = ""  # what it would do, in lines, where the tool can tell

    def __str__(self) -> str:
        return f"{self.tool} with {dict(self.arguments)}" + (f"\n{self.preview}" if self.preview else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackTaken:
    """What came of feedback: the interaction with its label, what was understood, and what follows from it."""

    interaction: Interaction
    understood: tuple[str, ...]
    alignment_due: bool
    outcome: str = ""  # of the alignment that ran at once; empty: none did
    committed: Persona | None = None
    rolled_back: Persona | None = None  # the version that the monitor went back to

    def __str__(self) -> str:
        lines = [*self.understood]
        if self.rolled_back is not None:
            lines.append(f"persona {self.rolled_back.version}: {self.rolled_back.reason}")
        if self.outcome:
            lines.append(self.outcome)
        return "\n".join(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonaView:
    """A version of the persona with what the user pinned beside it, and whether personalization is on."""

    persona: Persona
    pins: tuple[Pin, ...] = ()
    personalized: bool = True

    @property
    def text(self) -> str:
        """The clauses under their headings, as ``User.edit_persona`` reads them."""
        from personaagent.persona.shape import to_text

        return to_text(self.persona.sections)

    def __str__(self) -> str:
        from personaagent.persona.shape import to_text

        lines = [str(self.persona), to_text(self.persona.sections, evidence=False)]
        if self.pins:
            lines += ["## pinned", *(f"- {pin.text}" for pin in self.pins)]
        if not self.personalized:
            lines.append("personalization is off")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonaDiff:
    """Two versions of the persona; as text, every line behind ``+``, ``-`` or a space."""

    before: Persona
    after: Persona

    def __str__(self) -> str:
        from personaagent.persona.edit import diff_lines

        changed = diff_lines(self.before.sections, self.after.sections)
        return f"- {self.before}\n+ {self.after}\n{changed}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """Why a version came about: its origin, and what critics had said of which answers."""

    persona: Persona
    critiques: tuple[Critique, ...]
    queries: Mapping[str, str]  # of the interactions that the critiques are about, by id

    def __str__(self) -> str:
        about = (f"{self.queries.get(c.interaction_id, 'a forgotten question')}: {c.text}" for c in self.critiques)
        return "\n".join([str(self.persona), self.persona.reason, *about]).rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A candidate persona that the gate turned down, and why."""

    at: datetime
    run: str | None  # of the alignment
    epoch: int | None
    proposer: str
    verdict: Verdict | None
    sections: Sections

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.proposer}: {self.verdict.reason if self.verdict else 'not judged'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Memories:
    """Some of the user's interactions, and how many there are in all under the same filters."""

    count: int
    interactions: tuple[Interaction, ...]

    def __str__(self) -> str:
        return "\n".join([*map(str, self.interactions), f"{len(self.interactions)} of {self.count}"])


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolAccess:
    """One tool, and whether this user's agent may use it; ``asks_first``: the user is asked before each call."""

    name: str
    granted: bool
    asks_first: bool
    side_effects: bool
    reads_user_data: bool
    scopes: frozenset[str]
    description: str

    def __str__(self) -> str:
        state = "not granted" if not self.granted else "asks first" if self.asks_first else "granted"
        return f"{self.name} ({state}): {self.description}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportTaken:
    """What came of an imported file: rows read, how many were new, what is wrong with others, what is known now."""

    found: str  # what the file is
    read: int
    new: int
    bad: tuple[Exception, ...]
    facts: tuple[Fact, ...]
    unread: int = 0  # interactions that a model has yet to read for facts

    def __str__(self) -> str:
        bad = f", {len(self.bad)} bad" if self.bad else ""
        return "\n".join([*filter(None, [self.found]), f"{self.new} new of {self.read} rows imported{bad}"])


def in_force(persona: Persona | None) -> tuple[str, ...]:
    """The clauses of a version in reading order, ``section: text``; none where there is no persona."""
    sections: Sections = persona.sections if persona is not None else {}
    return tuple(f"{section.value}: {clause.text}" for section in Section for clause in sections.get(section, ()))
