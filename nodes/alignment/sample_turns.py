"""Take the user's latest labelled interactions: the older ones teach, the newer ones judge."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from langgraph.runtime import Runtime

from personaagent.context import Context
from personaagent.inputs import user_of
from personaagent.ledger.candidates import Candidates, Challengers
from personaagent.pace import Pace
from personaagent.persona.gate import Evidence, labels_needed, share, to_win
from personaagent.persona.proposers.counted import since_turn
from personaagent.ports import EpisodicMemory, Where
from personaagent.racing import belief, lived
from personaagent.scheduling import split, with_witnesses
from personaagent.state import AlignmentState
from personaagent.types import Candidate, Interaction, Persona, Sections, is_statement

HISTORY = 200  # labelled interactions among which explicit truth is looked for
AHEAD = timedelta(days=1)  # of this clock: what is dated later waits for its time


async def sample_turns(
    state: AlignmentState,  # noqa: ARG001 (a node takes its state)
    runtime: Runtime[Context],
    *,
    episodic: EpisodicMemory,
    seed: Callable[[str], Awaitable[Persona]],
    seed_as_of: Callable[[str, datetime], Awaitable[Sections]],
    remaining: Callable[[str], Awaitable[int]],
    candidates: Candidates,
    challengers: Challengers,
    confidence: float,
) -> dict[str, Any]:
    """Return the base persona, ``teach``, ``judge``, the challengers of the base, and a fresh scratch.

    A base that is only a seed is simulated as it would have been seeded before the batch, because the profile that
    it was made of may stand on the batch's own ground truth. ``outcome`` says why, where there is too little to align
    on or the day's budget is spent. Statements (``metadata["statement"]``) are no question and answer and are left out.
    """
    context, user_id = runtime.context, user_of(runtime)
    base = await seed(user_id)
    # what a clock that was once ahead has dated would be the newest until then, and keep all that follows out
    asked = Where(labelled=True, before=datetime.now(UTC) + AHEAD)
    labelled = [i for i in await episodic.newest(user_id, HISTORY, asked) if not is_statement(i)]
    waiting = [one for one in await challengers.of(user_id) if one.base_version == base.version]
    tried = len(waiting) + len(await candidates.since(user_id, base.created_at))
    teach, judge, needed = _shared_out(labelled, base, context, confidence, tried)
    outcome = "" if judge else f"No change: {len(labelled)} labelled answers, at least 2 are needed"
    if judge and await remaining(user_id) <= 0:
        teach, judge, outcome = [], [], "No change: today's alignment budget of this user is spent"
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
        "tried": tried,
        "challengers": waiting,
        "needed": needed,
        "stopped": "",
        "pace": Pace(began=time.time()),
        "turns": 0,
        "epoch": 0,
        "calls": 0,
        "tokens": 0,
        "committed": None,
        "outcome": outcome,
        "reason": "",
    }


def _shared_out(
    labelled: Sequence[Interaction], base: Persona, context: Context, confidence: float, tried: int
) -> tuple[list[Interaction], list[Interaction], int]:
    """Teaching and judging interactions, as many of these as prove all candidates of an epoch, and how many lack.

    An answer of the base that the user left as it was judges, but brings nobody anything: more judge beside it.
    """
    holding = len(since_turn(labelled, base.sections)[0])
    best: tuple[list[Interaction], list[Interaction], int] = ([], [], 0)
    for number in range(tried + max(1, context.align_candidates), tried, -1):
        evidence = Evidence(alpha=share(confidence, number))
        size = max(context.align_judge, labels_needed(evidence))
        while True:
            older, newer = split(labelled, context.align_batch, size, holding=holding)
            best = *with_witnesses(older, newer, labelled), 0
            gains = [_gain_left(i, base) for i in best[1]]
            needed = labels_needed(evidence, gains) if any(gains) else labels_needed(evidence, [1.0] * len(gains))
            if not needed or len(newer) < size:
                break
            size += 1
        if not needed or not context.align_gate:
            return best
        best = best[0], best[1], needed
    return best


def _gain_left(label: Interaction, base: Persona) -> float:
    """The most that a label can bring a candidate, as far as it is known before anybody is simulated."""
    untouched = label.ground_truth == label.response and lived(label, base)
    return 0.0 if untouched else to_win(None, belief(label))
