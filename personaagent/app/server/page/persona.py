"""The persona: the version in force and what it stands on, its history as a time line, and what changed between two.

The user writes into it, and pins instructions beside it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from difflib import SequenceMatcher
from itertools import groupby
from typing import Literal

from starlette.responses import JSONResponse, Response

from personaagent.app.server.page.house import HEADERS, Visit, refusal_of
from personaagent.app.server.page.memories import look_up
from personaagent.app.server.page.templating import spoken
from personaagent.errors import InputError, InvalidPersona, PersonaConflict, UnknownPin, UnknownVersion
from personaagent.persona.seed import TEMPLATE
from personaagent.persona.shape import token_count, validate_sections
from personaagent.types import Candidate, Clause, Critique, Persona, Section, Sections, clauses_of

REASON = "edited on the page"


async def show_persona(visit: Visit) -> Response:
    """The version in force; where there is none yet, how it comes about. Reading makes none."""
    services, user_id = visit.services, visit.user_id
    persona = await services.personas.current(user_id)
    clauses = clauses_of(persona.sections) if persona else []
    learnt = {
        section: own
        for section in Section
        if persona and (own := [one for one in persona.sections.get(section, ()) if one.kind != TEMPLATE])
    }
    return await visit.show(
        "persona.html",
        persona=persona,
        learnt=learnt,
        rules=[clause for clause in clauses if clause.kind == TEMPLATE],
        pins=await services.personas.pins(user_id),
        evidence=await look_up(services, user_id, (clause.evidence for clause in clauses)),
        personalized=await services.users.personalize(user_id),
        memories=await services.episodic.count(user_id),
        tokens=token_count(persona.sections) if persona else 0,
        budget=services.settings.persona_token_budget,
    )


async def make_first(visit: Visit) -> Response:
    """Make version 0 now instead of at the next message."""
    await visit.services.seeds.persona(visit.user_id)
    return visit.go("/me/persona", done="made")


async def edit_form(visit: Visit) -> Response:
    """The persona as text to write in, a sentence a line."""
    persona = await visit.services.seeds.persona(visit.user_id)
    return await _form(visit, persona, {section.value: _lines(persona.sections, section) for section in Section}, "")


async def edit(visit: Visit) -> Response:
    """Put what the user wrote in force as the next version; the form again, with their text, where it cannot stand."""
    services, user_id = visit.services, visit.user_id
    current = await services.seeds.persona(user_id)
    try:
        if visit.form.get("parent") != str(current.version):
            raise PersonaConflict("your persona changed while you were writing: compare, and send it again")
        sections = validate_sections(
            written(visit.form, current.sections),
            budget_tokens=services.settings.persona_token_budget,
            known_ids=current.evidence,
        )
        if sections == current.sections:
            return visit.go("/me/persona", done="unchanged")
        await services.personas.append(
            user_id, sections, "manual", expected_parent=current.version, proposer="user", reason=REASON
        )
    except (InvalidPersona, PersonaConflict) as error:
        return await _form(visit, current, visit.form, refusal_of(error).text)
    return visit.go("/me/persona", done="edited")


async def pin(visit: Visit) -> Response:
    """Keep an instruction that alignment may never touch."""
    await visit.services.personas.pin(visit.user_id, visit.form.get("text", ""))
    return visit.go("/me/persona", done="pinned")


async def reword(visit: Visit) -> Response:
    """Put an instruction, or a wish, in other words; raises UnknownPin, InvalidPersona."""
    await visit.services.personas.reword(visit.user_id, visit.request.path_params["pin_id"], visit.form.get("text", ""))
    return visit.go("/me/persona", done="reworded")


async def unpin(visit: Visit) -> Response:
    """Take an instruction away; raises UnknownPin."""
    pin_id = visit.request.path_params["pin_id"]
    if pin_id not in {kept.id for kept in await visit.services.personas.pins(visit.user_id)}:
        raise UnknownPin("this pinned instruction is not there any more")
    await visit.services.personas.unpin(visit.user_id, pin_id)
    if visit.by_script:
        return JSONResponse({"said": ["It is taken back."]}, headers=HEADERS)
    return visit.go("/me/persona", done="unpinned")


def written(form: Mapping[str, str], base: Sections) -> Sections:
    """The sections of a form's text. A sentence keeps the evidence of the one that it was made of.

    So what a user only reworded is still forgotten with the memories that it came from.
    """
    found: dict[Section, tuple[Clause, ...]] = {}
    for section in Section:
        before = list(base.get(section, ()))
        clauses = []
        for line in form.get(section.value, "").splitlines():
            text = line.strip().removeprefix("- ").strip()
            if text:
                like = max(before, key=lambda past: likeness(past.text, text), default=None)
                kept = like is not None and likeness(like.text, text) >= ALIKE
                clauses.append(Clause(text=text, evidence=like.evidence if like is not None and kept else ()))
        found[section] = tuple(clauses)
    return found


async def _form(visit: Visit, persona: Persona, texts: Mapping[str, str], failed: str) -> Response:
    return await visit.show(
        "persona_edit.html",
        status=400 if failed else 200,
        persona=persona,
        texts={section: texts.get(section.value, "") for section in Section},
        failed=failed,
        tokens=token_count(persona.sections),
        budget=visit.services.settings.persona_token_budget,
    )


def _lines(sections: Sections, section: Section) -> str:
    return "\n".join(clause.text for clause in sections.get(section, ()))


TURNED_DOWN = 100  # newest candidates that the time line shows


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One point of the time line: a version with what it changed, or the candidates turned down since the last one."""

    at: datetime
    persona: Persona | None = None
    changed: dict[Section, list[ClauseChange]] | None = None  # None: it is the first version
    candidate: Candidate | None = None
    critiques: tuple[Critique, ...] = ()  # what critics had said before it
    refused: tuple[Entry, ...] = ()  # candidates, newest first


