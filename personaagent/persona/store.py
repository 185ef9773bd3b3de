"""The versions of a user's persona in the ledger: append-only, compare-and-swap (paper, persona ``P``)."""

from __future__ import annotations

from collections.abc import Collection, Container
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy import Connection, Select, delete, func, insert, select, update

from personaagent.errors import InvalidPersona, PersonaConflict, UnknownPin, UnknownVersion
from personaagent.ledger.candidates import drop_all
from personaagent.ledger.database import Database
from personaagent.ledger.interactions import known_ids
from personaagent.ledger.tables import (
    persona_of,
    persona_row,
    personas,
    pin_of,
    pin_row,
    pins,
    sections_json,
    sections_of,
)
from personaagent.text import clean
from personaagent.types import Clause, Persona, PersonaOrigin, Pin, PinOrigin, Section, Sections, evidence_of

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

MAX_PIN_CHARS = 500
MAX_PINS = 100  # of one origin; all of them stand in every prompt


class LedgerPersonaStore:
    """Implements ``ports.PersonaStore``; of two writers on one parent exactly one wins."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def current(self, user_id: str) -> Persona | None:
        """The version in force, or None before the seed."""
        row = await self._database.run_read(lambda c: c.execute(_newest(user_id)).mappings().first())
        return None if row is None else persona_of(dict(row))

    async def get(self, user_id: str, version: int) -> Persona:
        """That version; raises UnknownVersion."""
        return await self._database.run_read(lambda connection: _version(connection, user_id, version))

    async def history(self, user_id: str) -> list[Persona]:
        """All versions, oldest first."""
        query = select(personas).where(personas.c.user_id == user_id).order_by(personas.c.version)
        return await self._database.run_read(
            lambda connection: [persona_of(dict(row)) for row in connection.execute(query).mappings()]
        )

    async def append(
        self,
        user_id: str,
        sections: Sections,
        origin: PersonaOrigin,
        *,
        expected_parent: int | None,
        proposer: str | None = None,
        reason: str = "",
        loss_before: float | None = None,
        loss_after: float | None = None,
        aligned_through: datetime | None = None,
    ) -> Persona:
        """Append the next version if ``expected_parent`` is in force; raises PersonaConflict otherwise.

        What was forgotten while the version was written takes its clauses along.
        """
        async with self._database.write(user_id) as connection:
            current = await _current(connection, user_id)
            if (current.version if current else None) != expected_parent:
                raise PersonaConflict(_conflict(expected_parent, current))
            persona = _next(
                user_id,
                current,
                await _standing(connection, user_id, sections),
                origin,
                proposer=proposer,
                reason=reason,
                loss_before=loss_before,
                loss_after=loss_after,
                aligned_through=aligned_through,
            )
            await _put_in_force(connection, persona)
        return persona

    async def rollback(self, user_id: str, version: int, *, reason: str = "") -> Persona:
        """Append a copy of an old version; raises UnknownVersion."""
        async with self._database.write(user_id) as connection:
            old = await connection.run_sync(_version, user_id, version)
            persona = _next(
                user_id,
                await _current(connection, user_id),
                old.sections,
                "rollback",
                proposer="user",
                reason=reason or f"back to version {version}",
            )
            await _put_in_force(connection, persona)
        return persona

    async def pins(self, user_id: str) -> list[Pin]:
        """The user's own instructions, oldest first."""
        query = select(pins).where(pins.c.user_id == user_id).order_by(pins.c.created_at, pins.c.id)
        return await self._database.run_read(
            lambda connection: [pin_of(row) for row in connection.execute(query).mappings()]
        )

    async def pin(
        self,
        user_id: str,
        text: str,
        *,
        origin: PinOrigin = "user",
        said_in: str | None = None,
        replaces: Collection[str] = (),
    ) -> Pin:
        """Add an instruction in the place of ``replaces``.

        Raises InvalidPersona where it is empty, has over 500 characters, or is one of over 100 of this origin.
        """
        now = datetime.now(UTC)
        pin = Pin(
            id=str(uuid4()), user_id=user_id, text=_pinnable(text), created_at=now, origin=origin, said_in=said_in
        )
        async with self._database.write(user_id) as connection:
            await connection.execute(delete(pins).where(pins.c.user_id == user_id, pins.c.id.in_(list(replaces))))
            held = await connection.scalar(
                select(func.count()).where(pins.c.user_id == user_id, pins.c.origin == origin)
            )
            if (held or 0) >= MAX_PINS:
                raise InvalidPersona(f"{MAX_PINS} instructions are pinned, which is the most: unpin one first")
            await connection.execute(insert(pins).values(pin_row(pin)))
        return pin

    async def reword(self, user_id: str, pin_id: str, text: str) -> None:
        """Put an instruction in other words; raises UnknownPin, InvalidPersona."""
        mine = pins.c.user_id == user_id, pins.c.id == pin_id
        async with self._database.write(user_id) as connection:
            changed = await connection.execute(update(pins).where(*mine).values(text=_pinnable(text)))
            if not changed.rowcount:
                raise UnknownPin("this pinned instruction is not there any more")

    async def unpin(self, user_id: str, pin_id: str) -> None:
        """Remove an instruction; unknown ids are passed over."""
        async with self._database.write(user_id) as connection:
            await connection.execute(delete(pins).where(pins.c.user_id == user_id, pins.c.id == pin_id))

    async def drop_evidence(self, user_id: str, ids: Collection[str], matter: Container[str] = ()) -> Persona | None:
        """Take clauses whose evidence is all gone out of every version, and the wishes that were said there.

        So do learnt clauses that are in a ``matter``.

        Where the version in force loses a clause, a new version of origin ``rebuilt`` says so and is returned.
        """
        async with self._database.write(user_id) as connection:
            await connection.execute(delete(pins).where(pins.c.user_id == user_id, pins.c.said_in.in_(list(ids))))
            query = select(personas).where(personas.c.user_id == user_id).order_by(personas.c.version)
            lost, current = False, None
            for row in (await connection.execute(query)).mappings().all():
                current = persona_of(dict(row))
                kept, lost = without_evidence(current.sections, ids, matter)
                if kept != current.sections:
                    current = replace(current, sections=kept)
                    mine = personas.c.user_id == user_id, personas.c.version == current.version
                    await connection.execute(update(personas).where(*mine).values(sections=sections_json(kept)))
            if current is None or not lost:
                return None
            reason = "what some of it stood on was forgotten"
            rebuilt = _next(user_id, current, current.sections, "rebuilt", reason=reason)
            await _put_in_force(connection, rebuilt)
        return rebuilt

    async def restore(self, user_id: str, versions: Collection[Persona], kept_pins: Collection[Pin]) -> None:
        """Store versions and pins as they are, for an import; raises PersonaConflict where the user has a persona."""
        async with self._database.write(user_id) as connection:
            current = await _current(connection, user_id)
            if versions and current is not None:
                raise PersonaConflict(_conflict(None, current))
            for persona in versions:
                await connection.execute(insert(personas).values(persona_row(replace(persona, user_id=user_id))))
            for pin in kept_pins:
                await connection.execute(insert(pins).values(pin_row(replace(pin, user_id=user_id))))

    async def delete_user(self, user_id: str) -> int:
        """Remove all versions and pins of the user; returns how many versions there were."""
        async with self._database.write(user_id) as connection:
            await connection.execute(delete(pins).where(pins.c.user_id == user_id))
            return (await connection.execute(delete(personas).where(personas.c.user_id == user_id))).rowcount


