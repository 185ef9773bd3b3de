"""Floor: the user's last label."""

from __future__ import annotations

from personaagent.evals.systems import Answer, Remembering
from personaagent.evals.tasks import Row


class LastLabel(Remembering):
    """Answers what the user answered last; it reads no query."""

    async def answer(self, row: Row) -> Answer:
        """The newest label; empty without any."""
        return Answer(text=next((past.truth for past in reversed(self.seen[row.user_id]) if past.truth), ""))
