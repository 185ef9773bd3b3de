"""One budget of tokens for what a model call is sent: who gets how much of it, and what goes first where it is short.

The system prompt and the turn itself come first: without the persona, if need be. What is left of the context, when an
answer and the tools have theirs, is shared in this order: results of this turn's tools, profile, memories,
demonstrations, earlier conversation. Each takes at most its share of what is left, and leaves the rest to the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from langchain_core.messages import AnyMessage, BaseMessage, HumanMessage, ToolMessage

from personaagent.errors import QueryTooLong
from personaagent.models.card import CONTEXT_UNKNOWN
from personaagent.models.tokens import MESSAGE_TOKENS, count_messages, count_tokens, cut
from personaagent.types import UserProfile

SAFETY: Final = 0.9  # of the context: the count is an estimate
ANSWER: Final = 1_024  # tokens for the answer, a quarter of a smaller context
TOOL: Final = 150  # of a tool's description
CONVERSATION: Final = 2_000  # most of the earlier conversation; a longer prompt is a slower one
ENTRY: Final = 400  # most of one memory
RESULTS, PROFILE, MEMORIES, EXAMPLES = 0.6, 0.3, 0.5, 0.5  # shares of what is left
LEAST: Final = 24  # of anything that is shown at all


@dataclass(slots=True)
class Room:
    """What one call has left. ``left_out`` says what found no room at all, for the user to know.

    ``known``: the context is the endpoint's word; else nothing is refused here, the endpoint may take more.
    """

    context: int = CONTEXT_UNKNOWN
    known: bool = False
    tools: int = 0  # how many are bound
    answer: int | None = None
    left_out: list[str] = field(default_factory=list)
    _left: int = 0

    def __post_init__(self) -> None:
        answer = min(self.answer or ANSWER, self.context // 4)
        self._left = int(SAFETY * self.context) - answer - TOOL * self.tools

    def holds(self, *messages: BaseMessage) -> bool:
        """Whether the messages have room."""
        return count_messages(messages) <= self._left

    def take(self, *messages: BaseMessage) -> None:
        """Give the messages their room; raises QueryTooLong where there is none and the context is known."""
        needed = count_messages(messages)
        if needed > self._left and self.known:
            raise QueryTooLong(
                f"the message has about {count_messages(messages[-1:])} tokens, and the model takes {self.context} "
                f"with everything: shorten it by about {needed - self._left} tokens, or take a model with a longer "
                "context"
            )
        self._left = max(0, self._left - needed)

    def results(self, exchange: Sequence[AnyMessage]) -> list[BaseMessage]:
        """This turn's calls and their results: all of them, the older results cut first."""
        budget, kept = int(RESULTS * self._left), list[BaseMessage]()
        for message in reversed(exchange):
            fits: BaseMessage = message
            if isinstance(message, ToolMessage):
                fits = message.model_copy(update={"content": cut(message.text, max(LEAST, budget))})
                fits = message if fits.content == message.text else fits
            needed = count_messages([fits])
            budget, self._left = budget - needed, max(0, self._left - needed)
            kept.insert(0, fits)
        return kept

    def profile(self, profile: UserProfile | None) -> str:
        """The strongest facts that have room, as lines."""
        lines = profile.text.split("\n") if profile and profile.facts else []
        return "\n".join(self._lines(lines, PROFILE, self._left, "of the profile"))

    def memories(self, lines: Sequence[str]) -> list[str]:
        """The best memories, each cut to its share."""
        share = int(MEMORIES * self._left) // max(1, len(lines))
        return self._lines(lines, MEMORIES, min(ENTRY, max(share, LEAST)), "memories")

    def pairs(self, turns: Sequence[BaseMessage]) -> list[BaseMessage]:
        """Demonstrations, question and answer, as many of the last ones as have room."""
        budget, kept = int(EXAMPLES * self._left), list[BaseMessage]()
        for at in range(len(turns) - 2, -1, -2):
            needed = count_messages(turns[at : at + 2])
            if needed > budget:
                self.left_out.append("examples")
                break
            budget, self._left = budget - needed, self._left - needed
            kept[:0] = turns[at : at + 2]
        return kept

    def newest(self, spoken: Sequence[BaseMessage], most: int = CONVERSATION) -> list[BaseMessage]:
        """The newest earlier messages that have room, from a user's message on; a long one is cut to half of it."""
        budget, kept = min(most, self._left), list[BaseMessage]()
        longest = budget // 2
        for message in reversed(spoken):
            text = cut(message.text, max(LEAST, longest))
            needed = count_tokens(text) + MESSAGE_TOKENS
            if needed > budget:
                if budget < most // 2 and not kept:
                    self.left_out.append("the earlier conversation")
                break
            budget, self._left = budget - needed, self._left - needed
            kept.insert(0, message if text == message.text else type(message)(content=text))
        while kept and not isinstance(kept[0], HumanMessage):
            kept.pop(0)
        return kept

    def _lines(self, lines: Iterable[str], share: float, each: int, what: str) -> list[str]:
        """The first of the lines that have room, none longer than ``each``."""
        budget, kept = int(share * self._left), list[str]()
        for line in lines:
            text = cut(line, each)
            needed = count_tokens(text) + 1
            if needed > budget:
                self.left_out.append(what)
                break
            budget, self._left = budget - needed, self._left - needed
            kept.append(text)
        return kept
