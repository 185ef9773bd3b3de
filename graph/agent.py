"""load_persona → retrieve_memory → reason ⇄ act → write_memory: one turn of the user's own agent."""

from __future__ import annotations

from functools import partial

from langgraph.graph import END, START, StateGraph

from personaagent.context import Context
from personaagent.graph.respond import add_respond
from personaagent.graph.services import Services
from personaagent.graph.watch import Node
from personaagent.nodes.load_persona import load_persona
from personaagent.nodes.write_memory import write_memory
from personaagent.persona.standing_wishes import StandingWishes
from personaagent.state import AgentInput, AgentOutput, AgentState
from personaagent.tracing.runs import report


def build_agent(services: Services) -> StateGraph[AgentState, Context, AgentInput, AgentOutput]:
    """The agent graph over these services; compile it with a checkpointer to keep threads."""
    builder = StateGraph(AgentState, context_schema=Context, input_schema=AgentInput, output_schema=AgentOutput)
    builder.add_node(
        "load_persona",
        begin_node(services),
        metadata={"description": "The persona in force; version 0 is seeded from the profile. A wish is pinned"},
    )
    add_respond(builder, services, "write_memory")
    builder.add_node(
        "write_memory",
        end_node(services),
        metadata={"description": "The turn becomes one interaction, once; what it says of the last answer labels that"},
    )
    builder.add_edge(START, "load_persona")
    builder.add_edge("load_persona", "retrieve_memory")
    builder.add_edge("write_memory", END)
    return builder


def begin_node(services: Services) -> Node:
    """``load_persona`` over these services, watched."""
    node = partial(
        load_persona,
        begin=services.begin_turn,
        personas=services.personas,
        seed=services.seeds.persona,
        wishes=StandingWishes(services.personas, services.episodic, services.models),
        max_query_chars=services.settings.max_query_chars,
    )
    return services.watch("agent")("load_persona", node)


def end_node(services: Services) -> Node:
    """``write_memory`` over these services, watched."""
    node = partial(
        write_memory,
        episodic=services.episodic,
        note_turn=services.note_turn,
        note_label=services.note_label,
        watch=services.monitor.watch,
        report=report,
    )
    return services.watch("agent")("write_memory", node)
