"""Reading one turn out of a conversation: its human message, its query text, its tool exchange."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import NAMESPACE_URL, UUID, uuid5

from langchain_core.messages import AnyMessage, HumanMessage
from langchain_core.runnables import RunnableConfig

from personaagent.context import Context
from personaagent.errors import EmptyQuery
from personaagent.state import RespondState

RUN_KEY: Final = "run"  # of an interaction's metadata
_NAMESPACE: UUID = uuid5(NAMESPACE_URL, "personaagent/interaction")


def turn_start(messages: Sequence[AnyMessage]) -> int:
    """Index of this turn's human message, the newest one; raises EmptyQuery when there is none."""
    for index in range(len(messages) - 1, -1, -1):
        if isinstance(messages[index], HumanMessage):
            return index
    raise EmptyQuery("there is no user message in this turn: send one with role 'user'")


def personalized(state: RespondState, context: Context) -> bool:
    """Whether this turn may read and keep what is known of the user: the run and the user themselves decide."""
    return state.get("personalized", context.personalize)


def query_of(messages: Sequence[AnyMessage]) -> str:
    """The text of this turn's human message."""
    return messages[turn_start(messages)].text


def interaction_id(user_id: str, thread_id: str | None, message_id: str) -> str:
    """The id of a turn's interaction: the same for a retry or a replay of the same message."""
    return str(uuid5(_NAMESPACE, f"{user_id}\x00{thread_id or ''}\x00{message_id}"))


def run_of(config: RunnableConfig, messages: Sequence[AnyMessage]) -> str | None:
    """Which turn of which server run this is: the same when a server carries the run out again, None without a server.

    A message without an id of the client's gets a new one each time, so its id does not tell that.
    """
    run_id = config.get("configurable", {}).get("run_id")
    return f"{run_id}/{sum(isinstance(m, HumanMessage) for m in messages)}" if run_id else None
