"""What the user asks their agent to remember, correct or forget, in so many words.

A statement is kept as an episode of its own, and the fact stands on it: so it has evidence like every other fact, and
forgetting it takes the episode, and the turn it was made in. It is no answer to anything: it has no ground truth, so no
sample, judge, statistic or demonstration holds it, and a search passes it over, because the profile tells it.
"""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from personaagent.errors import InvalidFact, UnknownFact, UnknownInteraction
from personaagent.labels.statistics import STATISTICS
from personaagent.ledger.facts import MAX_FACT_CHARS, Facts
from personaagent.masking import storable_text
from personaagent.memory.about import names, said
from personaagent.memory.forgetting import LINE_CHARS, Forgetter, Selection
from personaagent.ports import EpisodicMemory, Where
from personaagent.text import one_line
from personaagent.types import STATEMENT_KEY, Fact, FactOperation, Interaction, is_statement

TURN = timedelta(hours=1)  # within which the turn that a statement was made in is written
TURNS = 50


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

    async def forget(self, user_id: str, fact_id: str, *, said_too: bool = False) -> int:
        """Delete a fact for good, with the statements that only it stands on; returns how many records went.

        ``said_too``: and the messages in which the user said it in passing. Raises UnknownFact.
        """
        fact = await self._holding(user_id, fact_id)
        gone_with = await self._said(user_id, fact, in_passing=said_too)
        gone = await self._facts.delete(user_id, fact_id)
        if gone_with:
            report = await self._forgetter.forget(user_id, Selection(ids=tuple(i.id for i in gone_with)))
            gone += len(report.interactions)
        return gone

    async def show(self, user_id: str, fact_id: str, about: str) -> str:
        """What forgetting that fact, or else that matter, would take, in lines.

        Raises UnknownFact; UnknownInteraction where nothing would go, InputError where the matter has no word.
        """
        if not about:
            fact = await self._holding(user_id, fact_id)
            told = [i.query for i in await self._said(user_id, fact, in_passing=True)]
            lines = dict.fromkeys(one_line(text, LINE_CHARS) for text in told)
            return "\n".join([f"fact: {fact.text}", *(f"said: {line}" for line in lines)])
        seen = await self._forgetter.preview(user_id, Selection(about=about))
        if not seen:
            near = "".join(f"\n- {text}" for text in seen.near)
            raise UnknownInteraction(
                "nothing that is remembered has these words"
                + (f". Near to it in meaning, so name one in its own words:{near}" if near else "")
            )
        return str(seen)

    async def forget_about(self, user_id: str, about: str) -> str:
        """Delete what was said about a matter (``Selection.about``); returns what went. Raises InputError."""
        report = await self._forgetter.forget(user_id, Selection(about=about))
        counted = {"memory": len(report.interactions), "fact": len(report.facts_deleted)}
        went = ", ".join(f"{count} {_PLURALS[name] if count != 1 else name}" for name, count in counted.items())
        return "; still there: ".join([f"Forgotten: {went}", *report.remains]) + "."

    async def _state(self, user_id: str, text: str, replaced: str | None) -> str:
        text = await asyncio.to_thread(_sayable, text)
        if replaced is None and (known := await self._known(user_id, text)):
            return known
        now = datetime.now(UTC)
        kept = await self._episodic.append(
            user_id,
            Interaction(
                id=str(uuid4()),
                user_id=user_id,
                query=text,
                created_at=now,
                metadata={STATEMENT_KEY: True},
            ),
        )
        operation = FactOperation(
            kind="supersede" if replaced else "add",
            fact_id=replaced,
            text=kept.query,
            evidence=(kept.id,),
            confidence=1.0,
            source="user",
        )
        through = await self._facts.through(user_id)
        added = await self._facts.apply(user_id, [operation], through=through or kept.created_at)
        if not added:  # the fact to be replaced, or the statement itself, was forgotten meanwhile
            await self._forgetter.forget(user_id, Selection(ids=(kept.id,)))
            raise _unknown(replaced)
        return added[0].id

    async def _known(self, user_id: str, text: str) -> str | None:
        """The user's own fact that says the same already."""
        same = (f.id for f in await self._facts.holding(user_id) if f.source == "user" and f.text == text)
        return next(same, None)

    async def _said(self, user_id: str, fact: Fact, *, in_passing: bool) -> list[Interaction]:
        """The statements that it stands on, with their turns; ``in_passing``: what else the user said it in, too."""
        evidence = [await self._episodic.get(user_id, key) for key in fact.evidence]
        stated = [interaction for interaction in evidence if is_statement(interaction)]
        turns = [turn for one in stated for turn in await self._turns(user_id, one)]
        matter = _OF_USER.sub("", fact.text) if in_passing and fact.source != STATISTICS else None
        passing = [i for i in evidence if i not in stated and names(said(i), matter)]
        return [*stated, *turns, *passing]

    async def _turns(self, user_id: str, statement: Interaction) -> list[Interaction]:
        """The turns in which a tool was asked to keep that statement."""
        near = Where(since=statement.created_at - TURN, before=statement.created_at + TURN)
        return [
            turn
            for turn in await self._episodic.newest(user_id, TURNS, near)
            if any(t.name in _TOOLS and t.arguments.get("text") == statement.query for t in turn.tools)
        ]

    async def _holding(self, user_id: str, fact_id: str) -> Fact:
        for fact in await self._facts.holding(user_id):
            if fact.id == fact_id:
                return fact
        raise _unknown(fact_id)


_TOOLS = {"remember", "correct"}
_OF_USER = re.compile(r"^the user(?:'s)?\s+", re.IGNORECASE)  # as facts begin, and nobody speaks
_PLURALS = {"memory": "memories", "fact": "facts"}


def _sayable(text: str) -> str:
    """The statement as it will be stored, secrets masked, which may make it longer; raises InvalidFact."""
    kept = storable_text(text).strip()
    if not kept or len(kept) > MAX_FACT_CHARS:
        raise InvalidFact(f"a fact has 1 to {MAX_FACT_CHARS} characters, this one {len(kept)}: say it shorter")
    return kept


def _unknown(fact_id: str | None) -> UnknownFact:
    return UnknownFact(f"this user has no fact {fact_id!r}: the profile tool and `memory facts` show the ids")
