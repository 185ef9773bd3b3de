"""load_persona → retrieve_memory → reason ⇄ act → write_memory → infer_feedback: one turn of the user's own agent."""

from __future__ import annotations

from functools import partial

from langgraph.graph import END, START, StateGraph

from graph.respond import add_respond
from graph.services import Services, default_services
from nodes.infer_feedback import infer_feedback
from nodes.load_persona import load_persona
from nodes.write_memory import write_memory
from personaagent.context import Context
from personaagent.state import AgentInput, AgentOutput, AgentState
from personaagent.tracing.feedback import report


def build_agent(services: Services) -> StateGraph[AgentState, Context, AgentInput, AgentOutput]:
    """The agent graph over these services; compile it with a checkpointer to keep threads."""
    builder = StateGraph(AgentState, context_schema=Context, input_schema=AgentInput, output_schema=AgentOutput)
    watch = services.watch("agent")
    builder.add_node(
        "load_persona",
        watch(
            "load_persona",
            partial(
                load_persona,
                personas=services.personas,
                seed=services.seed_persona,
                wants=services.users.personalize,
                max_query_chars=services.settings.max_query_chars,
            ),
        ),
        metadata={"description": "The persona in force; version 0 is seeded from the profile"},
    )
    add_respond(builder, services, "write_memory")
    builder.add_node(
        "write_memory",
        watch("write_memory", partial(write_memory, episodic=services.episodic)),
        metadata={"description": "The turn becomes one interaction, exactly once"},
    )
    builder.add_node(
        "infer_feedback",
        watch(
            "infer_feedback",
            partial(
                infer_feedback,
                episodic=services.episodic,
                note_label=services.note_label,
                watch=services.watch_persona,
                report=report,
            ),
        ),
        metadata={"description": "What this message says of the thread's last answer, by rules, after the reply"},
    )
    builder.add_edge(START, "load_persona")
    builder.add_edge("load_persona", "retrieve_memory")
    builder.add_edge("write_memory", "infer_feedback")
    builder.add_edge("infer_feedback", END)
    return builder


graph = build_agent(default_services()).compile(name="agent")
