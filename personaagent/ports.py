"""The ports: what nodes, tools and front doors may ask of memory, personas and models.

Every method that touches a user's data takes ``user_id`` first, without a default, and can only ever reach that
user's data. All are coroutines; none blocks the event loop. Any of them may raise ``StoreError`` when its store
cannot be used now. Adapters live in ``ledger``, ``memory``, ``persona`` and ``models``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from personaagent.inputs import Feedback
from personaagent.types import (
    Fact,
    FactOperation,
    Interaction,
    Kept,
    Path,
    Persona,
    PersonaOrigin,
    Pin,
    PinOrigin,
    Recall,
    Sections,
    UserProfile,
)

if TYPE_CHECKING:
    import numpy as np
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import BaseMessage
    from numpy.typing import NDArray

    from personaagent.models.card import Card

Role = Literal["agent", "simulator", "critic", "editor", "summarizer"]
Vectors: TypeAlias = "NDArray[np.float32]"
# an answering agent of the caller's own: a coroutine function of (system prompt, messages), or a LangChain Runnable
Answer = Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Which of one user's interactions count; every field narrows. ``before`` is exclusive, ``since`` inclusive."""

    before: datetime | None = None
    since: datetime | None = None
    task: str | None = None
    thread_id: str | None = None
    labelled: bool | None = None
    exclude: frozenset[str] = frozenset()  # interaction ids
    abandoned: bool | None = False  # None: those on abandoned branches of a thread too


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What the vector index keeps of one interaction: enough to find it, never the interaction itself."""

    id: str  # the interaction's id, a UUID
    user_id: str
    vector: Vectors  # (dim,), unit length
    text: str  # what the lexical signal is computed from
    created_at: datetime
    task: str | None = None
    thread_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A found point. ``score`` is the fused score of the signals; ``dense`` the cosine similarity if known."""

    id: str
    score: float
    dense: float | None = None


class Embedder(Protocol):
    """Turns text into unit vectors. ``name`` and ``dim`` identify the vector space and never change."""

    name: str
    dim: int

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one unit vector a text, shape (len(texts), dim), independent of the batch a text came in."""


class VectorIndex(Protocol):
    """An index of points that can be rebuilt from the ledger at any time. Opens lazily, closes idempotently."""

    async def upsert(self, points: Sequence[Point]) -> None:
        """Write points; an existing id is replaced. Durable when it returns, or within the engine's flush period."""

    async def search(self, user_id: str, vector: Vectors, text: str, k: int, where: Where) -> list[Hit]:
        """Best k of this user's points by dense and lexical similarity fused, best first (``labelled`` is ignored)."""

    async def delete(self, user_id: str, ids: Sequence[str]) -> None:
        """Remove these points of this user; unknown ids are passed over."""

    async def delete_user(self, user_id: str) -> None:
        """Remove every point of this user."""

    async def count(self, user_id: str | None = None) -> int:
        """Number of points, of one user or in all."""

    async def close(self) -> None:
        """Flush and release the index."""


class EpisodicMemory(Protocol):
    """What happened: the user's interactions (paper, episodic memory ``D^u``)."""

    async def append(self, user_id: str, interaction: Interaction) -> Interaction:
        """Store an interaction once; the same id again changes nothing. Returns it as stored.

        ``created_at`` is moved on by microseconds where another interaction of the user has it already.
        """

    async def keep(
        self,
        user_id: str,
        turn: Interaction,
        again: Callable[[Interaction], bool] = lambda _: False,
        path: Path | None = None,
    ) -> Kept:
        """Store a turn like ``append``, unless one of its thread's newest is this one ``again``.

        The same id with another answer is an answer made anew. ``path`` says where in its thread the turn stands: what
        is on other branches since then is abandoned.

        What feedback and reading need to know of it is told with it.
        """

    async def append_many(self, user_id: str, interactions: Sequence[Interaction]) -> int:
        """Store many; returns how many were new. All of them or none."""

    async def get(self, user_id: str, interaction_id: str) -> Interaction:
        """The interaction; raises UnknownInteraction."""

    async def search(self, user_id: str, query: str, k: int, where: Where = Where()) -> list[Recall]:
        """The k memories that fit the query best, best first; near-duplicates share one place."""

    async def newest(self, user_id: str, limit: int, where: Where = Where()) -> list[Interaction]:
        """The newest ``limit`` interactions, oldest first."""

    async def feedback(self, user_id: str, interaction_id: str, given: Feedback) -> Interaction:
        """Take in what the user says of an answer; the same again changes nothing. Returns the interaction with it.

        Explicit truth replaces implicit, never the reverse; a rating from 4 up makes the response the ground truth
        where there is no explicit one. Raises UnknownInteraction, InvalidLabel.
        """

    async def count(self, user_id: str, where: Where = Where()) -> int:
        """How many interactions the user has."""


