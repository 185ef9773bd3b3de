"""In-context learning: the user's newest interactions as examples (paper, baseline "ICL")."""

from __future__ import annotations

from personaagent.evals.systems import Answer, Remembering
from personaagent.evals.systems.prompting import ask, messages
from personaagent.evals.tasks import Row


class InContext(Remembering):
    """One model call a query; the newest ``recall_k`` interactions come before it, whatever they are about."""

    async def answer(self, row: Row) -> Answer:
        """What the model says after the newest examples, oldest first."""
        newest = self.seen[row.user_id][-self.bench.recall_k :] if self.bench.recall_k else []
        return await ask(self.bench, row, messages(self.bench, row, newest))
