"""Propose candidate personas from the critiques, all proposers at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from langgraph.runtime import Runtime

from personaagent.context import Context
from personaagent.inputs import user_of
from personaagent.models.meter import booked, metering
from personaagent.persona.proposers import ProposalContext, Proposer, Refusal
from personaagent.persona.trigger import taught_until
from personaagent.ports import EpisodicMemory, PersonaStore, Where
from personaagent.state import AlignmentState
from personaagent.types import Candidate, Sections, Verdict

HISTORY = 200  # labelled interactions that a proposer may read
ROUNDS = 3  # of all model-free proposers in an epoch


async def edit_persona(
    state: AlignmentState,
    runtime: Runtime[Context],
    *,
    episodic: EpisodicMemory,
    personas: PersonaStore,
    model_free: Sequence[Proposer],
    gradient: Proposer,
    token_budget: int,
) -> dict[str, Any]:
    """Return this epoch's ``align_candidates`` candidates: half by gradient, rounded down, the others model-free.

    What the gradient refuses, the model-free proposers fill in. They take turns over the epochs, and none proposes
    what was judged before. Proposers see what came before the judging interactions, never those. A refusal is kept
    with its reason. Without the gate all candidates are by gradient, as in the paper.
    """
    user_id, context = user_of(runtime), runtime.context
    teach, judge = state["teach"], state["judge"]
    known = Where(labelled=True, before=taught_until(teach, judge), exclude=frozenset(i.id for i in judge))
    history = await episodic.newest(user_id, HISTORY, known)
    pins = [pin.text for pin in await personas.pins(user_id)]

    def told(variant: int) -> ProposalContext:
        return ProposalContext(
            user_id=user_id,
            incumbent=state["incumbent"].sections,
            losses=tuple(state["losses"]),
            simulations=tuple(state["simulations"]),
            teach=tuple(teach),
            history=tuple(history),
            pins=tuple(pins),
            token_budget=token_budget,
            variant=variant,
        )

    wanted = max(1, context.align_candidates)
    drafts = wanted // 2 if context.align_gate else max(1, wanted - 1)
    # without the gate nobody takes a turn; with it they take theirs while the gradient waits for its model
    seen = [c.sections for c in state["rejected"]]
    turns = _Turns(model_free if context.align_gate else (), told, state["epoch"] * (wanted - drafts), seen)
    with metering() as meter:
        drafted, _ = await asyncio.gather(
            asyncio.gather(*(gradient.propose(told(state["epoch"] * drafts + n)) for n in range(drafts))),
            turns.take(wanted - drafts),
        )
    written = [p for p in drafted if isinstance(p, Candidate)]
    seen.extend(c.sections for c in written)
    await turns.take(drafts - len(written))
    counted = turns.proposals
    refusals = {(p.proposer, p.reason): p for p in (*counted, *drafted) if isinstance(p, Refusal)}
    refused = [
        Candidate(
            proposer=p.proposer,
            sections=state["incumbent"].sections,
            verdict=Verdict(accepted=False, reason=f"refused: {p.reason}"),
        )
        for p in refusals.values()
    ]
    noted: dict[str, Any] = {"run": state["run"], "epoch": state["epoch"] + 1}
    proposed = [*(p for p in counted if isinstance(p, Candidate)), *written]
    return {
        "candidates": [replace(candidate, **noted) for candidate in proposed],
        "rejected": [*state["rejected"], *(replace(candidate, **noted) for candidate in refused)],
        **booked(state, meter),
    }


class _Turns:
    """Proposers that are asked one after the other, from the ``start``-th turn on; what they said is kept.

    What is in ``seen`` is no new candidate; each new one is added to it.
    """

    def __init__(
        self,
        proposers: Sequence[Proposer],
        told: Callable[[int], ProposalContext],
        start: int,
        seen: list[Sections],
    ) -> None:
        self._seen = seen
        self.proposals: list[Candidate | Refusal] = []
        self._proposers = proposers
        self._told = told
        self._turns = iter(range(start, start + ROUNDS * len(proposers)))

    async def take(self, wanted: int) -> None:
        """Ask until there are ``wanted`` new candidates more, or everybody had their turns."""
        while wanted > 0 and (turn := next(self._turns, None)) is not None:
            variant, place = divmod(turn, len(self._proposers))
            proposal = await self._proposers[place].propose(self._told(variant))
            if isinstance(proposal, Refusal):
                self.proposals.append(proposal)
            elif proposal.sections not in self._seen:
                self.proposals.append(proposal)
                self._seen.append(proposal.sections)
                wanted -= 1
