"""Propose candidate personas, from what the user showed and from the critiques."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from langgraph.runtime import Runtime

from personaagent.context import MAX_CANDIDATES, Context
from personaagent.inputs import user_of
from personaagent.ledger.candidates import Candidates
from personaagent.models.meter import Meter, booked, metering
from personaagent.persona.gate import Evidence, labels_needed, share, to_win
from personaagent.persona.proposers import ProposalContext, Proposer, Refusal
from personaagent.persona.shape import to_text
from personaagent.ports import EpisodicMemory, PersonaStore, Where
from personaagent.racing import belief
from personaagent.scheduling import taught_until
from personaagent.state import AlignmentState
from personaagent.types import Candidate, Sections, Verdict, is_statement

HISTORY = 200  # labelled interactions that a proposer may read
ROUNDS = 3  # of all proposers in an epoch


async def edit_persona(
    state: AlignmentState,
    runtime: Runtime[Context],
    *,
    episodic: EpisodicMemory,
    personas: PersonaStore,
    candidates: Candidates,
    proposers: Sequence[Proposer],
    gradient: Proposer | None,
    token_budget: int,
    confidence: float,
    book: Callable[[str, Meter], Awaitable[None]],
) -> dict[str, Any]:
    """Return this epoch's candidates: ``align_candidates``, but no more than the judging interactions could prove.

    The first epoch asks ``proposers`` alone: what they measure costs no call, and where it is proven nothing else has
    to be paid for. From the second one on half are by gradient. The proposers are asked in their order
    and go on where the epoch before ended; what the gradient refuses, they fill in. Nobody proposes what challenges the
    version already or was judged on these interactions before. Proposers see what came before the judging
    interactions, never those. A refusal is kept with its reason. Without the gate all candidates are by gradient, as in
    the paper. Without a ``gradient`` all are by ``proposers``.
    """
    user_id, context = user_of(runtime), runtime.context
    known = await _known(state, user_id, episodic, personas, token_budget)

    def told(variant: int) -> ProposalContext:
        return replace(known, variant=variant)

    wanted, drafts = planned(state, context, confidence, gradient=gradient is not None)
    seen = await _seen(state, candidates)
    # with the gate the others take their turns while the gradient waits for its model
    others = (*proposers, gradient) if gradient and state["losses"] and not drafts else proposers
    turns = _Turns(() if drafts == wanted else others, told, state["turns"], seen)
    with metering() as meter:
        drafting = [gradient.propose(told(state["epoch"] * drafts + n)) for n in range(drafts)] if gradient else []
        drafted, _ = await asyncio.gather(asyncio.gather(*drafting), turns.take(wanted - drafts))
        written = [p for p in drafted if isinstance(p, Candidate) and seen.take(p)]
        await turns.take(drafts - len(written))
    await book(user_id, meter)
    proposals = turns.proposals
    refused = _refused(state["incumbent"].sections, (*proposals, *drafted))
    noted: dict[str, Any] = {"run": state["run"], "epoch": state["epoch"] + 1}
    proposed = [*(p for p in proposals if isinstance(p, Candidate)), *written]
    return {
        "candidates": [replace(candidate, **noted) for candidate in proposed],
        "rejected": [*state["rejected"], *(replace(candidate, **noted) for candidate in refused)],
        "turns": state["turns"] + turns.taken,
        **booked(state, meter),
    }


def _refused(incumbent: Sections, proposals: Sequence[Candidate | Refusal]) -> list[Candidate]:
    """Each refusal once, as a candidate that was not accepted."""
    refusals = {(p.proposer, p.reason): p for p in proposals if isinstance(p, Refusal)}
    return [
        Candidate(proposer=name, sections=incumbent, verdict=Verdict(accepted=False, reason=f"refused: {reason}"))
        for name, reason in refusals
    ]


async def _known(
    state: AlignmentState, user_id: str, episodic: EpisodicMemory, personas: PersonaStore, token_budget: int
) -> ProposalContext:
    """What proposers are told."""
    teach, judge = state["teach"], state["judge"]
    taught = Where(before=taught_until(teach, judge), exclude=frozenset(i.id for i in judge))
    history = await episodic.newest(user_id, HISTORY, replace(taught, labelled=True))
    return ProposalContext(
        user_id=user_id,
        incumbent=state["incumbent"].sections,
        losses=tuple(state["losses"]),
        simulations=tuple(state["simulations"]),
        teach=tuple(teach),
        history=tuple(i for i in history if not is_statement(i)),
        commented=tuple(i for i in await episodic.newest(user_id, HISTORY, taught) if i.comment),
        pins=tuple(pin.text for pin in await personas.pins(user_id)),
        token_budget=token_budget,
    )


def planned(state: AlignmentState, context: Context, confidence: float, *, gradient: bool) -> tuple[int, int]:
    """How many candidates this epoch wants, and how many of them by ``gradient``, which needs critiques.

    With the gate the gradient waits for the second epoch, where there may be one.
    """
    wanted = max(1, context.align_candidates)
    if context.align_gate:
        wanted = min(wanted, provable(state, confidence))
    if not gradient:
        return wanted, 0
    if not context.align_gate:
        return wanted, wanted
    if state["epoch"] == 0 and context.align_epochs > 1:
        return (wanted + 1) // 2, 0
    return wanted, (wanted + state["epoch"] % 2) // 2  # a single one is by turns


def provable(state: AlignmentState, confidence: float) -> int:
    """How many more candidates the judging interactions could prove, each tried after the one before; at most 16.

    Forty interactions could prove tens of thousands: nobody asks for them, and counting them takes seconds.
    """
    answered = {simulation.interaction_id: simulation for simulation in state["judged"]}
    gains = [to_win(answered.get(i.id), belief(i)) for i in state["judge"]]
    for count in range(MAX_CANDIDATES):
        if labels_needed(Evidence(alpha=share(confidence, state["tried"] + count + 1)), gains):
            return count
    return MAX_CANDIDATES


class _Seen:
    """Personas that are no new candidates, by their words: evidence alone makes no other persona."""

    def __init__(self, sections: Iterable[Sections]) -> None:
        self._texts = {to_text(one, evidence=False) for one in sections}

    def take(self, candidate: Candidate) -> bool:
        """Whether the candidate is new; from now on it is not."""
        text = to_text(candidate.sections, evidence=False)
        if text in self._texts:
            return False
        self._texts.add(text)
        return True


async def _seen(state: AlignmentState, candidates: Candidates) -> _Seen:
    """What was judged in this alignment, challenges its base, or was refused by half of the judging labels before."""
    base, judge = state["base"], sorted(i.created_at for i in state["judge"])
    before = await candidates.since(base.user_id, base.created_at) if base else []
    return _Seen(
        [
            state["incumbent"].sections,
            *(c.sections for c in state["rejected"]),
            *(c.sections for c in state["challengers"]),
            *(c.sections for when, c in before if judge and when >= judge[len(judge) // 2]),
        ]
    )


class _Turns:
    """Proposers that are asked one after the other, from the ``start``-th turn on; what they said is kept.

    What is in ``seen`` is no new candidate.
    """

    def __init__(
        self,
        proposers: Sequence[Proposer],
        told: Callable[[int], ProposalContext],
        start: int,
        seen: _Seen,
    ) -> None:
        self._seen = seen
        self.proposals: list[Candidate | Refusal] = []
        self._proposers = proposers
        self._told = told
        self.taken = 0
        self._turns = iter(range(start, start + ROUNDS * len(proposers)))

    async def take(self, wanted: int) -> None:
        """Ask until there are ``wanted`` new candidates more, or everybody had their turns."""
        while wanted > 0 and (turn := next(self._turns, None)) is not None:
            self.taken += 1
            variant, place = divmod(turn, len(self._proposers))
            proposal = await self._proposers[place].propose(self._told(variant))
            if isinstance(proposal, Refusal):
                self.proposals.append(proposal)
            elif self._seen.take(proposal):
                self.proposals.append(proposal)
                wanted -= 1
