"""A turn over HTTP: asked, streamed, decided, and told with everything that the answer stood on.

Nothing of a conversation is kept in the process: its earlier turns come from the ledger by their thread, or from the
client where nothing is kept, so any worker answers any turn. A turn that waits for the user's decision waits in the
ledger, for ``WAITING``, and whichever worker the decision reaches goes on with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal
from uuid import uuid4

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage

from personaagent.context import Context
from personaagent.errors import ConflictError, StoreError, UnknownInteraction
from personaagent.library import turn as library
from personaagent.library.agent import PersonaAgent
from personaagent.library.turn import Turn
from personaagent.library.values import Approval
from personaagent.library.values import Token as Piece
from personaagent.library.waiting import packed, unpacked
from personaagent.models.meter import metering
from personaagent.persona.seed import TEMPLATE
from personaagent.ports import Where
from personaagent.turn import MESSAGE_KEY
from personaagent.types import Interaction, Section, ToolTrace, Usage

EARLIER_TURNS: Final = 40  # newest of a thread that are put before the model, as far as its budget takes them
WAITING: Final = timedelta(minutes=10)
MAX_BRANCHED: Final = 200  # newest of a thread, on all its branches, among which a client's messages are found
MAX_WAITING: Final = 8  # turns of a user that wait for a decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """An earlier message of a conversation."""

    role: Literal["user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked: the text, its thread, how to answer it, and what was said before where the ledger has it not.

    ``instead_of`` is an earlier turn of the thread (its interaction's id) whose place this one takes: that one and what
    came after it leave the conversation. With the same text, or none, it is answered anew.
    """

    text: str
    context: Context
    thread_id: str = field(default_factory=lambda: str(uuid4()))
    earlier: tuple[Said, ...] | None = None
    instead_of: str = ""
    pictures: tuple[str, ...] = ()  # each whole, as a data: address; memory has of it that there was one


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """More of the answer. ``reset``: what came before was a step on the way, and the answer begins anew."""

    text: str
    reset: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RecalledMemory:
    """A memory that the answer had before it; ``score`` is comparable within one answer."""

    id: str
    query: str
    ground_truth: str | None
    created_at: datetime
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClauseInForce:
    """A sentence of the persona that the answer was given under; ``rule``: every persona begins with it."""

    section: Section
    text: str
    rule: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the message wished for all later answers, pinned in this turn; ``pin_id`` takes it back."""

    pin_id: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A turn that is answered, or waits (``approvals``) for a decision that is sent for its ``turn_id``."""

    turn_id: str
    thread_id: str
    interaction_id: str  # empty: nothing was kept
    answer: str
    persona_version: int | None
    recalled: tuple[RecalledMemory, ...]
    clauses: tuple[ClauseInForce, ...]
    pins: tuple[str, ...]
    facts: tuple[str, ...]
    tools: tuple[ToolTrace, ...]
    noted: tuple[str, ...]
    wishes: tuple[Wish, ...]
    degraded: tuple[str, ...]
    probabilities: Mapping[str, float]
    approvals: tuple[Approval, ...]
    usage: Usage


Event = Token | Answer


class DecisionTooLate(ConflictError):
    """No turn of this user waits for a decision under that id."""


def spoken(turn: Interaction) -> str:
    """The answer that a conversation goes on with: of two the one that the user picked; empty where there is none."""
    picked = turn.truth_source == "pick" and turn.rejected == turn.response
    return (turn.ground_truth if picked else turn.response) or ""


