"""A conversation with the user's own agent, without a surface: turns, approvals, feedback, background work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from langchain_core.messages import AIMessageChunk, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.types import Command

from app.worker import Done, Worker
from graph.agent import build_agent
from graph.feedback import build_feedback
from personaagent.context import Context
from personaagent.errors import InvalidLabel
from personaagent.types import Persona, Recall, ToolTrace, UserProfile

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

    from graph.services import Services

# what the state of a turn is made of, so that it may come back out of a checkpoint
KEPT = ("Clause", "Fact", "Interaction", "Persona", "Recall", "Section", "ToolTrace", "UserProfile")


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What came of a turn. With ``approvals`` it waits for a decision on each of them."""

    answer: str = ""
    interaction_id: str = ""
    persona_version: int | None = None
    degraded: tuple[str, ...] = ()
    persona: Persona | None = None
    profile: UserProfile | None = None
    recalled: tuple[Recall, ...] = ()
    tools: tuple[ToolTrace, ...] = ()
    approvals: tuple[dict[str, Any], ...] = ()


class Conversation:
    """One user's thread. ``on_text`` gets the answer so far while the model writes it."""

    def __init__(self, services: Services, context: Context, on_text: Callable[[str], None] = lambda _: None) -> None:
        self._context = context
        self._on_text = on_text
        serde = JsonPlusSerializer(allowed_msgpack_modules=[("personaagent.types", name) for name in KEPT])
        self._agent = build_agent(services).compile(checkpointer=InMemorySaver(serde=serde))
        self._feedback = build_feedback(services).compile()
        self._worker = Worker(services)
        self._one_model = services.models.embedded
        self._background: asyncio.Task[None] | None = None
        self._thread = str(uuid4())
        self._seen: dict[str, Any] = {}
        self.last: Turn | None = None
        self.news: list[Done] = []  # alignments that ended since somebody looked

    def new(self) -> None:
        """Begin a new thread; memory and persona stay."""
        self._thread, self.last = str(uuid4()), None

    async def say(self, text: str) -> Turn:
        """One turn; raises what the graph raises. Background work never makes it wait."""
        if self._one_model:
            await self.rest()  # an alignment would share the only model with this reply
        self._seen = {}
        return await self._run({"messages": [HumanMessage(text)]})

    async def decide(self, decisions: list[dict[str, Any]]) -> Turn:
        """Go on with a turn that waits for approval, one decision a request."""
        return await self._run(Command(resume=decisions))

    async def wrong(self, truth: str) -> dict[str, Any]:
        """Tell what the last answer should have been; alignment follows in the background."""
        return await self._tell({"ground_truth": truth, "source": "correction"})

    async def good(self) -> dict[str, Any]:
        """Tell that the last answer was right."""
        return await self._tell({"rating": 5})

    async def work(self) -> None:
        """Let background alignment run from now on."""
        if self._background is None or self._background.done():
            self._background = asyncio.create_task(self._worker.forever(self.news.append))

    async def rest(self) -> None:
        """Stop background alignment; what is unfinished goes back to the queue."""
        if self._background is not None:
            self._background.cancel()
            with suppress(asyncio.CancelledError):
                await self._background
            self._background = None

    async def _tell(self, feedback: dict[str, Any]) -> dict[str, Any]:
        if self.last is None or not self.last.interaction_id:
            raise InvalidLabel("there is no answer yet that this could be about: ask something first")
        given = {"interaction_id": self.last.interaction_id, **feedback}
        result: dict[str, Any] = await self._feedback.ainvoke(given, context=self._context)  # type: ignore[call-overload]
        return result

    async def _run(self, given: Any) -> Turn:
        config: RunnableConfig = {"configurable": {"thread_id": self._thread}}
        approvals: tuple[dict[str, Any], ...] = ()
        text, message_id = "", None
        # in a closed answer space the model writes JSON, which is nobody's to read
        shown = not self._context.choices
        parts: Any = self._agent.astream(given, config, context=self._context, stream_mode=["messages", "updates"])
        async for mode, part in parts:
            if mode == "messages":
                chunk, origin = part
                if shown and isinstance(chunk, AIMessageChunk) and origin.get("langgraph_node") == "reason":
                    text = chunk.text if chunk.id != message_id else text + chunk.text
                    message_id = chunk.id
                    self._on_text(text)
                continue
            for node, update in part.items():
                if node == "__interrupt__":
                    approvals = tuple(request for pause in update for request in _requests(pause.value))
                elif isinstance(update, dict):
                    self._seen |= update
        self.last = self._turn(approvals)
        return self.last

    def _turn(self, approvals: tuple[dict[str, Any], ...]) -> Turn:
        seen = self._seen
        return Turn(
            answer=seen.get("answer", ""),
            interaction_id=seen.get("interaction_id", ""),
            persona_version=seen.get("persona_version"),
            degraded=tuple(seen.get("degraded", ())),
            persona=seen.get("persona"),
            profile=seen.get("profile"),
            recalled=tuple(seen.get("recalled", ())),
            tools=tuple(seen.get("trace", ())),
            approvals=approvals,
        )


def _requests(value: Any) -> list[dict[str, Any]]:
    return [request for request in (value if isinstance(value, list) else [value]) if isinstance(request, dict)]