async def _put_in_force(connection: AsyncConnection, persona: Persona) -> None:
    """Add the version; what challenged the one before challenges it no more."""
    await connection.execute(insert(personas).values(persona_row(persona)))
    await drop_all(connection, persona.user_id)


def without_evidence(sections: Sections, ids: Collection[str], matter: Container[str] = ()) -> tuple[Sections, bool]:
    """The sections without these interactions, and whether a clause went: nothing else carried it, or it was learnt and
    is in the ``matter``."""
    kept: dict[Section, tuple[Clause, ...]] = {}
    lost = False
    for section, clauses in sections.items():
        left = []
        for clause in clauses:
            evidence = tuple(i for i in clause.evidence if i not in ids)
            if not clause.evidence or (evidence and clause.text not in matter):
                left.append(replace(clause, evidence=evidence))
            else:
                lost = True
        if left:
            kept[section] = tuple(left)
    return kept, lost


def _pinnable(text: str) -> str:
    wanted = " ".join(clean(text).split())
    if not wanted or len(wanted) > MAX_PIN_CHARS:
        raise InvalidPersona(f"a pinned instruction has 1 to {MAX_PIN_CHARS} characters, this one {len(wanted)}")
    return wanted


async def _standing(connection: AsyncConnection, user_id: str, sections: Sections) -> Sections:
    """The sections without evidence that the user has no more, inside the transaction that appends them."""
    named = evidence_of(sections)
    if not named:
        return sections
    known = await connection.run_sync(known_ids, user_id, named)
    return without_evidence(sections, set(named) - known)[0]


async def _current(connection: AsyncConnection, user_id: str) -> Persona | None:
    row = (await connection.execute(_newest(user_id))).mappings().first()
    return None if row is None else persona_of(dict(row))


def _newest(user_id: str) -> Select[Any]:
    return select(personas).where(personas.c.user_id == user_id).order_by(personas.c.version.desc()).limit(1)


def _version(connection: Connection, user_id: str, version: int) -> Persona:
    query = select(personas).where(personas.c.user_id == user_id, personas.c.version == version)
    row = connection.execute(query).mappings().first()
    if row is None:
        raise UnknownVersion(f"this user's persona has no version {version}: `persona history` shows them")
    return persona_of(dict(row))


def _next(user_id: str, current: Persona | None, sections: Sections, origin: PersonaOrigin, **said: Any) -> Persona:
    """The version after ``current``, which hands on ``aligned_through`` where nothing newer is said."""
    if said.get("aligned_through") is None:
        said["aligned_through"] = current.aligned_through if current else None
    return Persona(
        user_id=user_id,
        version=current.version + 1 if current else 0,
        parent=current.version if current else None,
        sections=sections_of(sections_json(sections)),
        origin=origin,
        created_at=datetime.now(UTC),
        **said,
    )


def _conflict(expected: int | None, current: Persona | None) -> str:
    now = "missing" if current is None else f"version {current.version}"
    then = "none" if expected is None else f"version {expected}"
    return f"the persona in force is {now}, not {then}: somebody else was faster; read it again and decide"
