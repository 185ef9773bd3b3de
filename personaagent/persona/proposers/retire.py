"""A proposer that needs no model: the persona without what only old interactions speak for."""

from __future__ import annotations

import asyncio

from personaagent.labels.statistics import counted_kind
from personaagent.persona.proposers import ProposalContext, Refusal
from personaagent.persona.proposers.renew import renew
from personaagent.types import Candidate

FRESH = 20  # newest labelled interactions; a clause that none of them supports is old


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
            if clause.evidence
            and clause.kind is None
            and counted_kind(clause) is None
            and fresh.isdisjoint(clause.evidence)
        }
        if not old:
            return Refusal(proposer=self.name, reason="no clause stands on old interactions alone")
        return await asyncio.to_thread(renew, self.name, context, (), without=old)