def _picture(address: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": address}}


def _asked(question: Question, former: Interaction | None) -> HumanMessage:
    """The message; one that is answered anew keeps its id, and so its interaction."""
    text = question.text or (former.query if former is not None else "")
    anew = former is not None and text == former.query
    if question.pictures:
        return HumanMessage([{"type": "text", "text": text}, *map(_picture, question.pictures)])
    return HumanMessage(text, id=former.metadata.get(MESSAGE_KEY) if anew and former is not None else None)


def _recognized(
    past: Sequence[Interaction], earlier: Sequence[Said], text: str
) -> tuple[dict[int, str], Interaction | None]:
    """The message id of each earlier message that is one of the turns in ``past``, and the turn that is asked anew.

    From the newest back, and no further than all are found: what a turn leaves is certain only then.
    """
    ids: dict[int, str] = {}
    last, until = 0, len(past)
    for place in reversed([place for place, one in enumerate(earlier) if one.role == "user"]):
        found = [at for at in range(until) if _same(past[at].query, earlier[place].text)]
        if not found:
            break
        until = found[-1]
        last = last if ids else until
        ids[place] = past[until].metadata[MESSAGE_KEY]
    following = next((turn for turn in past[last + 1 :] if not turn.abandoned), None) if ids else None
    return ids, following if following is not None and _same(following.query, text) else None


def _same(kept: str, said: str) -> bool:
    return kept.split() == said.split()


class Turns:
    """Answers the turns of all users."""

    def __init__(self, agent: PersonaAgent, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._agent = agent
        self._clock = clock

    async def ask(self, user_id: str, question: Question) -> AsyncIterator[Event]:
        """The answer as it is written, then the whole; closing the iterator stops the run.

        Raises TooManyTurns, UnknownInteraction and what ``User.stream`` raises.
        """
        former = await self._former(user_id, question) if question.instead_of else None
        if question.earlier is None:
            earlier = await self._earlier(user_id, question, former)
        else:
            earlier, former = await self._told(user_id, question, question.earlier)
        events = self._agent.user(user_id).stream_after(
            _asked(question, former),
            earlier,
            thread_id=question.thread_id,
            context=question.context,
            forked=former is not None and not earlier,
        )
        async for event in self._carry_out(user_id, question.thread_id, str(uuid4()), events, Usage()):
            yield event

    async def decide(self, user_id: str, turn_id: str, decisions: Sequence[dict[str, Any]]) -> AsyncIterator[Event]:
        """Go on with a turn that waits, one decision a call; raises DecisionTooLate, StoreError."""
        found = await self._agent.services.waiting.take(user_id, turn_id, since=self._clock() - WAITING)
        if found is None:
            raise DecisionTooLate(
                "no turn of yours waits for this decision: it was decided, waited longer than ten minutes, or made "
                "room for newer ones; ask again"
            )
        turn, thread_id, spent = await unpacked(self._agent.user(user_id), found)
        async for event in self._carry_out(user_id, thread_id, turn_id, turn.stream_decide(decisions), spent):
            yield event

    async def _carry_out(
        self, user_id: str, thread_id: str, turn_id: str, events: AsyncIterator[library.Event], spent: Usage
    ) -> AsyncIterator[Event]:
        """Work in a task of its own, so that whoever stops listening ends it."""
        limiter = self._agent.services.limiter
        limiter.begin_turn(user_id, turn_id)
        queue: asyncio.Queue[Event | None] = asyncio.Queue()

        async def work() -> None:
            begun = ""
            with metering() as meter:
                async for event in events:
                    if isinstance(event, Piece):
                        queue.put_nowait(Token(text=event.text, reset=bool(begun) and event.so_far == event.text))
                        begun = event.so_far
                    elif isinstance(event, Turn):
                        usage = spent + meter.total
                        if event.approvals:
                            await self._keep_waiting(user_id, turn_id, event, usage)
                        queue.put_nowait(await self._answer(user_id, thread_id, turn_id, event, usage))

        working = asyncio.create_task(work())
        working.add_done_callback(lambda _: queue.put_nowait(None))
        try:
            while (event := await queue.get()) is not None:
                yield event
            await working
        finally:
            working.cancel()
            await asyncio.wait([working])
            limiter.end_turn(user_id, turn_id)

    async def _answer(self, user_id: str, thread_id: str, turn_id: str, turn: Turn, usage: Usage) -> Answer:
        sections = turn.persona.sections if turn.persona is not None else {}
        return Answer(
            turn_id=turn_id,
            thread_id=thread_id,
            interaction_id=turn.id,
            answer=turn.answer,
            persona_version=turn.persona_version,
            recalled=tuple(
                RecalledMemory(
                    id=recall.interaction.id,
                    query=recall.interaction.query,
                    ground_truth=recall.interaction.ground_truth,
                    created_at=recall.interaction.created_at,
                    score=recall.score,
                )
                for recall in turn.recalled
            ),
            clauses=tuple(
                ClauseInForce(section=section, text=clause.text, rule=clause.kind == TEMPLATE)
                for section in Section
                for clause in sections.get(section, ())
            ),
            pins=turn.pins,
            facts=tuple(fact.text for fact in turn.profile.facts) if turn.profile is not None else (),
            tools=turn.tools,
            noted=turn.noted,
            wishes=await self._wishes(user_id, turn.id) if turn.noted and turn.id else (),
            degraded=turn.degraded,
            probabilities=turn.probabilities,
            approvals=turn.approvals,
            usage=usage,
        )

    async def _wishes(self, user_id: str, interaction_id: str) -> tuple[Wish, ...]:
        try:
            pins = await self._agent.services.personas.pins(user_id)
        except StoreError:
            return ()
        return tuple(Wish(pin_id=pin.id, text=pin.text) for pin in pins if pin.said_in == interaction_id)

    async def _former(self, user_id: str, question: Question) -> Interaction:
        """The turn whose place this one takes; raises UnknownInteraction where the conversation has none of that id."""
        found = await self._agent.services.episodic.get(user_id, question.instead_of)
        if found.thread_id != question.thread_id or question.earlier is not None:
            raise UnknownInteraction("this conversation has no such turn: ask anew")
        return found

    async def _earlier(self, user_id: str, question: Question, former: Interaction | None) -> list[AnyMessage]:
        """What was said before in this conversation, oldest first; nothing where the ledger does not answer.

        Where a turn takes the place of another, the messages have the ids by which the thread's branches are told
        apart. Otherwise they have none: of two that are asked at once neither leaves the other.
        """
        where = Where(thread_id=question.thread_id, before=former.created_at if former is not None else None)
        try:
            past = await self._agent.services.episodic.newest(user_id, EARLIER_TURNS, where)
        except StoreError:
            return []
        messages: list[AnyMessage] = []
        for turn in past:
            messages.append(HumanMessage(turn.query, id=turn.metadata.get(MESSAGE_KEY) if former is not None else None))
            if answer := spoken(turn):
                messages.append(AIMessage(answer))
        return messages

    async def _told(
        self, user_id: str, question: Question, earlier: Sequence[Said]
    ) -> tuple[list[AnyMessage], Interaction | None]:
        """What was said before as the client tells it, and the thread's turn that is asked anew, if one is.

        Messages that are turns of the thread have the ids of these, by which its branches are told apart.
        """
        past: list[Interaction] = []
        if question.context.personalize and any(one.role == "user" for one in earlier):
            where = Where(thread_id=question.thread_id, abandoned=None)
            with suppress(StoreError):
                past = await self._agent.services.episodic.newest(user_id, MAX_BRANCHED, where)
        ids, anew = _recognized([turn for turn in past if MESSAGE_KEY in turn.metadata], earlier, question.text)
        return [
            HumanMessage(one.text, id=ids.get(place)) if one.role == "user" else AIMessage(one.text)
            for place, one in enumerate(earlier)
        ], anew

    async def _keep_waiting(self, user_id: str, turn_id: str, turn: Turn, usage: Usage) -> None:
        now, told = self._clock(), await packed(turn, usage)
        await self._agent.services.waiting.put(user_id, turn_id, told, now, since=now - WAITING, most=MAX_WAITING)
