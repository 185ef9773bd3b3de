"""Profile-augmented generation: a summary of the user beside the recalled examples (paper, baseline "PAG")."""

from __future__ import annotations

from collections.abc import Sequence

from personaagent.evals.systems import Answer, Bench, Portrait
from personaagent.evals.systems.prompting import ask, messages, summarize
from personaagent.evals.systems.rag import Retrieval
from personaagent.evals.tasks import Row

READ = 40  # newest interactions that the profile is made of
LINE = 200
INSTRUCTION = (
    "Below is what one user wrote or was asked, each with the user's own answer. In at most five short sentences, "
    "describe this user: what they are occupied with, how they tend to answer, and what would help to predict it."
)


class ProfileAugmented(Retrieval):
    """RAG with a profile that a model wrote of the history once, before the first query."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self._profiles: dict[str, str] = {}

    async def prepare(self, user_id: str, history: Sequence[Row]) -> None:
        """Embed the history and have it summarised: one model call a user."""
        await super().prepare(user_id, history)
        if history:
            self._profiles[user_id] = await summarize(self.bench, INSTRUCTION, lines(history[-READ:]))

    async def answer(self, row: Row) -> Answer:
        """What the model says, knowing the profile and the recalled examples."""
        profile = self._profiles.get(row.user_id, "")
        return await ask(self.bench, row, messages(self.bench, row, await self.recalled(row), profile=profile))

    async def portrait(self, user_id: str) -> Portrait:
        """The profile."""
        return Portrait(persona=self._profiles.get(user_id, ""))


def lines(rows: Sequence[Row]) -> list[str]:
    """Interactions for a summary, one a line, each cut short."""
    return [f"- {' '.join(row.query.split())[:LINE]}{' → ' + row.truth if row.truth else ''}" for row in rows]
