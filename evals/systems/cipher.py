"""A list of preferences, each read by a model from one edit, those of similar questions shown (CIPHER, 2404.15269)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from langchain_core.messages import HumanMessage

from personaagent.errors import ModelOutputInvalid, ModelRefused
from personaagent.evals.systems import Answer, Bench, Portrait
from personaagent.evals.systems.prompting import ask, messages
from personaagent.evals.systems.rag import Retrieval
from personaagent.evals.tasks import Row
from personaagent.prompts import quote

READ = 900  # characters of an answer and of its edit that the model is shown
TOKENS = 30  # of a preference
LISTED = 5
PROMPT = (
    "Here is an answer, and what one user made of it.\n\n{before}\n\n{after}\n\n"
    "What does this user change about length, form and tone? Reply with one short phrase that begins with "
    '"The user prefers" and does not name the topic.'
)


class Preferences(Retrieval):
    """One model call an edit, one a query, with up to ``LISTED`` preferences in the system prompt."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self._read: dict[str, str] = {}  # row → preference

    async def prepare(self, user_id: str, history: Sequence[Row]) -> None:
        """Read a preference from every edit; an answer that was left as it is tells none."""
        await super().prepare(user_id, history)
        for row in history:
            if row.response and row.response.split() != row.truth.split():
                self._read[row.id] = await self._preference(row)

    async def answer(self, row: Row) -> Answer:
        """What the model says, knowing what the user preferred at similar questions."""
        found = await self.nearest.find(row.user_id, row.query, LISTED)
        listed = dict.fromkeys(filter(None, (self._read.get(past.id, "") for past, _ in found)))
        profile = "\n".join(f"- {line}" for line in listed)
        return await ask(self.bench, row, messages(self.bench, row, profile=profile))

    async def portrait(self, user_id: str) -> Portrait:
        """Every preference, each once."""
        lines = dict.fromkeys(self._read.get(row.id, "") for row in self.seen[user_id])
        return Portrait(persona="\n".join(filter(None, lines)))

    async def _preference(self, row: Row) -> str:
        prompt = PROMPT.format(before=quote(row.response[:READ], "before"), after=quote(row.truth[:READ], "after"))
        with suppress(ModelOutputInvalid, ModelRefused):
            chat = await self.bench.models.chat("critic")
            reply = await chat.bind(max_tokens=TOKENS).ainvoke([HumanMessage(prompt)])
            return " ".join(str(reply.text).split())
        return ""
