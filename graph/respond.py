"""retrieve_memory → reason ⇄ act: the stretch that answers, shared by the live agent and by simulation."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

from langchain_core.messages import AIMessage
from langgraph.graph import END, START, StateGraph

from graph.services import Services
from nodes.act import act
from nodes.reason import reason
from nodes.retrieve_memory import retrieve_memory
from personaagent.context import Context
from personaagent.state import RespondState


def route_reason(state: RespondState) -> Literal["act", "answered"]:
    """To the tools when the model called some, else the turn is answered."""
    last = state["messages"][-1]
    return "act" if isinstance(last, AIMessage) and last.tool_calls else "answered"


def add_respond(builder: StateGraph[Any, Context, Any, Any], services: Services, answered: str) -> None:
    """Add the stretch to a graph; it begins at ``retrieve_memory`` and leads on to ``answered``."""
    settings, watch = services.settings, services.watch("agent")
    builder.add_node(
        "retrieve_memory",
        watch("retrieve_memory", partial(retrieve_memory, episodic=services.episodic, semantic=services.semantic)),
        metadata={"description": "Top k episodes for the query, and the profile"},
    )
    builder.add_node(
        "reason",
        watch(
            "reason", partial(reason, models=services.models, actions=services.actions, max_steps=settings.max_steps)
        ),
        metadata={"description": "One step of thought under the persona: call tools or answer"},
    )
    builder.add_node(
        "act",
        watch("act", partial(act, actions=services.actions, approve_for_good=services.approve_for_good)),
        metadata={"description": "Run the called tools, refused where this user has no grant"},
    )
    builder.add_edge("retrieve_memory", "reason")
    builder.add_conditional_edges("reason", route_reason, {"act": "act", "answered": answered})
    builder.add_edge("act", "reason")


def build_respond(services: Services) -> StateGraph[RespondState, Context, RespondState, RespondState]:
    """The stretch as a graph of its own, without seeding and without write-back, for simulation."""
    builder = StateGraph(RespondState, context_schema=Context)
    add_respond(builder, services, END)
    builder.add_edge(START, "retrieve_memory")
    return builder
