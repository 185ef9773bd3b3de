"""The vocabulary of PersonaAgent: plain, immutable values without a framework import.

Times are timezone-aware UTC datetimes. An interaction's ``created_at`` is unique within its user and orders that
user's interactions totally, so one timestamp is a sufficient cut: everything before it is history.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Literal

TruthSource = Literal["imported", "correction", "choice", "rating", "edit", "pick", "implicit"]
ToolOutcome = Literal["ok", "error", "refused", "timeout", "rejected"]
PersonaOrigin = Literal["seed", "aligned", "manual", "rollback", "rebuilt", "imported"]
PinOrigin = Literal["user", "wish"]
FactStatus = Literal["active", "superseded", "retired"]

_STATEMENT_TASK: Final = "statement"  # as earlier versions kept what was to be remembered
STATEMENT_KEY: Final = "statement"  # of an interaction's metadata
WISH: Final = "wish"  # its value where the message was nothing but a wish


class Section(StrEnum):
    """The parts of a persona that alignment may rewrite, in the order in which they are rendered."""

    WHO = "who"  # who the user is
    ANSWERING = "answering"  # how to answer this user
    TOOLING = "tooling"  # which tools to use for this user, and how to ask them
    INTERESTS = "interests"  # what the user is occupied with at present


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolTrace:
    """One tool call of a turn: what was asked, how it ended, and the beginning of what came back."""

    name: str
    arguments: Mapping[str, Any]
    outcome: ToolOutcome
    brief: str = ""  # at most 300 characters of the result
    used: bool | None = None  # whether the final answer drew on it; None: not known


@dataclass(frozen=True, slots=True, kw_only=True)
class Interaction:
    """One episode ``(q, r_gt, m)`` of a user (paper, episodic memory).

    ``response`` is what the agent answered (None for imported history); ``ground_truth`` is what the user really
    said, chose or wrote, never the agent's own guess. ``choices`` is the closed answer space, empty for free text.
    Of an edit (``truth_source``) ``response`` is what the agent wrote and ``ground_truth`` what the user made of it.
    """

    id: str
    user_id: str
    query: str
    created_at: datetime
    thread_id: str | None = None
    task: str | None = None
    choices: tuple[str, ...] = ()
    response: str | None = None
    tools: tuple[ToolTrace, ...] = ()
    persona_version: int | None = None
    ground_truth: str | None = None
    truth_source: TruthSource | None = None
    truth_confidence: float | None = None  # 0..1; explicit truth is 1.0
    rating: int | None = None  # 1..5, what the user thought of the response; a thumb is 5 or 1
    comment: str | None = None  # what the user said of the response, in words
    rejected: str | None = None  # the answer that the user did not pick, of two
    labelled_at: datetime | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    abandoned: bool = False  # the user went on from before it: edited, asked anew or forked

    def __str__(self) -> str:
        known = self.ground_truth or self.response or ""
        return f"{self.created_at:%Y-%m-%d %H:%M} {self.query}" + (f" → {known}" if known else "") + f" ({self.id})"


def is_statement(interaction: Interaction) -> bool:
    """Whether it is no question with an answer: something to remember, or a wish for all later answers."""
    return bool(interaction.metadata.get(STATEMENT_KEY)) or interaction.task == _STATEMENT_TASK


def is_wish(interaction: Interaction) -> bool:
    """Whether the message was nothing but a wish, or the taking back of one: what holds of it is among the pins."""
    return interaction.metadata.get(STATEMENT_KEY) == WISH


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """Where in its thread a turn stands: the interactions before it, oldest first, and whether it is a fork."""

    before: tuple[str, ...] = ()
    forked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What became of a turn: the interaction as it is stored (that of an earlier attempt, where there was one).

    ``before`` is the one before it in its thread; None where this is not the thread's newest. ``unread`` is how many of
    the user's interactions semantic memory has not read, ``lost`` how many pieces of their feedback waited for the
    ledger and had no place in it.
    """

    turn: Interaction
    new: bool
    before: Interaction | None = None
    unread: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """A remembered interaction and how well it fits the query (higher is better, comparable within one search).

    ``similarity`` is the cosine of the two meanings, -1..1, where it is known.
    """

    interaction: Interaction
    score: float
    similarity: float | None = None

    def __str__(self) -> str:
        return f"{self.score:.2f} {self.interaction}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One statement about the user in semantic memory, standing on the interactions named in ``evidence``.

    It held from ``valid_from`` (the newest evidence's time) until ``valid_to`` (the time of the newest evidence of
    what superseded or retired it; None while it holds), so the profile as of any moment can be told.
    """

    id: str
    user_id: str
    text: str
    evidence: tuple[str, ...]
    confidence: float
    valid_from: datetime
    valid_to: datetime | None = None
    status: FactStatus = "active"
    superseded_by: str | None = None
    source: str = "summarizer"  # who proposed it: summarizer | statistics | user

    def __str__(self) -> str:
        return self.text + ("" if self.status == "active" else f" ({self.status})") + f" ({self.id})"


@dataclass(frozen=True, slots=True, kw_only=True)
class UserProfile:
    """The facts that hold for a user at one moment, strongest first; ``through`` is the newest interaction read."""

    user_id: str
    facts: tuple[Fact, ...] = ()
    through: datetime | None = None

    @property
    def text(self) -> str:
        """The profile as lines of text, empty when nothing is known."""
        return "\n".join(f"- {fact.text}" for fact in self.facts)


@dataclass(frozen=True, slots=True, kw_only=True)
class FactOperation:
    """A proposed change of semantic memory. ``add`` and ``supersede`` need text and evidence, the others a fact."""

    kind: Literal["add", "supersede", "retire", "keep"]
    fact_id: str | None = None
    text: str = ""
    evidence: tuple[str, ...] = ()
    confidence: float = 0.5
    source: str = "summarizer"


@dataclass(frozen=True, slots=True)
class Turn:
    """Since when a user's answers in a task hold: a moment in UTC, before which they followed another taste."""

    task: str  # as clauses call it (``labels.statistics.task_name``)
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """One sentence of a persona and the ids of the interactions it stands on (empty: it came with the template).

    ``kind`` names the proposer that counts it and may count it anew; None: a model, the template or the user wrote it.
    ``turn`` is what recall reads of a clause that tells of a taste that turned; no other clause has one.
    """

    text: str
    evidence: tuple[str, ...] = ()
    kind: str | None = None
    turn: Turn | None = None

    def __str__(self) -> str:
        return self.text


