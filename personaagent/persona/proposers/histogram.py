"""A proposer that needs no model: the user's label habits, the words that go with each label, the tools that served."""

from __future__ import annotations

import asyncio

from personaagent.persona.proposers import ProposalContext, Refusal
from personaagent.persona.proposers.renew import renew
from personaagent.types import Candidate


class HistogramProposer:
    """Habits, tools and signs."""

    name = "histogram"

    async def propose(self, context: ProposalContext) -> Candidate | Refusal:
        """Return the incumbent with habits, tools and signs counted anew (``renew``)."""
        return await asyncio.to_thread(renew, self.name, context, ("signs",))