async def show_history(visit: Visit) -> Response:
    """The time line, newest first."""
    services, user_id = visit.services, visit.user_id
    versions = await services.personas.history(user_id)
    by_number = {persona.version: persona for persona in versions}
    critiques = await services.critiques.history(user_id)
    entries = [replace(_entry(persona, by_number), critiques=_led_to(persona, critiques)) for persona in versions]
    for at, candidate in await services.candidates.dated(user_id, TURNED_DOWN):
        entries.append(Entry(at=at, candidate=candidate, critiques=_read_by(candidate, critiques)))
    entries.sort(key=lambda entry: entry.at, reverse=True)
    return await visit.show(
        "history.html",
        entries=_together(entries),
        current=versions[-1].version if versions else None,
        versions=versions,
        evidence=await look_up(services, user_id, ((one.interaction_id,) for one in critiques)),
    )


async def show_version(visit: Visit) -> Response:
    """One version against another, by default the one it was made of."""
    services, user_id = visit.services, visit.user_id
    persona = await services.personas.get(user_id, _number(visit.request.path_params["version"]))
    against = visit.asked.get("against", "")
    other = persona.parent if not against else _number(against)
    before = None if other is None else await services.personas.get(user_id, other)
    changed = changes(spoken(before.sections) if before else {}, spoken(persona.sections))
    versions = await services.personas.history(user_id)
    critiques = _led_to(persona, await services.critiques.history(user_id))
    standing = [change.evidence for section in changed.values() for change in section]
    standing += [(critique.interaction_id,) for critique in critiques]
    return await visit.show(
        "version.html",
        persona=persona,
        before=before,
        changed=changed,
        versions=versions,
        current=versions[-1].version,
        critiques=critiques,
        evidence=await look_up(services, user_id, standing),
    )


async def roll_back(visit: Visit) -> Response:
    """Put a version back in force, as a new version that copies it."""
    version = _number(visit.request.path_params["version"])
    await visit.services.personas.rollback(visit.user_id, version, reason=f"you went back to version {version}")
    return visit.go("/me/history", done="rolled-back")


def _entry(persona: Persona, by_number: dict[int, Persona]) -> Entry:
    parent = by_number.get(persona.parent) if persona.parent is not None else None
    if parent is None:
        return Entry(at=persona.created_at, persona=persona)
    told = {
        section: [change for change in found if change.kind != "same"]
        for section, found in changes(spoken(parent.sections), spoken(persona.sections)).items()
    }
    return Entry(at=persona.created_at, persona=persona, changed={s: found for s, found in told.items() if found})