Sections = Mapping[Section, tuple[Clause, ...]]


def clauses_of(sections: Sections) -> list[Clause]:
    """All clauses, section by section."""
    return [clause for clauses in sections.values() for clause in clauses]


def evidence_of(sections: Sections) -> tuple[str, ...]:
    """The ids of all interactions that any clause stands on, each once, in order of appearance."""
    return tuple(dict.fromkeys(i for clause in clauses_of(sections) for i in clause.evidence))


def stands_on(sections: Sections, ids: Collection[str], matter: Container[str] = ()) -> bool:
    """Whether any clause stands on one of these interactions, or is in the matter."""
    return any(clause.text in matter or not set(ids).isdisjoint(clause.evidence) for clause in clauses_of(sections))


@dataclass(frozen=True, slots=True, kw_only=True)
class Persona:
    """One version of a user's persona (paper, ``P``). Versions are append-only and start at 0, the seed.

    ``aligned_through`` is the newest interaction that taught or judged it. Losses are means over the judging
    interactions (0 best, 1 worst) of the parent (``loss_before``) and of this version (``loss_after``).
    """

    user_id: str
    version: int
    sections: Sections
    origin: PersonaOrigin
    created_at: datetime
    parent: int | None = None
    proposer: str | None = None  # gradient | histogram | contrast | examples | retire | user | template | monitor
    reason: str = ""
    loss_before: float | None = None
    loss_after: float | None = None
    aligned_through: datetime | None = None

    def __str__(self) -> str:
        """The version on one line: number, origin, proposer, parent, loss, time."""
        parts = [f"persona {self.version}", self.origin]
        if self.proposer and self.proposer != self.origin:
            parts.append(f"by {self.proposer}")
        if self.parent is not None:
            parts.append(f"from {self.parent}")
        if self.loss_before is not None and self.loss_after is not None:
            parts.append(f"loss {self.loss_before:.2f} → {self.loss_after:.2f}")
        parts.append(f"{self.created_at:%Y-%m-%d %H:%M}")
        return " · ".join(parts)

    @property
    def evidence(self) -> tuple[str, ...]:
        """The ids of all interactions that any clause stands on, each once, in order of appearance."""
        return evidence_of(self.sections)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """An instruction that the user wrote and alignment may never touch ("always answer in French")."""

    id: str
    user_id: str
    text: str
    created_at: datetime
    origin: PinOrigin = "user"  # wish: said in a conversation
    said_in: str | None = None  # the interaction that a wish was said in

    def __str__(self) -> str:
        return f"{self.text} ({self.id})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What model calls cost: number of calls and tokens in and out."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            calls=self.calls + other.calls,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """What the agent would have answered to a past interaction under some persona (paper, r-hat).

    ``loss`` is in 0..1 (0: the ground truth). ``error`` names why there is no answer; then ``loss`` is 1.
    ``p_truth`` is the probability that a closed choice gave the truth, None where none is known.
    """

    interaction_id: str
    query: str
    expected: str
    actual: str
    loss: float
    tools: tuple[ToolTrace, ...] = ()
    error: str | None = None
    p_truth: float | None = None
    predicted: Mapping[str, Mapping[str, float]] | None = None  # what model and vote foretold, in a closed answer space


@dataclass(frozen=True, slots=True, kw_only=True)
class TextualLoss:
    """The critique of one simulation: how the persona must change for this user (paper, textual gradient)."""

    interaction_id: str
    loss: float
    critique: str
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Critique:
    """A textual loss as it is kept: which answer it was about, in which epoch of which alignment, and what came of it.

    ``evidence`` are the interactions that it may speak of: its own, and those behind the persona that the critic read.
    """

    run: str
    epoch: int  # from 1
    interaction_id: str
    loss: float
    text: str
    evidence: tuple[str, ...]
    created_at: datetime
    version: int | None = None  # that the alignment committed


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The gate's decision on a candidate, from paired losses on the judging interactions."""

    accepted: bool
    reason: str
    wins: int = 0
    losses: int = 0
    ties: int = 0
    loss_before: float | None = None
    loss_after: float | None = None
    confidence: float | None = None  # posterior probability that the candidate is the better one


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A proposed persona text, who proposed it in which epoch of which alignment, and what became of it."""

    proposer: str
    sections: Sections
    reason: str = ""
    verdict: Verdict | None = None
    run: str | None = None  # of the alignment; None: kept by a version that did not note it
    epoch: int | None = None  # from 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenger:
    """A candidate that is ahead of the version in force but not proven: every later label judges it too.

    ``evidence`` is the state of the gate's test (plain JSON); ``judged`` names the interactions in it.
    """

    id: str
    user_id: str
    base_version: int  # the version it would replace; of another one it is dropped
    proposer: str
    sections: Sections
    reason: str
    evidence: Mapping[str, Any]
    judged: tuple[str, ...]
    created_at: datetime
