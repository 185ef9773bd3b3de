"""Version 0 of a persona: the paper's rules from a template, and what semantic memory knows of the user."""

from __future__ import annotations

from dataclasses import replace

from personaagent.persona.shape import fit, from_text, sound_clauses
from personaagent.prompts import render
from personaagent.types import Clause, Section, Sections, UserProfile

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
