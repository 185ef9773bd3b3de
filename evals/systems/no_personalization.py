"""The model alone: the task and the query, nothing of the user (paper, "Non-Personalized")."""

from __future__ import annotations

from personaagent.evals.systems import Answer, Remembering
from personaagent.evals.systems.prompting import ask, messages
from personaagent.evals.tasks import Row


class NoPersonalization(Remembering):
    """One model call a query, with the choices and without any history."""

    async def answer(self, row: Row) -> Answer:
        """What the model says to the query alone."""
        return await ask(self.bench, row, messages(self.bench, row))
