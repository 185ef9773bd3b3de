"""A conversation with the user's own agent, without a screen: turns, feedback, rules, what can be taken back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage

from personaagent.conversation import FORGOTTEN
from personaagent.errors import InvalidLabel, PersonaAgentError
from personaagent.library.agent import PersonaAgent
from personaagent.library.turn import Event, Turn
from personaagent.library.values import FeedbackTaken, Token
from personaagent.persona.proposers.edits import WINDOW, offered_rule, rule_of_edits
from personaagent.ports import Where
from personaagent.scheduling import READING
from personaagent.tools.forget import NAME as FORGET
from personaagent.types import Fact, Interaction, clauses_of

if TYPE_CHECKING:
    from personaagent.context import Context
    from personaagent.graph.services import Services
    from personaagent.library.worker import Done

READ_S = 10.0  # that a conversation's end may take to read what was said
STOPPED = "the user stopped the answer"
NOT_YET = "Your persona stays as it is: nothing that was tried is surely better yet. More corrections will tell."
Undo = Callable[[], Awaitable[object]]


class Conversation:
    """One user's conversation. ``on_event`` gets the parts of an answer, ``on_news`` sentences from the background."""

    def __init__(
        self,
        services: Services,
        context: Context,
        on_event: Callable[[Event], None] = lambda _: None,
        on_news: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._services = services
        self._agent = PersonaAgent.over(services)
        self._context = context
        self._on_event = on_event
        self._on_news = on_news
        self._telling: set[asyncio.Task[None]] = set()
        self._undo: list[tuple[str, Undo]] = []
        self._offered: set[str] = set()  # what a rule that was offered is about
        self._asked = self._so_far = ""
        self.user = self._agent.user(context.user_id)
        self.new()

    def new(self) -> None:
        """Begin a new thread; memory and persona stay."""
        self._thread, self._earlier = str(uuid4()), list[AnyMessage]()
        self.last: Turn | None = None
        self.last_id = ""  # of the newest answer that feedback can be about

    async def say(self, text: str) -> Turn:
        """One turn; raises what the graph raises."""
        self._asked, self._so_far = text, ""
        return await self._read(
            self.user.stream_after(text, self._earlier, thread_id=self._thread, context=self._context)
        )

    async def decide(self, decisions: list[dict[str, Any]]) -> Turn:
        """Go on with a turn that waits for approval, one decision a request."""
        if self.last is None:
            raise InvalidLabel("nothing waits for a decision")
        return await self._read(self.last.stream_decide(decisions))

    async def stopped(self) -> str:
        """Keep the answer as far as it was written when the turn was cancelled; returns it."""
        written = self._so_far.strip()
        self.last, self.last_id, self._so_far = None, "", ""
        if not written:
            return ""
        self._earlier += [HumanMessage(self._asked), AIMessage(written)]
        if self._context.personalize and await self.user.personalized():
            kept = Interaction(
                id=str(uuid4()),
                user_id=self.user.id,
                query=self._asked,
                created_at=datetime.now(UTC),
                thread_id=self._thread,
                task=self._context.task,
                response=written,
                metadata={"degraded": [STOPPED]},
            )
            self.last_id = (await self._services.episodic.append(self.user.id, kept)).id
        return written

    async def tell(self, said: dict[str, Any]) -> FeedbackTaken:
        """Feedback on the last answer, in the fields of ``FeedbackInput``; raises InvalidLabel where there is none."""
        if not self.last_id:
            raise InvalidLabel("there is no answer yet that this could be about: ask something first")
        return await self.user.feedback(self.last_id, **said)

    async def labels_missing(self) -> int:
        """How many more pieces of feedback it takes until the persona may change."""
        return max(0, self._services.settings.align_after - await self._services.users.labels(self.user.id))

    async def rule(self, truth: str) -> str | None:
        """A lasting rule that the correction of the last answer may stand for, to be offered; None: there is none."""
        answer = self.last.answer if self.last is not None else ""
        pins = [pin.text for pin in await self.user.pins()]
        return await offered_rule(self._services.models, self._asked, answer, truth, pins)

    async def edited_rule(self) -> str | None:
        """A rule that the user's edits show by now, to be offered once; None: there is none, or it is stated."""
        view = await self.user.persona()
        history = await self._services.episodic.newest(self.user.id, WINDOW, Where(labelled=True))
        pins = [pin.text for pin in view.pins]
        found = rule_of_edits(history, clauses_of(view.persona.sections), pins, self._offered)
        if found is None:
            return None
        self._offered.add(found[0])
        return found[1]

    async def keep_rule(self, rule: str) -> None:
        """Pin a rule that the user has agreed to."""
        pin = await self.user.pin(rule)
        self._undo.append((f"the rule: {rule}", lambda: self.user.unpin(pin.id)))

    async def remember(self, text: str) -> None:
        """Keep a fact in the user's own words; raises InvalidFact."""
        fact = await self.user.remember(text)
        self._undo.append((f"the fact: {text}", lambda: self.user.forget_fact(fact)))

    async def undo(self) -> str | None:
        """Take back the newest of what was learnt in this conversation; returns what it was, None: there is nothing."""
        if not self._undo:
            return None
        what, back = self._undo.pop()
        await back()
        return what

    def work(self) -> None:
        """Let background alignment run from now on."""
        self._agent.start_background(self._done)

    async def rest(self) -> None:
        """Stop background alignment; what is unfinished goes back to the queue."""
        await self._agent.stop_background()

    async def close(self) -> None:
        """End the conversation: what was said is read into facts, now or, where that takes long, later."""
        await self.rest()
        services = self._services
        try:
            await services.end_conversation(self.user.id)
            if any(job.kind == READING for job in await services.jobs.pending(self.user.id)):
                async with asyncio.timeout(READ_S):
                    self._noted(await services.reader.read(self.user.id))
        except (TimeoutError, PersonaAgentError):
            return  # it waits in the queue
        finally:
            await self._agent.close()

    async def _read(self, events: AsyncIterator[Event]) -> Turn:
        async for event in events:
            if isinstance(event, Turn):
                self.last, self.last_id = event, event.id
            else:
                self._so_far = event.so_far if isinstance(event, Token) else self._so_far
                self._on_event(event)
        turn = self.last
        assert turn is not None  # noqa: S101 (a stream of events ends with a turn)
        if turn.answer and not turn.approvals:
            self._said(turn)
        if turn.noted:
            for pin in await self.user.pins():
                if pin.said_in == turn.id:
                    self._undo.append((f"the wish: {pin.text}", lambda key=pin.id: self.user.unpin(key)))  # type: ignore[misc]
        return turn

    def _said(self, turn: Turn) -> None:
        """Go on from that turn; after a forgetting only from it, since what of the others is gone is not known here."""
        forgot = any(call.name == FORGET and call.outcome == "ok" for call in turn.tools)
        before = [] if forgot else self._earlier
        self._earlier = [*before, HumanMessage(FORGOTTEN if forgot else turn.query), AIMessage(turn.answer)]

    def _done(self, done: Done) -> None:
        """Tell this user what background work has brought them; a worker carries out others' too."""
        if done.user_id == self.user.id:
            task = asyncio.create_task(self._tell(done))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def _tell(self, done: Done) -> None:
        if done.error:
            self._on_news(f"Learning from what you said failed and is tried again later: {done.error}")
        elif done.kind == READING:
            self._noted(done.noted)
        elif done.committed is None:
            self._on_news(NOT_YET)
        else:
            changed = await self.user.diff(after=done.committed)
            before = changed.before.version
            self._undo.append(("the change of your persona", lambda: self.user.roll_back(before)))
            self._on_news(change_sentence(changed.before.sections, changed.after.sections))

    def _noted(self, facts: tuple[Fact, ...]) -> None:
        for fact in facts:
            self._undo.append((f"the fact: {fact.text}", lambda key=fact.id: self.user.forget_fact(key)))  # type: ignore[misc]
            self._on_news(f"Noted: {fact.text} (/undo)")


def change_sentence(before: Any, after: Any) -> str:
    """What a new version of the persona changes, in one sentence with its clauses; takes two ``Sections``."""
    old = [clause.text for clause in clauses_of(before)]
    new = [clause.text for clause in clauses_of(after)]
    added = [f"“{text}”" for text in new if text not in old]
    gone = [f"“{text}”" for text in old if text not in new]
    parts = [
        *(["from now on " + ", ".join(added)] if added else []),
        *(["no longer " + ", ".join(gone)] if gone else []),
    ]
    return f"Your persona has learnt from your corrections: {'; '.join(parts) or 'its order changed'} (/undo)"
