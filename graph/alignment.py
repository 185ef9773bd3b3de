"""One alignment of one user (paper, test-time user-preference alignment).

sample_turns → judge_challengers → simulate → critique → edit_persona → judge_candidate → (loop | commit_persona)
→ refresh_profile.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from personaagent.context import Context
from personaagent.graph.respond import answering
from personaagent.graph.services import Services
from personaagent.inputs import user_of
from personaagent.labels.loss import TextLoss
from personaagent.nodes.alignment.commit_persona import commit_persona
from personaagent.nodes.alignment.critique import critique
from personaagent.nodes.alignment.edit_persona import edit_persona, planned, provable
from personaagent.nodes.alignment.judge_candidate import judge_candidate
from personaagent.nodes.alignment.judge_challengers import judge_challengers
from personaagent.nodes.alignment.refresh_profile import refresh_profile
from personaagent.nodes.alignment.sample_turns import sample_turns
from personaagent.nodes.alignment.simulate import simulate
from personaagent.pace import Allowance, seconds_allowed
from personaagent.persona.proposers import Proposer
from personaagent.persona.proposers.comments import CommentsProposer
from personaagent.persona.proposers.counted import CONTRAST, EXAMPLES, HISTOGRAM, RetireProposer
from personaagent.persona.proposers.edits import EditsProposer
from personaagent.persona.proposers.gradient import GradientProposer
from personaagent.racing import Race
from personaagent.simulation import Simulator
from personaagent.state import AlignmentInput, AlignmentOutput, AlignmentState

CALLS = 3  # of an epoch, by interaction that teaches: to answer it, to criticise that, and its share of the gradient


def route_sample(state: AlignmentState) -> Literal["judge_challengers", "refresh_profile"]:
    """On to the challengers when there is something to judge by."""
    return "judge_challengers" if state["judge"] else "refresh_profile"


def route_challengers(state: AlignmentState, runtime: Runtime[Context]) -> Literal["simulate", "commit_persona"]:
    """On to new candidates, unless a challenger won, the budget is spent, or a new one could not win yet."""
    if not runtime.context.align_gate:
        return "simulate"
    done = state["incumbent"].verdict is not None or state["stopped"] or state["needed"]
    return "commit_persona" if done else "simulate"


def proposers_of(services: Services) -> tuple[tuple[Proposer, ...], Proposer | None]:
    """The caller's own proposers and then the default ones, and the gradient; the own ones alone where so wanted.

    In this order: the plainest rule is tried first and gets most of the gate's doubt.
    """
    if not services.default_proposers:
        return services.proposers, None
    models = services.models
    default = (
        EditsProposer(),
        CommentsProposer(models),
        EXAMPLES,
        HISTOGRAM,
        CONTRAST,
        RetireProposer(),
    )
    return (*services.proposers, *default), GradientProposer(models)


def build_alignment(services: Services) -> StateGraph[AlignmentState, Context, AlignmentInput, AlignmentOutput]:
    """The alignment graph over these services (paper, test-time user-preference alignment)."""
    settings = services.settings
    proposers, gradient = proposers_of(services)

    def route_simulated(
        state: AlignmentState, runtime: Runtime[Context]
    ) -> Literal["critique", "edit_persona", "commit_persona"]:
        """On to the critique where a gradient is to be made of it; the end where no candidate could win."""
        wanted, drafts = planned(state, runtime.context, settings.gate_confidence, gradient=gradient is not None)
        if not wanted:
            return "commit_persona"
        return "critique" if drafts else "edit_persona"

    async def route_judge(state: AlignmentState, runtime: Runtime[Context]) -> Literal["simulate", "commit_persona"]:
        """Another epoch, until one found something, had nothing new, or no other can be ended or proven."""
        if state["epoch"] >= runtime.context.align_epochs:
            return "commit_persona"
        if not runtime.context.align_gate:
            return "simulate"
        nothing_new = not state["candidates_judged"] and (state["epoch"] > 1 or gradient is None)
        found = state["incumbent"].verdict is not None or state["stopped"] or nothing_new
        if found or not provable(state, settings.gate_confidence):
            return "commit_persona"
        room = await allowance.room(user_of(runtime), state["pace"], state["calls"])
        wanted = CALLS * len(state["teach"]) + len(state["judge"])
        return "commit_persona" if room.simulations < wanted else "simulate"

    simulator = Simulator(
        answering(services),
        services.personas,
        settings.max_concurrency,
        semantic=services.semantic,
        graded=TextLoss(services.embedder),
        give_way=services.foreground.give_way,
        max_answer_tokens=settings.align_answer_tokens,
    )
    seconds = seconds_allowed(
        settings.align_seconds, settings.openai_base_url, embedded=getattr(services.models, "embedded", False)
    )
    book = services.budget.book
    allowance = Allowance(seconds, settings.align_calls, services.budget.remaining, book)
    race = Race(simulator, allowance, services.challengers.replace, settings.gate_margin)
    builder = StateGraph(
        AlignmentState, context_schema=Context, input_schema=AlignmentInput, output_schema=AlignmentOutput
    )
    watch = services.watch("alignment")
    watch.add(
        builder,
        partial(
            sample_turns,
            episodic=services.episodic,
            seed=services.seeds.persona,
            seed_as_of=services.seeds.as_of,
            remaining=services.budget.remaining,
            candidates=services.candidates,
            challengers=services.challengers,
            confidence=settings.gate_confidence,
        ),
        "The latest labelled interactions: older ones teach, newer ones judge",
    )
    watch.add(
        builder,
        partial(judge_challengers, race=race, episodic=services.episodic, margin=settings.gate_margin),
        "What was ahead before meets the labels that came since",
    )
    watch.add(
        builder,
        partial(simulate, race=race, confidence=settings.gate_confidence, gradient=gradient is not None),
        "The incumbent persona answers the batch again, with memory cut to before it",
    )
    watch.add(
        builder,
        partial(critique, models=services.models, episodic=services.episodic, book=book),
        "The textual loss of each simulation",
    )
    watch.add(
        builder,
        partial(
            edit_persona,
            episodic=services.episodic,
            personas=services.personas,
            candidates=services.candidates,
            proposers=proposers,
            gradient=gradient,
            token_budget=settings.persona_token_budget,
            confidence=settings.gate_confidence,
            book=book,
        ),
        "Candidate personas, by gradient and without a model",
    )
    watch.add(
        builder,
        partial(judge_candidate, race=race, margin=settings.gate_margin, confidence=settings.gate_confidence),
        "A candidate must win on interactions that taught nobody",
    )
    budget, ask = settings.persona_token_budget, settings.approve_edits
    watch.add(
        builder,
        partial(commit_persona, personas=services.personas, ask=ask, token_budget=budget),
        "The next version, or no change",
    )
    watch.add(
        builder,
        partial(refresh_profile, reader=services.reader, allowance=allowance, account=services.account),
        "New labels become facts; the cost is booked",
    )
    builder.add_edge(START, "sample_turns")
    builder.add_conditional_edges("sample_turns", route_sample)
    builder.add_conditional_edges("judge_challengers", route_challengers)
    builder.add_conditional_edges("simulate", route_simulated)
    builder.add_edge("critique", "edit_persona")
    builder.add_edge("edit_persona", "judge_candidate")
    builder.add_conditional_edges("judge_candidate", route_judge)
    builder.add_edge("commit_persona", "refresh_profile")
    builder.add_edge("refresh_profile", END)
    return builder
