"""sample_turns → simulate → critique → edit_persona → judge_candidate → (loop | commit_persona) → refresh_profile."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from graph.respond import build_respond
from graph.services import Services, default_services
from nodes.alignment.commit_persona import commit_persona
from nodes.alignment.critique import critique
from nodes.alignment.edit_persona import edit_persona
from nodes.alignment.judge_candidate import judge_candidate
from nodes.alignment.refresh_profile import refresh_profile
from nodes.alignment.sample_turns import sample_turns
from nodes.alignment.simulate import simulate
from personaagent.context import Context
from personaagent.persona.gate import unbeatable
from personaagent.persona.loss import judged_loss
from personaagent.persona.proposers.contrast import ContrastProposer
from personaagent.persona.proposers.examples import ExamplesProposer
from personaagent.persona.proposers.gradient import GradientProposer
from personaagent.persona.proposers.histogram import HistogramProposer
from personaagent.persona.proposers.retire import RetireProposer
from personaagent.simulation import Simulator
from personaagent.state import AlignmentInput, AlignmentOutput, AlignmentState, RespondState


def route_sample(state: AlignmentState) -> Literal["simulate", "refresh_profile"]:
    """On to the simulation when there is something to judge by."""
    return "simulate" if state["judge"] else "refresh_profile"


def route_simulated(state: AlignmentState, runtime: Runtime[Context]) -> Literal["critique", "commit_persona"]:
    """On to the critique, unless the incumbent is right on every judging interaction and no candidate could win."""
    return "commit_persona" if runtime.context.align_gate and unbeatable(state["judged"]) else "critique"


def route_judge(state: AlignmentState, runtime: Runtime[Context]) -> Literal["simulate", "commit_persona"]:
    """Another epoch, until there have been ``align_epochs``."""
    return "simulate" if state["epoch"] < runtime.context.align_epochs else "commit_persona"


def build_alignment(services: Services) -> StateGraph[AlignmentState, Context, AlignmentInput, AlignmentOutput]:
    """The alignment graph over these services (paper, test-time user-preference alignment)."""
    settings = services.settings
    # without False it would keep the checkpoints of every simulated turn in the thread of the alignment
    respond = build_respond(services).compile(name="respond", checkpointer=False)

    async def answer(state: RespondState, context: Context) -> dict[str, Any]:
        result: dict[str, Any] = await respond.ainvoke(state, context=context)
        return result

    simulator = Simulator(
        answer,
        services.personas,
        settings.max_concurrency,
        semantic=services.semantic,
        graded=partial(judged_loss, services.models) if settings.judge_text else None,
        give_way=services.foreground.give_way,
    )
    builder = StateGraph(
        AlignmentState, context_schema=Context, input_schema=AlignmentInput, output_schema=AlignmentOutput
    )
    watch = services.watch("alignment")
    builder.add_node(
        "sample_turns",
        watch(
            "sample_turns",
            partial(
                sample_turns,
                episodic=services.episodic,
                seed=services.seed_persona,
                seed_as_of=services.seed_as_of,
                remaining=services.remaining_budget,
            ),
        ),
        metadata={"description": "The latest labelled interactions: older ones teach, newer ones judge"},
    )
    builder.add_node(
        "simulate",
        watch("simulate", partial(simulate, simulator=simulator)),
        metadata={"description": "The incumbent persona answers the batch again, with memory cut to before it"},
    )
    builder.add_node(
        "critique",
        watch("critique", partial(critique, models=services.models, episodic=services.episodic)),
        metadata={"description": "The textual loss of each simulation"},
    )
    builder.add_node(
        "edit_persona",
        watch(
            "edit_persona",
            partial(
                edit_persona,
                episodic=services.episodic,
                personas=services.personas,
                model_free=(HistogramProposer(), ContrastProposer(), ExamplesProposer(), RetireProposer()),
                gradient=GradientProposer(services.models),
                token_budget=settings.persona_token_budget,
            ),
        ),
        metadata={"description": "Candidate personas, by gradient and without a model"},
    )
    builder.add_node(
        "judge_candidate",
        watch(
            "judge_candidate",
            partial(
                judge_candidate, simulator=simulator, margin=settings.gate_margin, confidence=settings.gate_confidence
            ),
        ),
        metadata={"description": "A candidate must win on interactions that taught nobody"},
    )
    builder.add_node(
        "commit_persona",
        watch(
            "commit_persona",
            partial(
                commit_persona,
                personas=services.personas,
                ask=settings.approve_edits,
                token_budget=settings.persona_token_budget,
            ),
        ),
        metadata={"description": "The next version, or no change"},
    )
    builder.add_node(
        "refresh_profile",
        watch("refresh_profile", partial(refresh_profile, refresh=services.refresh_profile, account=services.account)),
        metadata={"description": "New labels become facts; the cost is booked"},
    )
    builder.add_edge(START, "sample_turns")
    builder.add_conditional_edges("sample_turns", route_sample)
    builder.add_conditional_edges("simulate", route_simulated)
    builder.add_edge("critique", "edit_persona")
    builder.add_edge("edit_persona", "judge_candidate")
    builder.add_conditional_edges("judge_candidate", route_judge)
    builder.add_edge("commit_persona", "refresh_profile")
    builder.add_edge("refresh_profile", END)
    return builder


graph = build_alignment(default_services()).compile(name="alignment")
