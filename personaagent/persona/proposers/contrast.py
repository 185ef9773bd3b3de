"""A proposer that needs no model: which of two labels, for the pairs that the incumbent confused."""

from __future__ import annotations

import asyncio

from personaagent.persona.proposers import ProposalContext, Refusal
from personaagent.persona.proposers.renew import renew
from personaagent.types import Candidate


class ContrastProposer:
    """Confused labels held against each other."""

    name = "contrast"

    async def propose(self, context: ProposalContext) -> Candidate | Refusal:
        """Return the incumbent with contrasts counted anew (``renew``)."""
        return await asyncio.to_thread(renew, self.name, context, ("contrast",))
