"""Reading one turn out of a conversation: its human message, its query text, its tool exchange."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final
from uuid import NAMESPACE_URL, UUID, uuid5

from personaagent.errors import EmptyQuery, PersonaAgentError, StoreError
from personaagent.types import Path

if TYPE_CHECKING:  # the command line, which forgets and lists, needs none of these
    from langchain_core.messages import AnyMessage, BaseMessage
    from langchain_core.runnables import RunnableConfig

    from personaagent.context import Context
    from personaagent.state import RespondState

RUN_KEY: Final = "run"  # of an interaction's metadata
EXAMPLES_KEY: Final = "examples"  # likewise: how many edited answers it was shown as examples
MESSAGE_KEY: Final = "message"  # likewise: the id of its human message, which the interaction's own follows from
FORKED_KEY: Final = "forked"  # of a run's metadata: it leaves all of the thread that its messages do not have
CUT: Final = "cut"  # the finish reason of a stream that just ended
REMEMBERED: Final = 64  # newest messages of a thread by which its branches are told apart
BREAKS_OFF: Final = frozenset({"length", CUT})
BROKEN_OFF: Final = "model: the answer breaks off before its end"  # in ``degraded``
_KIND: Final = re.compile(r"\Ainput_|_url\Z")  # around the kind of a part, as OpenAI's form names them
_log = logging.getLogger(__name__)
_NAMESPACE: UUID = uuid5(NAMESPACE_URL, "personaagent/interaction")


def turn_start(messages: Sequence[AnyMessage]) -> int:
    """Index of this turn's human message, the newest one; raises EmptyQuery when there is none."""
    from langchain_core.messages import HumanMessage

    for index in range(len(messages) - 1, -1, -1):
        if isinstance(messages[index], HumanMessage):
            return index
    raise EmptyQuery("there is no user message in this turn: send one with role 'user'")


def personalized(state: RespondState, context: Context) -> bool:
    """Whether this turn may read and keep what is known of the user: the run and the user themselves decide."""
    return state.get("personalized", context.personalize)


def query_of(messages: Sequence[AnyMessage]) -> str:
    """The words of this turn's human message."""
    return words_of(messages[turn_start(messages)])


def words_of(message: AnyMessage) -> str:
    """A message's text, with the kind of what else is in it (``[image]``): what memory and later turns have of it."""
    text = text_of(message)
    if isinstance(message.content, str):
        return text
    kinds = [str(p.get("type", "")) for p in message.content if not isinstance(p, str)]
    notes = [f"[{_KIND.sub('', kind)}]" for kind in kinds if kind not in {"text", "thinking", "reasoning", ""}]
    return " ".join([*([text] if text.strip() else []), *notes])


def text_of(message: BaseMessage) -> str:
    """A message's text, its parts on lines of their own; half of a surrogate pair, which no text can have, is "?"."""
    content = message.content
    told = [content] if isinstance(content, str) else [p if isinstance(p, str) else p.get("text") for p in content]
    return "\n".join(text for text in told if isinstance(text, str) and text).encode("utf-8", "replace").decode()


def without(part: str, error: PersonaAgentError) -> str:
    """The note that a turn goes on without a part: what the user may know of it; the log has the whole."""
    _log.warning("a turn goes on without %s: %s", part, error)
    return f"{part}: {error.told if isinstance(error, StoreError) else error}"


def interaction_id(user_id: str, thread_id: str | None, message_id: str) -> str:
    """The id of a turn's interaction: the same for a retry or a replay of the same message."""
    return str(uuid5(_NAMESPACE, f"{user_id}\x00{thread_id or ''}\x00{message_id}"))


def place_of(
    messages: Sequence[AnyMessage], user_id: str, config: RunnableConfig
) -> tuple[str, str | None, Path | None]:
    """The interaction that a turn becomes, its thread, and where in the thread it stands; no path without a thread.

    The path has the newest ``REMEMBERED`` messages before the turn. Where that is not all of them the thread's oldest
    are not told apart, and a turn that began at a checkpoint leaves none of those.
    """
    from langchain_core.messages import HumanMessage

    thread_id = config.get("configurable", {}).get("thread_id")
    start = turn_start(messages)
    key = interaction_id(user_id, thread_id, str(messages[start].id))
    if thread_id is None:
        return key, None, None
    asked = [message for message in messages[:start] if isinstance(message, HumanMessage)]
    before = tuple(interaction_id(user_id, thread_id, str(message.id)) for message in asked[-REMEMBERED:])
    told = config.get("metadata") or {}
    forked = bool(told.get("checkpoint_id") or told.get(FORKED_KEY)) and len(asked) <= REMEMBERED
    return key, thread_id, Path(before=before, forked=forked)


def run_of(config: RunnableConfig, messages: Sequence[AnyMessage]) -> str | None:
    """Which turn of which server run this is: the same when a server carries the run out again, None without a server.

    A message without an id of the client's gets a new one each time, so its id does not tell that.
    """
    from langchain_core.messages import HumanMessage

    run_id = config.get("configurable", {}).get("run_id")
    return f"{run_id}/{sum(isinstance(m, HumanMessage) for m in messages)}" if run_id else None
