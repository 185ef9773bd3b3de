"""What the model reads in one turn, shared parts first so that a prefix cache serves every turn of a user.

system (frame, pins, persona, task) → demonstrations → earlier conversation → memories and this turn → tool exchange
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from personaagent.errors import QueryTooLong
from personaagent.labels.statistics import STATISTICS
from personaagent.models.card import CONTEXT_UNKNOWN
from personaagent.models.tokens import MESSAGE_TOKENS, count_messages, count_tokens, cut
from personaagent.persona.render import small_prompt, system_prompt
from personaagent.prompts import quote, render
from personaagent.state import RespondState
from personaagent.text import one_line
from personaagent.turn import text_of, turn_start, words_of
from personaagent.types import Interaction, Recall, UserProfile

SMALL_HISTORY_TOKENS = 500  # of the earlier conversation, for the small embedded model
SMALL_EXAMPLES = 2  # labelled memories that it is shown, in free text
EXAMPLE_CHARS = 160  # of a labelled memory that is shown as an example, about 40 tokens
FORGOTTEN = "[forgotten]"  # in place of a message's words
EDITED_CHARS = 1_000  # of an edited answer that is shown as an example; a longer one is only quoted


def build_messages(
    state: RespondState,
    *,
    instructions: str | None,
    choices: Sequence[str],
    tools: Sequence[str],
    personalize: bool,
    examples: int = 0,
    room: Room | None = None,
) -> list[BaseMessage]:
    """Return the messages of one model call for this turn, which have ``room`` together.

    Of a closed answer space only that many labelled memories are shown as ``examples``: what they say of the answer is
    in the vote (``personaagent.head``), and so are the statistics of the profile. Of an open one the answers that the
    user edited are examples, as the user left them: the form of an answer is copied better than it is described. A
    simulation is shown none of these: what a persona is worth shows where nothing alike is remembered.

    Roles alternate, whatever the thread went through; what a client said as the system stands with the task. What finds
    no room is cut or left out, least needed first (``Room``). Raises QueryTooLong where not even the
    turn itself has any.
    """
    room = replace(room) if room else Room()  # a turn may be put together more than once
    start = turn_start(state["messages"])
    recalled, profile = state.get("recalled", []), state.get("profile")
    labelled, examples_of = _examples(recalled, choices, examples, simulated=bool(state.get("before")))
    others = [r for r in recalled if r not in labelled]
    if labelled and choices and profile is not None:
        profile = replace(profile, facts=tuple(fact for fact in profile.facts if fact.source != STATISTICS))
    asked = state["messages"][start]
    system = partial(
        system_prompt,
        pins=state.get("pins", []),
        instructions=_task(state["messages"], instructions),
        choices=choices,
        tools=tools,
        personalize=personalize,
        formed=not choices,
    )
    persona = state.get("persona")
    head = SystemMessage(system(persona))
    if persona is not None and not room.holds(head, asked):
        head = SystemMessage(system(None))
        room.left_out.append("the persona")
    room.take(head, asked)
    # what else stands behind the question is an answer that it had before it was edited
    called = [m for m in state["messages"][start + 1 :] if isinstance(m, ToolMessage) or getattr(m, "tool_calls", None)]
    exchange = room.results(called)
    turn = _turn(asked, room.profile(profile), room.memories([_line(recall) for recall in others]))
    shown = room.pairs(demonstrations(examples_of))
    earlier = room.newest(_spoken(state["messages"][:start]))
    return [head, *shown, *alternating([*earlier, turn]), *exchange]


def small_messages(
    state: RespondState, *, instructions: str | None, personalize: bool, room: Room
) -> list[BaseMessage]:
    """Return the messages of free text by the small embedded model: nothing in them but talk.

    Labelled memories are earlier questions with the answers that were wanted, others tell such a model nothing. Raises
    QueryTooLong where the turn itself has no ``room``.
    """
    start = turn_start(state["messages"])
    simulated = state.get("before") is not None
    labelled = [
        recall
        for recall in state.get("recalled", [])
        if recall.interaction.ground_truth and not (simulated and is_edited(recall.interaction))
    ]
    profile = state.get("profile")
    facts = [fact.text for fact in profile.facts if fact.source != STATISTICS] if profile else []
    system = small_prompt(
        state.get("persona"), state.get("pins", []), facts, instructions=instructions, personalize=personalize
    )
    head, asked = SystemMessage(system), HumanMessage(words_of(state["messages"][start]))
    room.take(head, asked)
    shown = room.pairs(demonstrations(labelled[:SMALL_EXAMPLES]))
    earlier = room.newest(_spoken(state["messages"][:start]), SMALL_HISTORY_TOKENS)
    return [head, *shown, *alternating([*earlier, asked])]


def demonstrations(labelled: Sequence[Recall]) -> list[BaseMessage]:
    """Recalled interactions as user and assistant turns, the question cut, the best match last.

    The form decides everything for a small model. A truth that is one of the choices cannot carry an instruction, and
    an edited answer stands where the model reads its own words, not where it reads the user's.
    """
    turns: list[BaseMessage] = []
    for recall in reversed(labelled):
        query = one_line(recall.interaction.query, EXAMPLE_CHARS)
        turns += [HumanMessage(query), AIMessage(str(recall.interaction.ground_truth))]
    return turns


def _examples(
    recalled: Sequence[Recall], choices: Sequence[str], most: int, *, simulated: bool
) -> tuple[list[Recall], list[Recall]]:
    """The memories that can be examples, and those that are."""
    if choices:
        labelled = [recall for recall in recalled if recall.interaction.ground_truth in choices]
        return labelled, labelled[:most]
    edited = [recall for recall in recalled if is_edited(recall.interaction)]
    return edited, [] if simulated else edited


def is_edited(interaction: Interaction) -> bool:
    """Whether it is an answer that the user edited, and short enough to be shown whole."""
    truth = interaction.ground_truth
    return interaction.truth_source == "edit" and truth is not None and len(truth) <= EDITED_CHARS


def with_memories(query: str, known: str, lines: Sequence[str]) -> str:
    """The query with what is remembered in front of it, quoted as data; the query alone when nothing is."""
    if not lines and not known:
        return query
    return render(
        "memories",
        profile=quote(known or "nothing yet", "profile"),
        episodes=quote("\n".join(lines) or "none", "memories"),
        query=query,
    )


def remembered(profile: UserProfile | None, recalled: Sequence[Recall]) -> str:
    """What is remembered, as it stands in front of a question; empty where nothing is.

    The model is another's, so its context is not known here.
    """
    room = Room()
    return with_memories("", room.profile(profile), room.memories([_line(recall) for recall in recalled])).strip()


def alternating(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """The messages with neighbours of one role as one: a turn that failed left a question without an answer."""
    merged: list[BaseMessage] = []
    for message in messages:
        if merged and type(merged[-1]) is type(message):
            merged[-1] = merged[-1].model_copy(update={"content": _joined(merged[-1].content, message.content)})
        else:
            merged.append(message)
    return merged


def _joined(first: str | list[Any], second: str | list[Any]) -> str | list[Any]:
    if isinstance(first, str) and isinstance(second, str):
        return f"{first}\n\n{second}"
    return [
        part
        for told in (first, second)
        for part in ([{"type": "text", "text": told}] if isinstance(told, str) else told)
    ]


def _turn(asked: BaseMessage, known: str, lines: Sequence[str]) -> HumanMessage:
    """This turn's message with its memories; what else than text is in it is passed on."""
    text = with_memories(text_of(asked), known, lines)
    if isinstance(asked.content, str):
        return HumanMessage(text)
    others = [part for part in asked.content if not isinstance(part, str) and part.get("type") != "text"]
    return HumanMessage([{"type": "text", "text": text}, *others] if others else text)


