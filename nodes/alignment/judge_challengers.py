"""Go on judging what was ahead before, on the labels that came since, before anything new is proposed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from langgraph.runtime import Runtime

from personaagent.ablation import leave_out
from personaagent.context import Context
from personaagent.inputs import user_of
from personaagent.models.meter import booked
from personaagent.persona.gate import best
from personaagent.ports import EpisodicMemory, Where
from personaagent.racing import Course, Race, challengers_of, runner_of, settled
from personaagent.state import AlignmentState
from personaagent.types import is_statement

HISTORY = 200  # labelled interactions among which those that did not judge yet are looked for


async def judge_challengers(
    state: AlignmentState, runtime: Runtime[Context], *, race: Race, episodic: EpisodicMemory, margin: float
) -> dict[str, Any]:
    """Return the challengers that stay, those that are dropped as rejected, and the proven one as the incumbent.

    No challenger is judged by what taught it, nor twice by one interaction.
    """
    base, user_id, context = state["base"], user_of(runtime), runtime.context
    if base is None or not state["challengers"] or not context.align_gate:
        return {"challengers": []}
    runners = [runner_of(challenger) for challenger in state["challengers"]]
    labelled = await episodic.newest(user_id, HISTORY, Where(labelled=True))
    new = [i for i in labelled if not is_statement(i) and any(r.may_be_judged_by(i) for r in runners)]
    course = Course(
        user_id=user_id,
        context=context,
        base=base,
        incumbent=base.sections,
        labels=new[::-1],
        before=None,
        first=context.align_judge,
        pace=state["pace"],
        calls=state["calls"],
    )
    await race.run(course, runners, runtime.stream_writer)
    await leave_out(race, course, runners, labelled, margin, runtime.stream_writer)
    noted: dict[str, Any] = {"run": state["run"], "epoch": 0}
    judged = {r.id: settled(r, margin, **noted) for r in runners}
    winner = best([judged[r.id] for r in runners if r.standing == "proven"])
    update: dict[str, Any] = {
        "challengers": challengers_of(runners, user_id, base.version),
        "rejected": [*state["rejected"], *(judged[r.id] for r in runners if r.standing == "dropped")],
        "pace": course.pace,
        "stopped": course.stopped,
        **booked(state, course.meter),
    }
    return update | ({"incumbent": replace(winner)} if winner else {})