class SemanticMemory(Protocol):
    """Who the user is: facts with evidence (paper, semantic memory ``P^u``)."""

    async def profile(self, user_id: str, *, before: datetime | None = None) -> UserProfile:
        """The facts that hold now, or that held before that moment, strongest first, within the token budget."""

    async def search(self, user_id: str, query: str, k: int, *, before: datetime | None = None) -> list[Fact]:
        """The k facts that fit the query best."""

    async def apply(self, user_id: str, operations: Sequence[FactOperation], *, through: datetime) -> list[Fact]:
        """Carry out the valid ones of the operations, pass over the others, and note what was read through.

        An operation is invalid when its text is empty or over 300 characters, when evidence is not this user's, or
        when it names an unknown or inactive fact. Returns the facts that were added.
        """

    async def history(self, user_id: str) -> list[Fact]:
        """Every fact, superseded and retired ones too, oldest first."""


class PersonaStore(Protocol):
    """The versions of a user's persona (paper, persona ``P``), append-only."""

    async def current(self, user_id: str) -> Persona | None:
        """The version in force, or None before the seed."""

    async def get(self, user_id: str, version: int) -> Persona:
        """That version; raises UnknownVersion."""

    async def history(self, user_id: str) -> list[Persona]:
        """All versions, oldest first."""

    async def append(
        self,
        user_id: str,
        sections: Sections,
        origin: PersonaOrigin,
        *,
        expected_parent: int | None,
        proposer: str | None = None,
        reason: str = "",
        loss_before: float | None = None,
        loss_after: float | None = None,
        aligned_through: datetime | None = None,
    ) -> Persona:
        """Append the next version if ``expected_parent`` is still current (None: there is no version yet).

        Raises PersonaConflict otherwise. ``aligned_through`` None inherits the parent's.
        """

    async def rollback(self, user_id: str, version: int, *, reason: str = "") -> Persona:
        """Append a new version that copies an old one; raises UnknownVersion."""

    async def pins(self, user_id: str) -> list[Pin]:
        """The user's own instructions, oldest first."""

    async def pin(
        self,
        user_id: str,
        text: str,
        *,
        origin: PinOrigin = "user",
        said_in: str | None = None,
        replaces: Collection[str] = (),
    ) -> Pin:
        """Add an instruction that alignment may never touch; raises InvalidPersona (empty, over 500 characters).

        ``said_in`` is the interaction of a wish; the pins of the ids in ``replaces`` go.
        """

    async def reword(self, user_id: str, pin_id: str, text: str) -> None:
        """Put an instruction in other words; raises UnknownPin, InvalidPersona."""

    async def unpin(self, user_id: str, pin_id: str) -> None:
        """Remove one; unknown ids are passed over."""


class Models(Protocol):
    """Chat models by role, behind one OpenAI-compatible endpoint or the embedded default."""

    embedded: bool  # the small embedded model runs: it cannot call tools or write personas, only classify
    tool_calling: bool  # whether the agent's model may be given tools; its card says when

    def name(self, role: Role) -> str:
        """The model's name, for records."""

    async def card(self, role: Role) -> Card:
        """What the role's model can do, as far as it is known; found out at the first use."""

    async def chat(self, role: Role) -> BaseChatModel:
        """The chat model of a role; calls are metered (``models.meter``) and raise ModelError.

        Opening it may raise SetupError. It belongs to the running event loop; ask again rather than keep it.
        """

    async def choose(self, role: Role, messages: Sequence[BaseMessage], choices: Sequence[str]) -> str:
        """Ask for exactly one of ``choices`` by constrained output; raises ModelOutputInvalid for anything else."""

    async def probabilities(
        self, role: Role, messages: Sequence[BaseMessage], choices: Sequence[str]
    ) -> dict[str, float] | None:
        """How likely the model answers each of ``choices``, summing to 1; None where the endpoint does not tell."""

    async def structured(
        self, role: Role, messages: Sequence[BaseMessage], schema: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Ask for a JSON object of that JSON schema; raises ModelOutputInvalid when it is not of that form."""

    async def close(self) -> None:
        """Close the connections of the running event loop."""