def _task(messages: Sequence[AnyMessage], instructions: str | None) -> str | None:
    """The task, and what the client said as the system."""
    said = [text for m in messages if isinstance(m, SystemMessage) and (text := text_of(m).strip())]
    return "\n\n".join([*([instructions] if instructions else []), *dict.fromkeys(said)]) or None


def _line(recall: Recall) -> str:
    """One episode: what the user said and, where it is known, what the user really wanted; never our own guess."""
    interaction = recall.interaction
    truth = f" → {interaction.ground_truth}" if interaction.ground_truth else ""
    return f"- {interaction.created_at:%Y-%m-%d}: {interaction.query}{truth}"


def _spoken(messages: Sequence[AnyMessage]) -> list[BaseMessage]:
    """What user and assistant said before, no tool talk, roles alternating from a user's message on.

    What was forgotten is left out, with the reply to the wish to forget it, which may name it.
    """
    said: list[BaseMessage] = []
    gone = False
    for message in messages:
        gone = message.content == FORGOTTEN if isinstance(message, HumanMessage) else gone
        if gone:
            continue
        if isinstance(message, HumanMessage) and (text := words_of(message)):
            said.append(HumanMessage(text))
        elif isinstance(message, AIMessage) and (text := text_of(message)).strip():
            said.append(AIMessage(text))
    while said and not isinstance(said[0], HumanMessage):
        said.pop(0)
    return alternating(said)


SAFETY: Final = 0.9  # of the context: the count is an estimate
ANSWER: Final = 1_024  # tokens for the answer, a quarter of a smaller context
TOOL: Final = 150  # of a tool's description
CONVERSATION: Final = 2_000  # most of the earlier conversation; a longer prompt is a slower one
ENTRY: Final = 400  # most of one memory
RESULTS, PROFILE, MEMORIES, EXAMPLES = 0.6, 0.3, 0.5, 0.5  # shares of what is left
LEAST: Final = 24  # of anything that is shown at all


@dataclass(slots=True)
class Room:
    """One budget of tokens for what a model call is sent: who gets how much, and what goes first where it is short.

    The system prompt and the turn itself come first: without the persona, if need be. What is left of the context, when
    an answer and the tools have theirs, is shared in this order: results of this turn's tools, profile, memories,
    demonstrations, earlier conversation. Each takes at most its share of what is left, and leaves the rest to the next.

    ``left_out`` says what found no room at all, for the user to know.

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
