"""A pair of nodes for any graph of messages: what is known of the user before the model, what happened after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, SystemMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph.message import add_messages
from langgraph.runtime import Runtime, get_runtime
from typing_extensions import TypedDict  # typing's has no JSON schema before Python 3.12

from personaagent.context import Context
from personaagent.conversation import remembered
from personaagent.graph.agent import begin_node, end_node
from personaagent.graph.respond import recall_node
from personaagent.graph.services import Services, default_services
from personaagent.library.agent import PersonaAgent
from personaagent.persona.keeping import keeper
from personaagent.persona.render import stated, system_prompt
from personaagent.turn import query_of, turn_start
from personaagent.types import Recall, ToolTrace

BRIEF_CHARS = 300  # kept of what a tool answered
OURS = "forget"  # a tool of that name is ours in a turn of our own graph, and another's here


class Shown(TypedDict):
    """What the model reads of the user in this turn: ``persona`` changes rarely, ``memories`` every turn."""

    persona: str
    memories: str
    form: list[str]  # what pins and clauses state, for ``PersonaNodes.in_form``
    personalized: bool
    statement: bool  # the message is nothing but a wish


class PersonaState(TypedDict, total=False):
    """What the nodes keep in the state of a graph: plain JSON, so that any checkpointer keeps it."""

    messages: Annotated[list[AnyMessage], add_messages]
    interaction_id: str  # what feedback on this turn is sent for; empty where nothing is kept
    persona_version: int | None
    recalled: list[dict[str, Any]]  # interaction_id, created_at, query, ground_truth, score; best first
    noted: list[str]  # what holds from now on because this message says so
    degraded: list[str]  # what could not be used in this turn, for example "memory"
    persona_shown: Shown


class PersonaNodes:
    """``before`` and ``after`` are nodes; between them a node of yours shows ``messages(state)`` to its model.

    The run's context is a ``Context``, or anything with a ``user_id``. Both nodes raise InvalidUserId where neither it
    nor a server says who the user is. A store that is down degrades the turn and never fails it.
    """

    def __init__(self, agent: PersonaAgent | None = None) -> None:
        services = services_of(agent)
        self._begin, self._recall, self._end = begin_node(services), recall_node(services), end_node(services)

    async def before(self, state: Mapping[str, Any], runtime: Runtime[Any], config: RunnableConfig) -> dict[str, Any]:
        """Persona, pins, facts and memories for the newest human message; a wish in it is pinned first.

        Raises EmptyQuery, QueryTooLong, InvalidUserId; on a server TooManyTurns.
        """
        runtime = _ours(runtime)
        turn: dict[str, Any] = {"messages": state["messages"]}
        turn |= await self._begin(turn, runtime, config)
        turn |= await self._recall(turn, runtime, config)
        persona = system_prompt(
            turn["persona"],
            turn["pins"],
            instructions=runtime.context.instructions,
            choices=(),
            tools=(),
            personalize=turn["personalized"],
        )
        shown = Shown(
            persona=persona,
            memories=remembered(turn["profile"], turn["recalled"]),
            form=stated(turn["persona"], turn["pins"]) if turn["personalized"] else [],
            personalized=turn["personalized"],
            statement=turn["statement"],
        )
        return {
            "interaction_id": "",
            "persona_version": turn["persona_version"],
            "recalled": [_plain(recall) for recall in turn["recalled"]],
            "noted": turn["noted"],
            "degraded": turn["degraded"],
            "persona_shown": shown,
        }

    def messages(self, state: Mapping[str, Any], system: str = "") -> list[BaseMessage]:
        """The state's messages as the model is to read them: a system message first, memories in the newest question.

        ``system`` is your own prompt; it comes first, then the persona. What changes every turn stands as late as it
        can, so that a prefix cache serves all before it.
        """
        prompt = "\n\n".join(text for text in (system, state["persona_shown"]["persona"]) if text)
        return [SystemMessage(prompt), *remembering(state["messages"], state)]

    def in_form(self, state: Mapping[str, Any]) -> Callable[[str], str] | None:
        """What keeps an answer to the form that persona and pins state, as far as a machine can; None: nothing does."""
        shown = state["persona_shown"]
        # a thread of before this was kept has no form in its state
        return keeper(shown.get("form", ()), query_of(state["messages"]))

    async def after(self, state: Mapping[str, Any], runtime: Runtime[Any], config: RunnableConfig) -> dict[str, Any]:
        """Keep the turn as one interaction, exactly once; read what its message says of the answer before it."""
        runtime = _ours(runtime)
        said = state["messages"][turn_start(state["messages"]) + 1 :]
        shown = state["persona_shown"]
        turn: dict[str, Any] = {
            "messages": state["messages"],
            "answer": next((m.text for m in reversed(said) if isinstance(m, AIMessage) and m.text.strip()), ""),
            "trace": traces_of(said),
            "persona_version": state.get("persona_version"),
            "personalized": shown["personalized"],
            "statement": shown["statement"],
            "degraded": state.get("degraded", []),
        }
        turn |= await self._end(turn, runtime, config)
        return {"interaction_id": turn["interaction_id"], "degraded": turn["degraded"]}


def remembering(messages: Sequence[AnyMessage], state: Mapping[str, Any]) -> list[AnyMessage]:
    """The messages, with this turn's memories behind the newest human one's words, which the next turn begins with."""
    memories = state["persona_shown"]["memories"]
    if not memories:
        return list(messages)
    start = turn_start(messages)
    content = messages[start].content
    if isinstance(content, str):
        with_them: Any = f"{content}\n\n{memories}"
    else:
        with_them = [*content, {"type": "text", "text": memories}]
    asked = messages[start].model_copy(update={"content": with_them})
    return [*messages[:start], asked, *messages[start + 1 :]]


def traces_of(messages: Sequence[BaseMessage]) -> list[ToolTrace]:
    """The tool calls of one turn with how each ended; a call without an answer is left out."""
    answers = {m.tool_call_id: m for m in messages if isinstance(m, ToolMessage)}
    calls = [call for m in messages if isinstance(m, AIMessage) for call in m.tool_calls]
    return [
        ToolTrace(
            name=call["name"],
            arguments=call["args"],
            outcome="error" if answer.status == "error" else "ok",
            brief=answer.text[:BRIEF_CHARS],
        )
        for call in calls
        if call["name"] != OURS and (answer := answers.get(call["id"] or "")) is not None
    ]


def run_user() -> Any:
    """Whose run this is, as far as it tells: its server's identity, else its context; None outside of a run."""
    try:
        runtime: Runtime[Any] | None = get_runtime()
    except RuntimeError:
        return None
    identity = getattr(getattr(runtime, "server_info", None), "user", None)
    return identity.identity if identity is not None else user_in(getattr(runtime, "context", None))


def services_of(agent: PersonaAgent | None) -> Services:
    """The parts of that agent, which is open; without one those of the process, from its environment."""
    return default_services() if agent is None else agent.services


def user_in(context: object) -> Any:
    """The ``user_id`` that a run's context names, whatever the context is made of; None where it names none."""
    return context.get("user_id") if isinstance(context, Mapping) else getattr(context, "user_id", None)


def _ours(runtime: Runtime[Any]) -> Runtime[Context]:
    """The runtime with a context of ours; ``user_of`` says whether it names anybody."""
    if isinstance(runtime.context, Context):
        return runtime
    return runtime.override(context=Context(user_id=user_in(runtime.context) or ""))


def _plain(recall: Recall) -> dict[str, Any]:
    past = recall.interaction
    return {
        "interaction_id": past.id,
        "created_at": past.created_at.isoformat(),
        "query": past.query,
        "ground_truth": past.ground_truth,
        "score": recall.score,
    }
