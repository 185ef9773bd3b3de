"""Proposers that need no model: what can be counted in the user's labels, and the persona without what is old."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from personaagent.persona.proposers import ProposalContext, Refusal
from personaagent.persona.proposers.renew import Kind, renew
from personaagent.types import Candidate

FRESH = 20  # newest labelled interactions; a clause that none of them supports is old


@dataclass(frozen=True, slots=True)
class CountedProposer:
    """The incumbent with its counted clauses fresh, habits and tools among them, and one kind added."""

    name: str
    kind: Kind

    async def propose(self, context: ProposalContext) -> Candidate | Refusal:
        """Return the incumbent, counted anew (``renew``)."""
        return await asyncio.to_thread(renew, self.name, context, (self.kind,))


HISTOGRAM = CountedProposer("histogram", "signs")  # the words that go with each label
CONTRAST = CountedProposer("contrast", "contrast")  # labels that the incumbent confused, held against each other
EXAMPLES = CountedProposer("examples", "examples")  # questions that it got wrong, then typical ones


class RetireProposer:
    """Takes out clauses that stand on old evidence alone; the gate says whether they were still needed."""

    name = "retire"

    async def propose(self, context: ProposalContext) -> Candidate | Refusal:
        """Return the incumbent without its old clauses and with fresh counts; template clauses have no evidence.

        A Refusal where no clause is old.
        """
        fresh = {interaction.id for interaction in context.history[-FRESH:]}
        old = {
            clause.text
            for clauses in context.incumbent.values()
            for clause in clauses
            if clause.evidence and clause.kind is None and fresh.isdisjoint(clause.evidence)
        }
        if not old:
            return Refusal(proposer=self.name, reason="no clause stands on old interactions alone")
        return await asyncio.to_thread(renew, self.name, context, (), without=old)
