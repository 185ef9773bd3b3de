"""PersonaAgent without one of its parts (paper, ablations): services that lack it, the graphs themselves unchanged."""

from __future__ import annotations

import copy
from datetime import UTC, datetime

from personaagent.graph.services import Services
from personaagent.memory.semantic import LedgerSemanticMemory
from personaagent.persona.seed import Seeds
from personaagent.types import Fact, Persona, UserProfile


class _NoFacts(LedgerSemanticMemory):
    """Semantic memory that takes facts in and shows none."""

    async def profile(self, user_id: str, *, before: datetime | None = None) -> UserProfile:  # noqa: ARG002
        """Nothing is known."""
        return UserProfile(user_id=user_id)

    async def search(self, user_id: str, query: str, k: int, *, before: datetime | None = None) -> list[Fact]:  # noqa: ARG002
        """Nothing is found."""
        return []


class _NoPersona(Seeds):
    """Every user has an empty persona."""

    async def persona(self, user_id: str) -> Persona:
        """A persona without a clause; it is not stored."""
        return Persona(user_id=user_id, version=0, sections={}, origin="seed", created_at=datetime.now(UTC))


def ablated(services: Services, *, memory: bool, persona: bool) -> Services:
    """The same services to answer with, without the profile's facts and without a persona where these are off."""
    seen = copy.copy(services)
    if not memory:
        seen.semantic = _NoFacts(services.facts, services.embedder)
    seen.seeds = (Seeds if persona else _NoPersona)(seen.personas, seen.semantic, seen.episodic)
    return seen
