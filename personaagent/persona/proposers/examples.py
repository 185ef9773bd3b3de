"""A proposer that needs no model: the most telling of the user's own questions, with what the user wanted."""

from __future__ import annotations

import asyncio

from personaagent.persona.proposers import ProposalContext, Refusal
from personaagent.persona.proposers.renew import renew
from personaagent.types import Candidate


class ExamplesProposer:
    """Questions that the incumbent got wrong, then typical ones."""

    name = "examples"

    async def propose(self, context: ProposalContext) -> Candidate | Refusal:
        """Return the incumbent with examples chosen anew (``renew``)."""
        return await asyncio.to_thread(renew, self.name, context, ("examples",))
