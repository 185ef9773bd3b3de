"""Version 0 of a persona: the paper's rules from a template, and what semantic memory knows of the user."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from personaagent.errors import PersonaConflict
from personaagent.labels.statistics import HISTORY, STATISTICS, describe
from personaagent.persona.shape import fit, from_text, sound_clauses
from personaagent.ports import EpisodicMemory, PersonaStore, SemanticMemory, Where
from personaagent.prompts import render
from personaagent.types import Clause, Persona, Section, Sections, UserProfile

TEMPLATE = "template"  # the kind of the rules that every persona begins with
SEED_TOKENS = 400  # room stays for what alignment has to add


def seed_sections(profile: UserProfile, *, budget_tokens: int = SEED_TOKENS) -> Sections:
    """Return the first persona of a user (paper, section on the persona's initialisation).

    The strongest facts stand under ``who`` with their evidence, as many as the budget takes beside the rules. A fact
    that may not stand in a persona (``rules``) is left out.
    """
    rules = {
        section: tuple(replace(clause, kind=TEMPLATE) for clause in clauses)
        for section, clauses in from_text(render("seed")).items()
    }
    facts = tuple(Clause(text=fact.text, evidence=fact.evidence) for fact in profile.facts)
    known = {i for fact in profile.facts for i in fact.evidence}
    return fit({**sound_clauses({Section.WHO: facts}, known), **rules}, budget_tokens)


class Seeds:
    """The persona of users who have none yet."""

    def __init__(self, personas: PersonaStore, semantic: SemanticMemory, episodic: EpisodicMemory) -> None:
        self._personas, self._semantic, self._episodic = personas, semantic, episodic

    async def persona(self, user_id: str) -> Persona:
        """The persona in force; version 0 is made from the profile where there is none."""
        current = await self._personas.current(user_id)
        if current is not None:
            return current
        sections = seed_sections(await self._semantic.profile(user_id))
        try:
            return await self._personas.append(user_id, sections, "seed", expected_parent=None, proposer=TEMPLATE)
        except PersonaConflict:
            return await self.persona(user_id)  # another turn of this user seeded it first

    async def to_read(self, user_id: str) -> Persona:
        """The persona in force, or what version 0 would be where there is none: reading makes nobody a user."""
        current = await self._personas.current(user_id)
        if current is not None:
            return current
        sections = seed_sections(await self._semantic.profile(user_id))
        return Persona(user_id=user_id, version=0, sections=sections, origin="seed", created_at=datetime.now(UTC))

    async def as_of(self, user_id: str, before: datetime) -> Sections:
        """What version 0 would have been at that moment: nothing in it stands on what came at or after it."""
        known = (await self._semantic.profile(user_id, before=before)).facts
        history = await self._episodic.newest(user_id, HISTORY, Where(labelled=True, before=before))
        seeded = seed_sections(UserProfile(user_id=user_id, facts=tuple(f for f in known if f.source != STATISTICS)))
        return {**seeded, Section.WHO: (*describe(history), *seeded.get(Section.WHO, ()))}
