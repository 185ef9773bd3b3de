"""What the model reads in one turn, shared parts first so that a prefix cache serves every turn of a user.

system (frame, pins, persona, task) → demonstrations → earlier conversation → memories and this turn → tool exchange
"""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from personaagent.models.tokens import count_tokens
from personaagent.persona.render import system_prompt
from personaagent.prompts import quote, render
from personaagent.state import RespondState
from personaagent.turn import turn_start
from personaagent.types import Recall, UserProfile

HISTORY_TOKENS = 2_000  # of the earlier conversation


def build_messages(
    state: RespondState,
    *,
    instructions: str | None,
    choices: Sequence[str],
    tools: Sequence[str],
    personalize: bool,
) -> list[BaseMessage]:
    """Return the messages of one model call for this turn."""
    start = turn_start(state["messages"])
    recalled = state.get("recalled", [])
    shown = demonstrations(recalled, choices)
    told = [r for r in recalled if not shown or r.interaction.ground_truth not in choices]
    query = state["messages"][start].text
    turn: list[BaseMessage] = [HumanMessage(with_memories(query, state.get("profile"), told))]
    system = system_prompt(
        state.get("persona"),
        state.get("pins", []),
        instructions=instructions,
        choices=choices,
        tools=tools,
        personalize=personalize,
    )
    return [
        SystemMessage(system),
        *shown,
        *_earlier(state["messages"][:start]),
        *turn,
        *state["messages"][start + 1 :],
    ]


def demonstrations(recalled: Sequence[Recall], choices: Sequence[str]) -> list[BaseMessage]:
    """Recalled interactions as user and assistant turns, the best match last.

    Only truths of a closed answer space are shown in this form: it decides everything for a small model, and a truth
    that is one of the choices cannot carry an instruction.
    """
    turns: list[BaseMessage] = []
    for recall in reversed(recalled):
        if recall.interaction.ground_truth in choices:
            turns += [HumanMessage(recall.interaction.query), AIMessage(str(recall.interaction.ground_truth))]
    return turns


def with_memories(query: str, profile: UserProfile | None, recalled: Sequence[Recall]) -> str:
    """The query with what is remembered in front of it, quoted as data; the query alone when nothing is."""
    lines = [_line(recall) for recall in recalled]
    known = profile.text if profile else ""
    if not lines and not known:
        return query
    return render(
        "memories",
        profile=quote(known or "nothing yet", "profile"),
        episodes=quote("\n".join(lines) or "none", "memories"),
        query=query,
    )


def _line(recall: Recall) -> str:
    """One episode: what the user said and, where it is known, what the user really wanted; never our own guess."""
    interaction = recall.interaction
    truth = f" → {interaction.ground_truth}" if interaction.ground_truth else ""
    return f"- {interaction.created_at:%Y-%m-%d}: {interaction.query}{truth}"


def _earlier(messages: Sequence[AnyMessage]) -> list[BaseMessage]:
    """The newest earlier messages of the thread within ``HISTORY_TOKENS``, from a human message on, no tool talk."""
    spoken = [m for m in messages if not isinstance(m, ToolMessage) and m.text.strip()]
    kept: list[BaseMessage] = []
    budget = HISTORY_TOKENS
    for message in reversed(spoken):
        budget -= count_tokens(message.text)
        if budget < 0:
            break
        kept.insert(0, HumanMessage(message.text) if isinstance(message, HumanMessage) else AIMessage(message.text))
    while kept and not isinstance(kept[0], HumanMessage):
        kept.pop(0)
    return kept
