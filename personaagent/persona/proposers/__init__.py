"""Proposers: what a next persona might be. Whether it becomes one is for the gate to say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from personaagent.types import Candidate, Interaction, Sections, Simulation, TextualLoss


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalContext:
    """All that a proposer may know: nothing of it is from the judging interactions or later."""

    user_id: str
    incumbent: Sections
    losses: tuple[TextualLoss, ...] = ()
    simulations: tuple[Simulation, ...] = ()  # of the incumbent on ``teach``
    teach: tuple[Interaction, ...] = ()
    history: tuple[Interaction, ...] = ()  # labelled, oldest first, from before the judging ones; ``teach`` included
    commented: tuple[Interaction, ...] = ()  # with a comment, labelled or not, oldest first, from the same time
    pins: tuple[str, ...] = ()
    token_budget: int
    variant: int = 0  # another number asks for another candidate


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """No candidate, and why; it changes nothing."""

    proposer: str
    reason: str


class Proposer(Protocol):
    """One way to come to a candidate."""

    @property
    def name(self) -> str:
        """What the persona's history calls it."""

    async def propose(self, context: ProposalContext) -> Candidate | Refusal:
        """Return a valid candidate within the token budget, or why there is none. Named failures become refusals."""
