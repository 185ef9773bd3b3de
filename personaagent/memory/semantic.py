"""Semantic memory: the facts that the ledger keeps, as a profile that fits a prompt (paper, ``P^u``)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from personaagent.errors import IndexUnavailable, ModelError, SetupError
from personaagent.inputs import check_user_id
from personaagent.ledger.facts import Facts
from personaagent.masking import storable_text
from personaagent.models.tokens import count_tokens
from personaagent.ports import Embedder
from personaagent.types import Fact, FactOperation, UserProfile

HALF_LIFE = timedelta(days=365)  # a fact's strength halves in a year without new evidence
MAX_SEARCHED = 256  # strongest facts that a search embeds; the embedder's cache holds them


class LedgerSemanticMemory:
    """Implements ``ports.SemanticMemory``; ``token_budget`` bounds the profile, not what is remembered."""

    def __init__(self, facts: Facts, embedder: Embedder, *, token_budget: int = 400) -> None:
        self._facts = facts
        self._embedder = embedder
        self._token_budget = token_budget

    async def profile(self, user_id: str, *, before: datetime | None = None) -> UserProfile:
        """The facts that hold now, or that held before that moment, strongest first, within the token budget."""
        check_user_id(user_id)
        holding, through = await self._facts.known(user_id, before=before)
        if before is not None and through is not None:
            through = max((fact.valid_from for fact in holding), default=None)  # the cursor itself lies later
        return self.profile_of(user_id, holding, through)

    def profile_of(self, user_id: str, holding: Sequence[Fact], through: datetime | None) -> UserProfile:
        """The profile that these facts of the user make."""
        facts = within_budget(strongest_first(holding), self._token_budget)
        return UserProfile(user_id=user_id, facts=tuple(facts), through=through)

    async def search(self, user_id: str, query: str, k: int, *, before: datetime | None = None) -> list[Fact]:
        """The k facts that fit the query best by meaning; raises IndexUnavailable when nothing can be embedded."""
        check_user_id(user_id)
        facts = strongest_first(await self._facts.holding(user_id, before=before))[:MAX_SEARCHED]
        if k < 1 or not facts or not query.strip():
            return []
        try:
            vectors = await self._embedder.embed([query.strip(), *(fact.text for fact in facts)])
        except (ModelError, SetupError) as error:
            raise IndexUnavailable(f"the query cannot be embedded: {error}") from error
        fit = vectors[1:] @ vectors[0]
        best = sorted(range(len(facts)), key=lambda place: (-float(fit[place]), place))
        return [facts[place] for place in best[:k]]

    async def apply(self, user_id: str, operations: Sequence[FactOperation], *, through: datetime) -> list[Fact]:
        """Carry out the valid ones of the operations, secrets masked, and note what was read through."""
        check_user_id(user_id)
        masked = await asyncio.to_thread(lambda: [replace(o, text=storable_text(o.text)) for o in operations])
        return await self._facts.apply(user_id, masked, through=through)

    async def history(self, user_id: str) -> list[Fact]:
        """Every fact, superseded and retired ones too, oldest first."""
        return await self._facts.history(check_user_id(user_id))


def strongest_first(facts: Sequence[Fact]) -> list[Fact]:
    """What the user said of themselves first, then by confidence, halved for each year behind the newest fact."""
    if not facts:
        return []
    newest = max(fact.valid_from for fact in facts)

    def weakness(fact: Fact) -> tuple[bool, float, float, str]:
        strength = fact.confidence * 0.5 ** ((newest - fact.valid_from) / HALF_LIFE)
        return fact.source != "user", -strength, -fact.valid_from.timestamp(), fact.id

    return sorted(facts, key=weakness)


def within_budget(facts: Sequence[Fact], tokens: int) -> list[Fact]:
    """The first facts whose profile takes at most so many tokens; one that is too long makes way for shorter ones."""
    kept: list[Fact] = []
    text = ""
    for fact in facts:
        longer = f"{text}\n- {fact.text}" if text else f"- {fact.text}"
        if count_tokens(longer) <= tokens:
            kept.append(fact)
            text = longer
    return kept
