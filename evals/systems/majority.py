"""Floor: the user's most frequent label so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from personaagent.evals.systems import Answer, Remembering
from personaagent.evals.tasks import Row


def majority(labels: Sequence[str]) -> str:
    """The most frequent of the labels, oldest first; of equals the newer one; empty without any."""
    return Counter(reversed(labels)).most_common(1)[0][0] if labels else ""


class Majority(Remembering):
    """Answers the user's most frequent label so far; it reads no query."""

    async def answer(self, row: Row) -> Answer:
        """The most frequent label."""
        return Answer(text=majority([past.truth for past in self.seen[row.user_id] if past.truth]))
