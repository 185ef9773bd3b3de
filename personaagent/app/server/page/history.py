"""The versions of the persona as a time line, each with what changed, why, by whom, and what was turned down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby

from starlette.responses import Response

from personaagent.app.server.page.diffing import ClauseChange, changes
from personaagent.app.server.page.evidence import look_up
from personaagent.app.server.page.house import Visit
from personaagent.app.server.page.voice import spoken
from personaagent.errors import InputError, UnknownVersion
from personaagent.types import Candidate, Critique, Persona, Section

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
