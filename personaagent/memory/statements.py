"""What the user asks their agent to remember, correct or forget, in so many words.

A statement is kept as an episode of its own, labelled by the user, and the fact stands on it: so it has evidence like
every other fact, and forgetting it leaves nothing behind.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

from personaagent.errors import InvalidFact, UnknownFact
from personaagent.ledger.facts import MAX_FACT_CHARS, Facts
from personaagent.memory.forgetting import Forgetter, Selection
from personaagent.memory.intake import storable_text
from personaagent.ports import EpisodicMemory
from personaagent.types import Fact, FactOperation, Interaction

TASK = "statement"


class Statements:
    """The user's own word on semantic memory; it outranks what was inferred."""

    def __init__(self, episodic: EpisodicMemory, facts: Facts, forgetter: Forgetter) -> None:
        self._episodic = episodic
        self._facts = facts
        self._forgetter = forgetter

    async def remember(self, user_id: str, text: str) -> str:
        """Keep a fact; returns its id. Raises InvalidFact; then nothing was kept."""
        return await self._state(user_id, text, None)

    async def correct(self, user_id: str, fact_id: str, text: str) -> str:
        """Put a fact in the place of another; returns its id. Raises UnknownFact, InvalidFact; then nothing changed."""
        await self._holding(user_id, fact_id)
        return await self._state(user_id, text, fact_id)

    async def forget(self, user_id: str, fact_id: str) -> int:
        """Delete a fact for good, with the statements that only it stands on; returns how many records went.

        Raises UnknownFact.
        """
        fact = await self._holding(user_id, fact_id)
        evidence = [await self._episodic.get(user_id, key) for key in fact.evidence]
        statements = [interaction.id for interaction in evidence if interaction.task == TASK]
        gone = await self._facts.delete(user_id, fact_id)
        if statements:
            report = await self._forgetter.forget(user_id, Selection(ids=tuple(statements)))
            gone += len(report.interactions)
        return gone

    async def _state(self, user_id: str, text: str, replaced: str | None) -> str:
        text = await asyncio.to_thread(_sayable, text)
        now = datetime.now(UTC)
        said = await self._episodic.append(
            user_id,
            Interaction(
                id=str(uuid4()),
                user_id=user_id,
                query=text,
                created_at=now,
                task=TASK,
                ground_truth=text,
                truth_source="correction",
                truth_confidence=1.0,
                labelled_at=now,
            ),
        )
        operation = FactOperation(
            kind="supersede" if replaced else "add",
            fact_id=replaced,
            text=said.query,
            evidence=(said.id,),
            confidence=1.0,
            source="user",
        )
        through = await self._facts.through(user_id)
        added = await self._facts.apply(user_id, [operation], through=through or said.created_at)
        if not added:  # the fact to be replaced, or the statement itself, was forgotten meanwhile
            await self._forgetter.forget(user_id, Selection(ids=(said.id,)))
            raise _unknown(replaced)
        return added[0].id

    async def _holding(self, user_id: str, fact_id: str) -> Fact:
        for fact in await self._facts.holding(user_id):
            if fact.id == fact_id:
                return fact
        raise _unknown(fact_id)


def _sayable(text: str) -> str:
    """The statement as it will be stored, secrets masked, which may make it longer; raises InvalidFact."""
    said = storable_text(text).strip()
    if not said or len(said) > MAX_FACT_CHARS:
        raise InvalidFact(f"a fact has 1 to {MAX_FACT_CHARS} characters, this one {len(said)}: say it shorter")
    return said


def _unknown(fact_id: str | None) -> UnknownFact:
    return UnknownFact(f"this user has no fact {fact_id!r}: the profile tool and `memory facts` show the ids")
