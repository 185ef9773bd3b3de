"""Take the user's latest labelled interactions: the older ones teach, the newer ones judge."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from uuid import uuid4

from langgraph.runtime import Runtime

from personaagent.context import Context
from personaagent.inputs import user_of
from personaagent.persona.trigger import split, with_witnesses
from personaagent.ports import EpisodicMemory, Where
from personaagent.state import AlignmentState
from personaagent.types import Candidate, Persona, Sections

HISTORY = 200  # labelled interactions among which explicit truth is looked for


async def sample_turns(
    state: AlignmentState,  # noqa: ARG001 (a node takes its state)
    runtime: Runtime[Context],
    *,
    episodic: EpisodicMemory,
    seed: Callable[[str], Awaitable[Persona]],
    seed_as_of: Callable[[str, datetime], Awaitable[Sections]],
    remaining: Callable[[str], Awaitable[int]],
) -> dict[str, Any]:
    """Return the base persona, ``teach`` and ``judge`` (both oldest first), and a fresh scratch.

    A base that is only a seed is simulated as it would have been seeded before the batch, because the profile that
    it was made of may stand on the batch's own ground truth. ``judge`` is empty, and ``outcome`` says why, when there
    is too little to align on or the day's budget is spent.
    """
    context, user_id = runtime.context, user_of(runtime)
    base = await seed(user_id)
    labelled = await episodic.newest(user_id, HISTORY, Where(labelled=True))
    newest = labelled[-(context.align_batch + context.align_judge) :]
    teach, judge = with_witnesses(*split(newest, context.align_batch, context.align_judge), labelled)
    outcome = "" if judge else f"no change: {len(newest)} labelled interactions, at least 2 are needed"
    if judge and await remaining(user_id) <= 0:
        teach, judge, outcome = [], [], "no change: today's alignment budget of this user is spent"
    sections = base.sections
    if teach and base.origin == "seed":
        sections = await seed_as_of(user_id, teach[0].created_at)
    return {
        "run": uuid4().hex[:8],
        "base": base,
        "incumbent": Candidate(proposer="incumbent", sections=sections),
        "teach": teach,
        "judge": judge,
        "simulations": [],
        "judged": [],
        "losses": [],
        "critiques": [],
        "candidates": [],
        "rejected": [],
        "tried": 0,
        "epoch": 0,
        "calls": 0,
        "tokens": 0,
        "committed": None,
        "outcome": outcome,
    }
