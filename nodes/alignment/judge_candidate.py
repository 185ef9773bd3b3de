"""Hold every candidate against the incumbent on interactions that taught neither."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from langgraph.runtime import Runtime

from personaagent.ablation import leave_out
from personaagent.context import Context
from personaagent.inputs import user_of
from personaagent.models.meter import booked
from personaagent.persona.gate import Evidence, best, share
from personaagent.racing import Course, Race, Runner, challengers_of, runner_of, settled
from personaagent.scheduling import taught_until
from personaagent.state import AlignmentState
from personaagent.types import Candidate, Verdict


async def judge_candidate(
    state: AlignmentState, runtime: Runtime[Context], *, race: Race, margin: float, confidence: float
) -> dict[str, Any]:
    """Return the proven candidate as the new incumbent, or the old one; what is ahead as challengers, and the rest.

    The later a candidate is tried against a version, the surer it must be. Without the gate (``align_gate`` False) the
    last candidate is taken as it is, as in the paper.
    """
    context, user_id, base = runtime.context, user_of(runtime), state["base"]
    candidates: list[Candidate] = state["candidates"]
    turned: dict[str, Any] = {"epoch": state["epoch"] + 1, "candidates_judged": len(state["candidates"])}
    if not candidates or base is None:
        return turned
    if not context.align_gate:
        taken = replace(candidates[-1], verdict=Verdict(accepted=True, reason="taken unjudged: the gate is off"))
        return turned | {"incumbent": taken, "candidates": [], "simulations": [], "losses": []}
    teach, judge, tried = state["teach"], state["judge"], state["tried"]
    until = taught_until(teach, judge)
    witnesses = frozenset(i.id for i in judge if i.created_at < until)
    runners = [
        Runner(
            candidate=candidate,
            evidence=Evidence(alpha=share(confidence, tried + number), since=until.isoformat()),
            called=witnesses,
        )
        for number, candidate in enumerate(candidates, start=1)
    ]
    course = Course(
        user_id=user_id,
        context=context,
        base=base,
        incumbent=state["incumbent"].sections,
        labels=judge,
        before=teach[0].created_at,
        first=max(context.align_judge, len(witnesses) + 1),
        pace=state["pace"],
        calls=state["calls"],
        others=[runner_of(challenger) for challenger in state["challengers"]],
        known={simulation.interaction_id: simulation for simulation in state["judged"]},
    )
    await race.run(course, runners, runtime.stream_writer)
    await leave_out(race, course, runners, judge, margin, runtime.stream_writer)
    return turned | _outcome(state, course, runners, margin)


def _outcome(state: AlignmentState, course: Course, runners: Sequence[Runner], margin: float) -> dict[str, Any]:
    """What the race changes in the state."""
    judged = [settled(runner, margin) for runner in runners]
    winner = best(judged)
    kept = challengers_of([*course.others, *runners], course.user_id, course.base.version)
    names = {one.id for one in kept}
    update: dict[str, Any] = {
        "tried": state["tried"] + len(state["candidates"]),
        "challengers": kept,
        "judged": [course.known[i.id] for i in state["judge"] if i.id in course.known],
        "rejected": [
            *state["rejected"],
            *(c for r, c in zip(runners, judged, strict=True) if c is not winner and r.id not in names),
            *(settled(r, margin, run=state["run"], epoch=0) for r in course.others if r.id not in names),
        ],
        "candidates": [],
        "pace": course.pace,
        "stopped": course.stopped,
        **booked(state, course.meter),
    }
    if winner is not None:
        update |= {"incumbent": winner, "simulations": [], "losses": []}
    return update
