"""Hold every candidate against the incumbent on interactions that taught neither."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from langgraph.runtime import Runtime

from personaagent.context import Context
from personaagent.inputs import user_of
from personaagent.models.meter import booked, metering
from personaagent.persona.gate import best, judge
from personaagent.simulation import Simulator
from personaagent.state import AlignmentState
from personaagent.types import Candidate, Verdict


async def judge_candidate(
    state: AlignmentState, runtime: Runtime[Context], *, simulator: Simulator, margin: float, confidence: float
) -> dict[str, Any]:
    """Return the best accepted candidate as the new incumbent, or the old one; the others with their reasons.

    The more candidates this alignment has judged, in this epoch and before, the surer one must be: all meet the same
    judging interactions. Without the gate (``align_gate`` False) the last candidate is taken as it is, as in the paper.
    """
    context, user_id = runtime.context, user_of(runtime)
    candidates, turned = state["candidates"], {"epoch": state["epoch"] + 1}
    if not candidates:
        return turned
    if not context.align_gate:
        taken = replace(candidates[-1], verdict=Verdict(accepted=True, reason="taken unjudged: the gate is off"))
        return turned | {"incumbent": taken, "candidates": [], "simulations": [], "losses": []}
    before = state["teach"][0].created_at
    with metering() as meter:
        outcomes = await asyncio.gather(
            *(
                simulator.simulate(user_id, context, candidate.sections, state["judge"], before=before)
                for candidate in candidates
            )
        )
    tried = state["tried"] + len(candidates)
    weights = {i.id: i.truth_confidence or 1.0 for i in state["judge"] if i.truth_source == "implicit"}
    judged: list[Candidate] = [
        replace(
            candidate,
            verdict=judge(
                state["judged"],
                after,
                margin=margin,
                confidence=confidence,
                weights=weights,
                tries=tried,
            ),
        )
        for candidate, after in zip(candidates, outcomes, strict=True)
    ]
    spent = booked(state, meter) | {"tried": tried}
    winner = best(judged)
    rejected = [*state["rejected"], *(c for c in judged if c is not winner)]
    if winner is None:
        return turned | spent | {"rejected": rejected, "candidates": []}
    return (
        turned
        | spent
        | {
            "rejected": rejected,
            "candidates": [],
            "incumbent": winner,
            "simulations": [],
            "losses": [],
        }
    )
