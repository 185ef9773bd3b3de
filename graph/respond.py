"""retrieve_memory → reason ⇄ act: the stretch that answers, shared by the live agent and by simulation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Literal, cast

from langchain_core.messages import AIMessage
from langchain_core.runnables.config import ensure_config
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.runtime import Runtime

from personaagent.context import Context
from personaagent.graph.services import Services
from personaagent.graph.watch import Node
from personaagent.nodes.act import act
from personaagent.nodes.own_answer import own_answer
from personaagent.nodes.reason import reason, stated_form
from personaagent.nodes.retrieve_memory import retrieve_memory
from personaagent.state import RespondState

DESCRIPTIONS = {
    "retrieve_memory": "Top k episodes for the query, and the profile",
    "reason": "One step of thought under the persona: call tools or answer",
    "act": "Run the called tools, refused where this user has no grant",
}


def route_reason(state: RespondState) -> Literal["act", "answered"]:
    """To the tools when the model called some, else the turn is answered."""
    last = state["messages"][-1]
    return "act" if isinstance(last, AIMessage) and last.tool_calls else "answered"


def add_respond(builder: StateGraph[Any, Context, Any, Any], services: Services, answered: str) -> None:
    """Add the stretch to a graph; it begins at ``retrieve_memory`` and leads on to ``answered``."""
    watch = services.watch("agent")
    for name, node in _nodes(services).items():
        builder.add_node(name, watch(name, node), metadata={"description": DESCRIPTIONS[name]})
    builder.add_edge("retrieve_memory", "reason")
    if services.answer is not None:
        builder.add_edge("reason", answered)
        return
    builder.add_conditional_edges("reason", route_reason, {"act": "act", "answered": answered})
    builder.add_edge("act", "reason")


def recall_node(services: Services) -> Node:
    """``retrieve_memory`` over these services, watched."""
    return services.watch("agent")("retrieve_memory", _nodes(services)["retrieve_memory"])


def answering(services: Services) -> Callable[[RespondState, Context], Awaitable[dict[str, Any]]]:
    """The stretch as a plain function of state and context, for simulation: the same nodes, without LangGraph.

    A simulated turn keeps no thread, is never interrupted and streams to nobody, so it need not pay for any of that.
    """
    watch = services.watch("agent")
    nodes = {name: watch(name, node) for name, node in _nodes(services).items()}

    async def answer(state: RespondState, context: Context) -> dict[str, Any]:
        config, runtime = ensure_config(), Runtime(context=context)
        found: dict[str, Any] = {**state, "messages": add_messages([], cast(Any, state["messages"]))}

        async def step(name: str) -> None:
            said = await nodes[name](found, runtime, config)
            found.update(said | {"messages": add_messages(found["messages"], said.get("messages", []))})

        await step("retrieve_memory")
        await step("reason")
        while route_reason(cast(RespondState, found)) == "act":
            await step("act")
            await step("reason")
        return found

    return answer


def build_respond(services: Services) -> StateGraph[RespondState, Context, RespondState, RespondState]:
    """The stretch as a graph of its own, without seeding and without write-back."""
    builder = StateGraph(RespondState, context_schema=Context)
    add_respond(builder, services, END)
    builder.add_edge(START, "retrieve_memory")
    return builder


def _nodes(services: Services) -> dict[str, Node]:
    settings = services.settings
    recall = partial(retrieve_memory, episodic=services.episodic, semantic=services.semantic)
    if services.answer is not None:  # the answering agent that was handed in calls no tool of ours
        return {"retrieve_memory": recall, "reason": partial(own_answer, answer=services.answer)}
    step = partial(
        reason,
        models=services.models,
        actions=services.actions,
        weigh=services.weighing.of,
        retrieve=recall,
        max_steps=settings.max_steps,
        embedded_tokens=settings.embedded_answer_tokens,
    )
    return {
        "retrieve_memory": recall,
        "reason": partial(stated_form, reason=step),
        "act": partial(act, actions=services.actions, approve_for_good=services.approve_for_good),
    }
