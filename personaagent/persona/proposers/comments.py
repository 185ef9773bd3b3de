"""A proposer that reads what the user says of answers: comments become clauses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from statistics import median
from typing import Any

from langchain_core.messages import HumanMessage

from personaagent.errors import InvalidPersona, ModelError
from personaagent.form import LANGUAGES, count_words, language_of
from personaagent.labels.answers import numbered
from personaagent.labels.statistics import EVIDENCE
from personaagent.persona.constraint import Constraint, constraints_of
from personaagent.persona.critique import verify
from personaagent.persona.proposers import ProposalContext, Refusal
from personaagent.persona.proposers.edits import PRONOUNS, STEPS, edits_in, group, rules
from personaagent.persona.shape import MAX_CLAUSE_CHARS, sound_clauses, validate_sections
from personaagent.ports import Models
from personaagent.prompts import quote, render
from personaagent.text import one_line, skeleton
from personaagent.types import Candidate, Clause, Interaction, Section, Sections, clauses_of, evidence_of

KIND = "comments"
NEWEST = 12  # comments that are read
COMMENT_CHARS = 300
MAX_CLAUSES = 6

RULES_SCHEMA: dict[str, Any] = {
    "title": "Rules",
    "type": "object",
    "properties": {
        "rules": {
            "type": "array",
            "maxItems": MAX_CLAUSES,
            "items": {
                "type": "object",
                "properties": {
                    "text": {"type": "string", "maxLength": MAX_CLAUSE_CHARS},
                    "evidence": {"type": "array", "items": {"type": "integer"}, "maxItems": NEWEST},
                },
                "required": ["text", "evidence"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["rules"],
    "additionalProperties": False,
}

# what is said in English, German, French and Spanish, read without accents and in lower case
_SAID: dict[str, re.Pattern[str]] = {
    name: re.compile(pattern)
    for name, pattern in {
        "shorter": r"\b(?:(?<!not )too (?:long|wordy|verbose)|shorter|more (?:concise|briefly?)|be brief"
        r"|(?<!nicht )zu lang|kurzer|(?<!pas )trop long|plus court|(?:demasiado|muy) larg|mas cort|mas breve)",
        "longer": r"\b(?:(?<!not )too (?:short|brief)|longer|more detail|(?<!nicht )zu kurz|ausfuhrlicher|mehr details"
        r"|(?<!pas )trop court|plus (?:long|detaille)|plus de details|(?:demasiado|muy) cort|mas (?:larg|detall))",
        "no_lists": r"\b(?:no|without|not as|keine?|ohne|pas de|sans|sin|nada de) (?:more )?"
        r"(?:(?:bullet(?: ?points?)?|bullets|lists?)\b|listen?\b|aufzahlung|listes?\b|listas?\b|puces|vinetas)",
        "bullets": r"\b(?:as|use|in|with|als|en|avec|con) (?:a )?(?:bullet(?: ?points?|s|ed list)?|liste?|stichpunkt\w*"
        r"|puces|lista|vinetas)\b",
        "numbered": r"\b(?:step by step|numbered (?:list|steps)|schritt fur schritt|etape par etape|paso a paso)\b",
        "plain": r"\b(?:no|without|kein|ohne|pas de|sans|sin) markdown\b|\bplain text\b",
        "no_emoji": r"\b(?:no|without|keine?|ohne|pas d[e']|sans|sin) ?(?:more )?(?:emojis?|smileys?"
        r"|emoticon\w*)\b",
        "no_filler": r"\b(?:get to the point|no (?:filler|small ?talk)|komm zum punkt|kein geschwafel|va droit au but"
        r"|al grano|sin rodeos)\b",
        "no_greeting": r"\b(?:no|without|keine?|ohne|pas de|sans|sin) (?:greetings?|begrussung|salutations?"
        r"|saludos?)\b",
        "metric": r"\b(?:metric|metrisch\w*|metriques?|metric[oa]s?|in celsius|use celsius)\b",
        "informal": r"\b(?:duzen|per du|du mich|tutoie\w*|tutoyer|tutea\w*|tutear\w*)\b",
        "formal": r"\b(?:siezen|per sie|vouvoie\w*|vouvoyer|(?:de|trata\w*) usted)\b",
        "simpler": r"\b(?:simpler|too complicated|too technical|plainer words|einfacher|zu kompliziert|plus simple"
        r"|trop complique|mas (?:simple|sencill)|demasiado complicad)",
    }.items()
}
_IN_LANGUAGE = re.compile(r"\b(?:in|auf|en|answer in|write in) ([a-z]+)\b")
_PART = re.compile(r"(?:(?! (?:but|aber|mais|pero) )[^.!?;,\n])+[.!?;,\n]*")
_QUOTED = re.compile(r"[\"“«„].+?[\"”»“]")
# what makes a part of a comment no wish: it asks, says that nothing is wrong, speaks of something else, or is past
_NO_WISH = re.compile(
    r"\?|(?:\b(?:not|nicht|pas|no|never|nie|jamais|nunca)|n't)\b(?: \w+){0,3} "
    r"(?:too|zu|trop|demasiado|muy|metric|metrisch\w*|duzen|siezen|in|auf|en|use|be)\b"
    r"|\bno longer\b|\blonger than\b|\bsimpler than\b|\b(?:could|can)(?: not|n't) be\b|\b(?:too|zu|trop) (?:long|"
    r"lang) (?:ago|her)\b"
    r"|^\W*(?:the|a|an|my|der|die|das|le|la|el) (?!(?:answer|reply|response|text|list|explanation|version|first|last|"
    r"antwort|"
    r"text|liste|reponse|respuesta)\b)\w+ (?:is|was|are|ist|war|est|es)\b|\bhe said\b|\bshe said\b|\bi (?:like|love|"
    r"live)\b"
    r"|\bmade in\b|\bin \w+ (?:it|he|she|they|we|you)\b|\blists? of\b"
)
_LANGUAGE_NAMES = {
    **{name.lower(): name for name in LANGUAGES},
    **{"deutsch": "German", "englisch": "English", "franzosisch": "French", "spanisch": "Spanish"},
    **{"italienisch": "Italian", "anglais": "English", "allemand": "German", "francais": "French"},
    **{"espagnol": "Spanish", "italien": "Italian", "ingles": "English", "aleman": "German"},
    **{"frances": "French", "espanol": "Spanish", "italiano": "Italian"},
}
# the constraints of edits that show how long, else the share of the usual length, and the bound that it is for
_LENGTHS = {
    "shorter": (("sentences", "sentences_at_most", "words_at_most"), 0.5, "words_at_most"),
    "longer": (("words_at_least",), 1.5, "words_at_least"),
}
SIMPLER = "Use simple everyday words, and sentences of at most 15 words."


class CommentsProposer:
    """The commonest comments by rule, the others by one model call; what a model writes is verified."""

    name = "comments"

    def __init__(self, models: Models) -> None:
        self._models = models

    async def propose(self, context: ProposalContext) -> Candidate | Refusal:
        """Return the incumbent with the clauses that the newest comments ask for; a Refusal says why there are none.

        Each clause stands on the interactions whose comments it came from. A rule from edits about the same is more
        exact and stays; an older clause from comments about the same is replaced.
        """
        rows = [i for i in context.commented or context.history if i.comment and i.comment.strip()][-NEWEST:]
        if not rows:
            return self._refuse("the user has commented on no answer")
        written, unread = read_comments(rows, context.history)
        dropped: tuple[str, ...] = ()
        if unread and not self._models.embedded:
            try:
                wishes = await self._asked(unread)
            except ModelError as error:
                wishes, dropped = [], (str(error),)
            verified = await verify(self._models, wishes, context.history, said=True)
            written += verified.kept
            dropped += verified.dropped
        fresh = _new(written, context.incumbent)[:MAX_CLAUSES]
        told = f"; left out: {'; '.join(dropped)}" if dropped else ""
        if not fresh:
            return self._refuse(f"{len(rows)} comments say nothing that the persona does not{told}")
        known = {i.id for i in (*context.history, *rows)} | set(evidence_of(context.incumbent))
        try:
            sections = validate_sections(
                _merged(context.incumbent, fresh), budget_tokens=context.token_budget, known_ids=known
            )
        except InvalidPersona as error:
            return self._refuse(str(error))
        return Candidate(proposer=self.name, sections=sections, reason=f"from {len(rows)} comments{told}")

    async def _asked(self, rows: Sequence[Interaction]) -> list[Clause]:
        told = "\n".join(
            f"{number}. on {one_line(row.query, 100)!r}: {one_line(row.comment or '', COMMENT_CHARS)!r}"
            for number, row in enumerate(rows, 1)
        )
        prompt = render("edit_comments", comments=quote(told, "comments"))
        answer = await self._models.structured("editor", [HumanMessage(prompt)], RULES_SCHEMA)
        given = answer.get("rules")
        clauses = []
        for item in given[:MAX_CLAUSES] if isinstance(given, list) else []:
            if isinstance(item, dict) and isinstance(item.get("text"), str):
                behind = numbered(item.get("evidence"), rows) or rows
                clauses.append(Clause(text=item["text"], evidence=tuple(row.id for row in behind), kind=KIND))
        ids_known = {row.id for row in rows}
        return list(sound_clauses({Section.ANSWERING: tuple(clauses)}, ids_known).get(Section.ANSWERING, ()))

    def _refuse(self, reason: str) -> Refusal:
        return Refusal(proposer=self.name, reason=reason)


def read_comments(
    rows: Sequence[Interaction], history: Sequence[Interaction]
) -> tuple[list[Clause], list[Interaction]]:
    """The clauses of the comments that the rules read, newest wish about the same first, and the comments left.

    Where the user's edits show the number that a comment leaves open, that is the one in the clause.
    """
    wishes: dict[str, tuple[str, str]] = {}  # by what they are about: name and clause of the newest
    evidence: dict[str, list[str]] = {}
    unread = []
    for row in reversed(rows):
        said = _wishes(row)
        if not said:
            unread.append(row)
        for name, value in said:
            text = _clause(name, value, row, history)
            about = constraints_of(text)
            key = group(about[0]) if about else text
            if wishes.setdefault(key, (name, text))[0] == name:
                evidence.setdefault(key, []).append(row.id)
    clauses = [
        Clause(text=text, evidence=tuple(evidence[key][:EVIDENCE][::-1]), kind=KIND)
        for key, (_, text) in wishes.items()
    ]
    return clauses, unread[::-1]


def _wishes(row: Interaction) -> list[tuple[str, str]]:
    """Names of what a comment asks for, each with a language where it names one."""
    comment = (row.comment or "")[:COMMENT_CHARS]
    parts = _PART.findall(_QUOTED.sub(" ", skeleton(comment)))
    plain = ". ".join(part for part in parts if not _NO_WISH.search(part))
    wishes = {name: "" for name, pattern in _SAID.items() if pattern.search(plain)}
    if "no_lists" in wishes:
        wishes.pop("bullets", None)
    named = [_LANGUAGE_NAMES[word] for word in _IN_LANGUAGE.findall(plain) if word in _LANGUAGE_NAMES]
    if named:
        wishes["language"] = named[0]
    for name in wishes.keys() & {"formal", "informal"}:
        wishes[name] = language_of(row.response or "") or language_of(comment) or ""
    return list(wishes.items())


def _clause(name: str, value: str, row: Interaction, history: Sequence[Interaction]) -> str:
    """The clause of a wish, with the number that the edits show or, without them, half or half as much again."""
    if name in _LENGTHS:
        wanted, share, bound = _LENGTHS[name]
        edits = edits_in(history)
        shown = [rule.text for rule in rules(edits) if rule.constraints[0].name in wanted]
        lengths = [count_words(row.response)] if row.response else [edit.was.words for edit in edits] or [100]
        goal = median(lengths) * share
        number = min(STEPS, key=lambda step: abs(step - goal))
        return shown[0] if shown else Constraint(bound, number).clause
    if name == "simpler":
        return SIMPLER
    if name in ("formal", "informal"):
        return Constraint(name, PRONOUNS.get((name, value), "in every language")).clause
    return Constraint(name, value or (0 if name in ("bullets", "numbered") else "")).clause


def _new(written: Sequence[Clause], incumbent: Sections) -> list[Clause]:
    """The clauses about which nothing stands that is as new or more exact."""
    standing = clauses_of(incumbent)
    texts = {clause.text for clause in standing}
    settled = {group(one) for c in standing if c.kind == "edits" for one in constraints_of(c.text)[:1]}
    return [
        c for c in written if c.text not in texts and settled.isdisjoint(group(o) for o in constraints_of(c.text)[:1])
    ]


def _merged(incumbent: Sections, fresh: Sequence[Clause]) -> Sections:
    about = {group(one) for clause in fresh for one in constraints_of(clause.text)[:1]}
    answering = [
        clause
        for clause in incumbent.get(Section.ANSWERING, ())
        if clause.kind != KIND or about.isdisjoint(group(one) for one in constraints_of(clause.text)[:1])
    ]
    return {**incumbent, Section.ANSWERING: (*answering, *fresh)}
