"""record_feedback → watch_persona → (alignment | END): what the user really wanted, and what follows from it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from personaagent.context import Context
from personaagent.graph.alignment import build_alignment
from personaagent.graph.services import Services
from personaagent.inputs import user_of
from personaagent.nodes.record_feedback import record_feedback
from personaagent.nodes.watch_persona import watch_persona
from personaagent.state import FeedbackInput, FeedbackOutput, FeedbackState
from personaagent.tracing.runs import report


def route_feedback(
    state: FeedbackState, runtime: Runtime[Context], *, aligning: Callable[[str], bool]
) -> Literal["alignment", "__end__"]:
    """Align at once only where the run asks for it; otherwise it is already on its way in the background.

    Where an alignment of the user is under way, the label stays due for the next one.
    """
    now = state["due"] and runtime.context.align == "now"
    return "alignment" if now and not aligning(user_of(runtime)) else "__end__"


def build_feedback(services: Services) -> StateGraph[FeedbackState, Context, FeedbackInput, FeedbackOutput]:
    """The feedback graph over these services, with the alignment graph as a node."""
    builder = StateGraph(
        FeedbackState, context_schema=Context, input_schema=FeedbackInput, output_schema=FeedbackOutput
    )
    watch = services.watch("feedback")
    recorded = partial(record_feedback, episodic=services.episodic, note_label=services.note_label, report=report)
    watch.add(builder, recorded, "The interaction gets its ground truth")
    watched = partial(watch_persona, watch=services.monitor.watch)
    watch.add(builder, watched, "A committed version that does worse live than its parent is rolled back")
    builder.add_node(
        "alignment",
        build_alignment(services).compile(name="alignment"),
        metadata={"description": "Test-time alignment of the persona"},
    )
    builder.add_edge(START, "record_feedback")
    builder.add_edge("record_feedback", "watch_persona")
    builder.add_conditional_edges(
        "watch_persona",
        partial(route_feedback, aligning=services.limiter.aligning),
        {"alignment": "alignment", "__end__": END},
    )
    builder.add_edge("alignment", END)
    return builder
