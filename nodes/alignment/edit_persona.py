"""Propose candidate personas from the critiques, all proposers at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from langgraph.runtime import Runtime

from personaagent.context import Context
from personaagent.inputs import user_of
from personaagent.models.meter import booked, metering
from personaagent.persona.proposers import ProposalContext, Proposer, Refusal
from personaagent.ports import EpisodicMemory, PersonaStore, Where
from personaagent.state import AlignmentState
from personaagent.types import Candidate, Verdict

HISTORY = 200  # labelled interactions that a proposer may read


async def edit_persona(
    state: AlignmentState,
    runtime: Runtime[Context],
    *,
    episodic: EpisodicMemory,
    personas: PersonaStore,
    model_free: Proposer,
    gradient: Proposer,
    token_budget: int,
) -> dict[str, Any]:
    """Return this epoch's candidates: the model-free one and ``align_candidates - 1`` by gradient.

    Proposers see what came before the judging interactions, never those. A refusal is kept with its reason.
    """
    user_id, context = user_of(runtime), runtime.context
    history = await episodic.newest(user_id, HISTORY, Where(labelled=True, before=state["judge"][0].created_at))
    pins = [pin.text for pin in await personas.pins(user_id)]

    def told(variant: int) -> ProposalContext:
        return ProposalContext(
            user_id=user_id,
            incumbent=state["incumbent"].sections,
            losses=tuple(state["losses"]),
            simulations=tuple(state["simulations"]),
            teach=tuple(state["teach"]),
            history=tuple(history),
            pins=tuple(pins),
            token_budget=token_budget,
            variant=variant,
        )

    drafts = max(0, context.align_candidates - 1)
    with metering() as meter:
        proposals: Sequence[Candidate | Refusal] = await asyncio.gather(
            *([model_free.propose(told(state["epoch"]))] if context.align_gate else []),
            *(
                gradient.propose(told(state["epoch"] * max(1, drafts) + n))
                for n in range(drafts or 1 - context.align_gate)
            ),
        )
    refused = [
        Candidate(
            proposer=p.proposer,
            sections=state["incumbent"].sections,
            verdict=Verdict(accepted=False, reason=f"refused: {p.reason}"),
        )
        for p in proposals
        if isinstance(p, Refusal)
    ]
    return {
        "candidates": [p for p in proposals if isinstance(p, Candidate)],
        "rejected": [*state["rejected"], *refused],
        **booked(state, meter),
    }