def _together(entries: Sequence[Entry]) -> list[Entry]:
    """Candidates that follow each other, with no version between them, are one entry."""
    told: list[Entry] = []
    for refused, group in groupby(entries, key=lambda entry: entry.candidate is not None):
        found = tuple(group)
        told += [Entry(at=found[0].at, refused=found)] if refused else found
    return told


def _led_to(persona: Persona, critiques: Sequence[Critique]) -> tuple[Critique, ...]:
    return tuple(critique for critique in critiques if critique.version == persona.version)


def _read_by(candidate: Candidate, critiques: Sequence[Critique]) -> tuple[Critique, ...]:
    """What the candidate was written from: the newest critiques of its alignment then; only the gradient reads any."""
    if candidate.proposer != "gradient" or candidate.epoch is None:
        return ()
    before = [one for one in critiques if one.run == candidate.run and one.epoch <= candidate.epoch]
    newest = max((one.epoch for one in before), default=0)
    return tuple(one for one in before if one.epoch == newest)


def _number(text: str) -> int:
    """A version's number; raises UnknownVersion, or InputError where it is none at all."""
    if not text.isascii() or not text.isdigit():
        raise InputError("a version is a number: choose one in the history")
    if len(text) > 9:
        raise UnknownVersion("there is no such version")
    return int(text)


ALIKE = 0.4  # clauses that share less of their words are not one that was changed, but two
_WORD = re.compile(r"[\w'\u2019-]+\s*|[^\w\s]\s*")
Kind = Literal["same", "added", "removed", "changed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Some words that both versions have (``same``), or one of them."""

    kind: Literal["same", "added", "removed"]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClauseChange:
    """What became of one clause; ``evidence`` is that of the newer of the two."""

    kind: Kind
    runs: tuple[Run, ...]
    evidence: tuple[str, ...]


def changes(before: Sections, after: Sections) -> dict[Section, list[ClauseChange]]:
    """What became of every clause, by section, in reading order; sections that both lack are left out."""
    told: dict[Section, list[ClauseChange]] = {}
    for section in Section:
        old, new = before.get(section, ()), after.get(section, ())
        if old or new:
            told[section] = _section(old, new)
    return told


def words(before: str, after: str) -> tuple[Run, ...]:
    """The words of both texts in reading order, what went before what came."""
    old, new = _WORD.findall(before), _WORD.findall(after)
    runs: list[Run] = []
    for tag, i, j, k, m in SequenceMatcher(None, _bare(old), _bare(new), autojunk=False).get_opcodes():
        if tag == "equal":
            runs.append(Run(kind="same", text="".join(new[k:m])))
            continue
        if i < j:
            runs.append(Run(kind="removed", text="".join(old[i:j])))
        if k < m:
            runs.append(Run(kind="added", text="".join(new[k:m])))
    return tuple(runs)


def _section(old: Sequence[Clause], new: Sequence[Clause]) -> list[ClauseChange]:
    told: list[ClauseChange] = []
    matcher = SequenceMatcher(None, [c.text for c in old], [c.text for c in new], autojunk=False)
    for tag, i, j, k, m in matcher.get_opcodes():
        if tag == "equal":
            told += [_whole("same", clause) for clause in new[k:m]]
        else:
            told += _replaced(old[i:j], new[k:m])
    return told


def _replaced(old: Sequence[Clause], new: Sequence[Clause]) -> list[ClauseChange]:
    """Each new clause beside the old one that it is most like, if it is like any."""
    left = list(old)
    told: list[ClauseChange] = []
    for clause in new:
        like = max(left, key=lambda past: likeness(past.text, clause.text), default=None)
        if like is None or likeness(like.text, clause.text) < ALIKE:
            told.append(_whole("added", clause))
            continue
        left.remove(like)
        told.append(ClauseChange(kind="changed", runs=words(like.text, clause.text), evidence=clause.evidence))
    return [*(_whole("removed", clause) for clause in left), *told]


def _whole(kind: Literal["same", "added", "removed"], clause: Clause) -> ClauseChange:
    return ClauseChange(kind=kind, runs=(Run(kind=kind, text=clause.text),), evidence=clause.evidence)


def likeness(one: str, other: str) -> float:
    """The share of words that two sentences have in common, 0 to 1."""
    return SequenceMatcher(None, one.split(), other.split(), autojunk=False).ratio()


def _bare(parts: Sequence[str]) -> list[str]:
    return [part.rstrip() for part in parts]
