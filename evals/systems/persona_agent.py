"""PersonaAgent through its real graphs, whole or without one of its parts (paper, main table and ablations)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import HumanMessage

from evals.systems import Bench
from evals.tasks import Row
from graph.alignment import build_alignment
from graph.respond import build_respond
from graph.services import Services
from personaagent.context import Context
from personaagent.errors import ModelError
from personaagent.state import RespondState
from personaagent.types import Interaction, Persona


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Which parts are on, and how far alignment goes. All off is the model alone, without personalization."""

    memory: bool = True
    persona: bool = True
    alignment: bool = True
    action: bool = True
    gate: bool = True
    batch: int = 3
    judge: int = 6
    epochs: int = 3
    candidates: int = 2


class PersonaAgent:
    """The agent's own stretch from retrieval to answer, over real memory, persona and alignment.

    Rows keep their own times: a truth becomes an interaction of the row's day, so that recency means what it means
    live. It aligns once, on the history, before the first test row; later truths become memory but start no
    alignment, so that systems with and without it differ in nothing else.
    """

    def __init__(self, bench: Bench, parts: Parts) -> None:
        self._parts = parts
        self._task = bench.task
        self._recall_k = bench.recall_k
        settings = bench.settings.model_copy(update={"home": bench.home})
        self._services = Services(settings, models=bench.models, embedder=bench.embedder)
        self._respond = build_respond(self._services).compile()
        self._alignment = build_alignment(self._services).compile()
        self._personas: dict[str, Persona | None] = {}
        self.outcomes: dict[str, str] = {}  # what became of each user's alignment

    async def prepare(self, user_id: str, history: Sequence[Row]) -> None:
        """Import the history, make the profile and the seed, and align on the history's end."""
        self._personas[user_id] = None
        if self._parts.memory:
            await self._services.episodic.append_many(user_id, [self._interaction(row) for row in history])
        if self._parts.persona:
            await self._services.refresh_profile(user_id)
            self._personas[user_id] = await self._services.seed_persona(user_id)
        if self._parts.persona and self._parts.alignment:
            result = await self._alignment.ainvoke({}, context=self._context(user_id))
            self.outcomes[user_id] = result["outcome"]
            self._personas[user_id] = await self._services.personas.current(user_id)

    async def answer(self, row: Row) -> str:
        """One turn under the user's persona; a model that fails has no answer."""
        state: RespondState = {
            "messages": [HumanMessage(row.query, id=row.id)],
            "persona": self._personas[row.user_id],
            "pins": [],
        }
        try:
            out: dict[str, Any] = await self._respond.ainvoke(state, context=self._context(row.user_id))
        except ModelError:
            return ""
        return str(out["answer"])

    async def learn(self, row: Row) -> None:
        """The truth becomes memory."""
        if self._parts.memory:
            await self._services.episodic.append(row.user_id, self._interaction(row))

    async def close(self) -> None:
        """Flush and release the services; the models are shared and stay."""
        await self._services.indexer.close()
        await self._services.index.close()
        await self._services.database.close()

    def _context(self, user_id: str) -> Context:
        parts = self._parts
        return Context(
            user_id=user_id,
            task=self._task.name,
            instructions=self._task.instructions,
            choices=list(self._task.choices),
            tools=None if parts.action else [],
            recall_k=self._recall_k,
            personalize=parts.memory or parts.persona,
            align="off",
            align_batch=parts.batch,
            align_judge=parts.judge,
            align_epochs=parts.epochs,
            align_candidates=parts.candidates,
            align_gate=parts.gate,
        )

    def _interaction(self, row: Row) -> Interaction:
        return Interaction(
            id=row.id,
            user_id=row.user_id,
            query=row.query,
            created_at=row.created_at,
            task=self._task.name,
            choices=self._task.choices,
            ground_truth=row.truth,
            truth_source="imported",
            truth_confidence=1.0,
            metadata={"instructions": self._task.instructions},
        )
