"""Reading a turn out of what its graph streams."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from langchain_core.messages import AIMessageChunk

from personaagent.library.turn import Event, Run, Turn
from personaagent.library.values import Approval, Token, ToolStep
from personaagent.models.replies import may_be_call


class TurnReader:
    """Takes the parts of a graph's stream and makes events and the turn of them.

    ``shown`` is False in a closed answer space, where the model writes JSON, which is nobody's to read.
    """

    def __init__(self, state: dict[str, Any], *, shown: bool) -> None:
        self._state = state
        self._shown = shown
        self._approvals: tuple[Approval, ...] = ()
        self._text = ""  # of the newest message, and how much of it was given out
        self._given = 0
        self._message_id: str | None = None

    def read(self, mode: str, part: Any) -> Iterator[Event]:
        """The events in one part."""
        if mode == "messages":
            chunk, origin = part
            if self._shown and isinstance(chunk, AIMessageChunk) and origin.get("langgraph_node") == "reason":
                yield from self._written(chunk)
            return
        for node, update in part.items():
            if node == "__interrupt__":
                self._approvals = tuple(_approval(request) for pause in update for request in _requests(pause.value))
            elif isinstance(update, dict):
                if node == "act":
                    before = len(self._state.get("trace", ()))
                    for trace in update.get("trace", ())[before:]:
                        yield ToolStep(name=trace.name, outcome=trace.outcome)
                self._state |= update

    def _written(self, chunk: AIMessageChunk) -> Iterator[Event]:
        if not chunk.text:
            return
        if chunk.id != self._message_id:
            self._text, self._given, self._message_id = "", 0, chunk.id
        self._text += chunk.text
        # a call of a tool that there is not is asked for again; where it is the answer after all, it comes at the end
        if self._given or not may_be_call(self._text):
            yield Token(text=self._text[self._given :], so_far=self._text)
            self._given = len(self._text)

    def unstreamed(self) -> Token | None:
        """The whole answer as one token, where none of it was streamed."""
        answer = self._state.get("answer", "")
        return Token(text=answer, so_far=answer) if self._shown and answer and not self._given else None

    def turn(self, run: Run) -> Turn:
        """What came of the turn."""
        state = self._state
        return Turn(
            query=run.query,
            answer=state.get("answer", ""),
            id="" if self._approvals else state.get("interaction_id", ""),
            thread=run.thread,
            persona=state.get("persona"),
            pins=tuple(state.get("pins", ())),
            profile=state.get("profile"),
            recalled=tuple(state.get("recalled", ())),
            tools=tuple(state.get("trace", ())),
            probabilities=dict(state.get("probabilities", {})),
            noted=tuple(state.get("noted", ())),
            degraded=tuple(state.get("degraded", ())),
            approvals=self._approvals,
            run=run,
        )


def _requests(value: Any) -> list[dict[str, Any]]:
    asked = value.get("action_requests", [value]) if isinstance(value, dict) else value
    return [request for request in asked if isinstance(request, dict)] if isinstance(asked, list) else []


def _approval(request: dict[str, Any]) -> Approval:
    return Approval(
        tool=str(request.get("name", "")),
        arguments=dict(request.get("args") or {}),
        description=str(request.get("description", "")),
        preview=str(request.get("preview", "")),
    )
