"""One turn: what came of it, and what the user can say of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from typing import TYPE_CHECKING, Any

from personaagent.errors import InputError
from personaagent.library.values import Approval, FeedbackTaken, Token, ToolStep, in_force
from personaagent.types import Persona, Recall, ToolTrace, UserProfile

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

    from personaagent.context import Context
    from personaagent.library.user import User


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Whose turn this is and how it was asked for: what it takes to go on with it."""

    user: User
    query: str
    context: Context
    thread_id: str
    thread: str | None
    saver: BaseCheckpointSaver[Any] | None = None  # of this turn alone, where the conversation is kept elsewhere
    forked: bool = False  # the conversation begins with this turn, and leaves what its thread had


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What came of a turn. With ``approvals`` it waits for a decision on each of them and has no answer yet.

    ``str(turn)`` is the answer. Feedback (``correct``, ``edit``, ``rate``, ``comment``, ``thumb``, ``prefer``) raises
    InvalidLabel where the turn was not remembered, and what ``User.feedback`` raises.
    """

    query: str
    answer: str = ""
    id: str = ""  # of the remembered interaction; empty: nothing of the turn is remembered
    thread: str | None = None  # the name of its conversation; None: it stands alone
    persona: Persona | None = None  # that was in force; None: answered without
    pins: tuple[str, ...] = ()  # the user's own instructions that were in force
    profile: UserProfile | None = None  # the facts that were shown to the model
    recalled: tuple[Recall, ...] = ()
    tools: tuple[ToolTrace, ...] = ()
    probabilities: Mapping[str, float] = field(default_factory=dict)  # of each choice
    noted: tuple[str, ...] = ()  # what holds from now on because this message says so
    degraded: tuple[str, ...] = ()  # what could not be used
    approvals: tuple[Approval, ...] = ()
    run: InitVar[Run]

    def __post_init__(self, run: Run) -> None:
        # no field: what is written down of a turn is what came of it
        self.__dict__["_run"] = run

    @property
    def _user(self) -> User:
        run: Run = self.__dict__["_run"]
        return run.user

    @property
    def persona_version(self) -> int | None:
        """The version that was in force."""
        return self.persona.version if self.persona is not None else None

    @property
    def clauses(self) -> tuple[str, ...]:
        """The clauses that were in force, ``section: text``."""
        return in_force(self.persona)

    def __str__(self) -> str:
        return self.answer or "\n".join(f"waits for approval: {approval}" for approval in self.approvals)

    async def approve(self, *, always: bool = False) -> Turn:
        """Let every call that waits run; ``always``: these tools need not ask this user again. Returns what follows."""
        return await self.decide([{"type": "accept", "remember": always}] * len(self.approvals))

    async def decline(self, reason: str = "") -> Turn:
        """Let none of the calls that wait run; the agent goes on without and is told the reason."""
        return await self.decide([{"type": "reject", "message": reason}] * len(self.approvals))

    async def decide(self, decisions: Sequence[Mapping[str, Any]]) -> Turn:
        """Go on with one decision a call: ``{"type": "accept" | "edit" | "reject", "args", "message", "remember"}``.

        Raises InputError where nothing waits.
        """
        return await finished(self.stream_decide(decisions))

    def stream_decide(self, decisions: Sequence[Mapping[str, Any]]) -> AsyncIterator[Event]:
        """As ``decide``, with the events of ``User.stream``."""
        if not self.approvals:
            raise InputError("this turn waits for no approval")
        return self._user._resume(self.__dict__["_run"], [dict(decision) for decision in decisions])

    async def correct(self, truth: str, **how: Any) -> FeedbackTaken:
        """What the answer should have been; in a closed answer space one of the choices."""
        return await self._user.feedback(self.id, ground_truth=truth, source="correction", **how)

    async def edit(self, text: str, **how: Any) -> FeedbackTaken:
        """The answer as the user rewrote it."""
        return await self._user.feedback(self.id, ground_truth=text, source="edit", **how)

    async def rate(self, rating: int, comment: str | None = None, **how: Any) -> FeedbackTaken:
        """1 to 5; from 4 up the answer was right."""
        return await self._user.feedback(self.id, rating=rating, comment=comment, **how)

    async def thumb(self, up: bool = True, comment: str | None = None, **how: Any) -> FeedbackTaken:
        """The same as a rating of 5 or 1."""
        return await self._user.feedback(self.id, thumb="up" if up else "down", comment=comment, **how)

    async def comment(self, text: str, **how: Any) -> FeedbackTaken:
        """What the user says of the answer, in words."""
        return await self._user.feedback(self.id, comment=text, **how)

    async def prefer(self, picked: str, over: str, **how: Any) -> FeedbackTaken:
        """The better one of two answers, and the other one."""
        return await self._user.feedback(self.id, picked=picked, over=over, **how)


Event = Token | ToolStep | Turn


async def finished(events: AsyncIterator[Event]) -> Turn:
    """The turn that ends a stream of events."""
    turns = [event async for event in events if isinstance(event, Turn)]
    return turns[-1]
