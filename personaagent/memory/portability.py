"""A user in one JSON document: to keep, to read, and to carry on elsewhere.

What a document says is untrusted. Its ``user_id`` decides nothing: every row is written under the user that the caller
names. All of it is validated before the first row is written, by what the doors ask that such a thing comes in by
otherwise; that a tool need not ask is never taken over.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from personaagent.errors import ConflictError, InputError, InvalidPersona
from personaagent.inputs import check_user_id
from personaagent.labels.statistics import HISTORY, STATISTICS, statistic_facts
from personaagent.ledger.candidates import Critiques
from personaagent.ledger.database import Database
from personaagent.ledger.facts import Facts
from personaagent.ledger.interactions import Interactions
from personaagent.ledger.users import Grant, Grants, Users
from personaagent.masking import deep, storable, storable_text
from personaagent.memory.bounds import CLOCKS_DIFFER, check_bounds
from personaagent.memory.importing import EXPORT
from personaagent.memory.indexer import Indexer, Progress
from personaagent.persona.seed import TEMPLATE
from personaagent.persona.shape import from_text, validate_sections
from personaagent.persona.store import LedgerPersonaStore
from personaagent.ports import Where
from personaagent.prompts import render
from personaagent.settings import Settings
from personaagent.text import clean
from personaagent.types import Critique, Fact, Interaction, Persona, Pin, Sections, is_statement

FORMAT = EXPORT
VERSION = 1
TOKEN_BUDGET: int = Settings.model_fields["persona_token_budget"].default
PAGE = 1_000
FOREIGN = "this user has memories of their own: forget them first, or import under another user id"

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class UserDocument:
    """Everything that is kept of a user, in the order in which it came about."""

    format: str
    version: int
    user_id: str
    exported_at: datetime
    personalize: bool = True
    profile_through: datetime | None = None
    unread: tuple[str, ...] | None = None  # interactions that semantic memory has not read; None: all of them
    interactions: tuple[Interaction, ...] = ()
    facts: tuple[Fact, ...] = ()
    personas: tuple[Persona, ...] = ()
    pins: tuple[Pin, ...] = ()
    grants: tuple[tuple[str, Grant], ...] = ()  # (tool, kind)
    critiques: tuple[Critique, ...] = ()


_CODEC: TypeAdapter[UserDocument] = TypeAdapter(UserDocument)


async def export_user(database: Database, user_id: str) -> dict[str, Any]:
    """Everything of the user as plain JSON values; a user of whom nothing is known gives an empty document."""
    check_user_id(user_id)
    interactions: list[Interaction] = []
    after: datetime | None = None
    while page := await Interactions(database).page(user_id, after, PAGE):
        interactions += [storable(i) if deep(i.metadata) else i for i in page]  # written by an earlier version
        after = page[-1].created_at
    facts, personas = Facts(database), LedgerPersonaStore(database)
    grants = Grants(database)
    granted: dict[Grant, Collection[str]] = {
        "allow": await grants.allowed(user_id) or set(),
        "deny": await grants.denied(user_id),
        "approve": await grants.approved(user_id),
    }
    document = UserDocument(
        format=FORMAT,
        version=VERSION,
        user_id=user_id,
        exported_at=datetime.now(UTC),
        personalize=await Users(database).personalize(user_id),
        profile_through=await facts.through(user_id),
        unread=tuple(i.id for i in await Interactions(database).unread(user_id, max(1, len(interactions)))),
        interactions=tuple(interactions),
        facts=tuple(await facts.history(user_id)),
        personas=tuple(await personas.history(user_id)),
        pins=tuple(await personas.pins(user_id)),
        critiques=tuple(await Critiques(database).history(user_id)),
        grants=tuple((tool, kind) for kind, tools in granted.items() for tool in sorted(tools)),
    )
    plain: dict[str, Any] = _CODEC.dump_python(document, mode="json")
    return plain


async def import_user(
    database: Database,
    indexer: Indexer,
    user_id: str,
    document: object,
    progress: Progress | None = None,
    *,
    token_budget: int = TOKEN_BUDGET,
) -> UserDocument:
    """Write an exported document under ``user_id``, ids unchanged; returns what was written: no approvals of tools.

    No version of the persona may have more than ``token_budget`` tokens.

    What is counted is counted anew, and what no statement of the document says is not the user's own word.
    Raises InputError for a document that is not sound, ConflictError for a user who has anything that is not in it.
    The same import again, after a crash for example, completes it. ``progress`` is told of the indexing, which is what
    takes long.
    """
    check_user_id(user_id)
    wanted = checked(document, user_id, token_budget)
    interactions, facts, personas = Interactions(database), Facts(database), LedgerPersonaStore(database)
    held = await interactions.get_many(user_id, [interaction.id for interaction in wanted.interactions])
    if len(held) < await interactions.count(user_id, Where(abandoned=None)):
        raise ConflictError(FOREIGN)
    own_facts = [fact for fact in await facts.history(user_id) if fact.source != STATISTICS]
    new_facts = _missing(wanted.facts, own_facts, attrgetter("id"))
    new_versions = _missing(wanted.personas, await personas.history(user_id), attrgetter("version"))
    new_pins = _missing(wanted.pins, await personas.pins(user_id), attrgetter("id"))
    await interactions.append_many(user_id, wanted.interactions)
    if wanted.unread is not None:
        waits = frozenset(wanted.unread)
        await interactions.mark_read(user_id, [i.id for i in wanted.interactions if i.id not in waits])
    await facts.put(user_id, new_facts)
    await personas.restore(user_id, new_versions, new_pins)
    await Critiques(database).save(user_id, wanted.critiques)
    for tool, kind in wanted.grants:
        await Grants(database).put(user_id, tool, kind)
    if wanted.profile_through is not None:
        labelled = await interactions.newest(user_id, HISTORY, Where(labelled=True))
        counted = statistic_facts(labelled, await facts.holding(user_id))
        await facts.apply(user_id, counted, through=wanted.profile_through)
    await Users(database).set_personalize(user_id, wanted.personalize)
    await indexer.try_flush(user_id, progress)
    return wanted


def _missing(wanted: Sequence[_T], held: Sequence[_T], key: Callable[[_T], object]) -> list[_T]:
    """What is not held yet; raises ConflictError where anything else is."""
    there = {key(one) for one in held}
    if there - {key(one) for one in wanted}:
        raise ConflictError(FOREIGN)
    return [one for one in wanted if key(one) not in there]


def checked(document: object, user_id: str, token_budget: int = TOKEN_BUDGET) -> UserDocument:
    """The document as values of ``user_id``, masked and within every limit; raises InputError."""
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise InputError(f"this is not an export of a user (its format is not {FORMAT!r})")
    if document.get("version") != VERSION:
        raise InputError(f"the export has version {document.get('version')!r}, this program reads {VERSION}: update it")
    try:
        json.dumps(document, allow_nan=False)
        found = _CODEC.validate_python(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise InputError(f"the export is damaged at {place}: {first['msg']}") from error
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"the export is not plain JSON: {error}") from error
    if any(deep(value) for i in found.interactions for value in (i.metadata, *(t.arguments for t in i.tools))):
        raise InputError("the export is damaged: metadata or a tool's arguments are nested too deeply")
    owned = _owned(found, user_id)
    check_bounds(owned)
    known = {interaction.id for interaction in owned.interactions}
    return replace(owned, personas=tuple(_allowed(persona, known, token_budget) for persona in owned.personas))


def _owned(found: UserDocument, user_id: str) -> UserDocument:
    """The document with every row masked and under ``user_id``, and without approvals."""
    return replace(
        found,
        user_id=user_id,
        profile_through=_by_now(found.profile_through),
        interactions=tuple(storable(replace(_in_utc(i), user_id=user_id)) for i in found.interactions),
        facts=_facts(found, user_id),
        personas=tuple(
            replace(persona, user_id=user_id, aligned_through=_by_now(persona.aligned_through))
            for persona in found.personas
        ),
        pins=tuple(replace(pin, user_id=user_id, text=_pinned(pin.text)) for pin in found.pins),
        critiques=tuple(replace(critique, text=storable_text(critique.text)) for critique in found.critiques),
        grants=tuple((tool, kind) for tool, kind in found.grants if kind != "approve"),
    )


def _facts(found: UserDocument, user_id: str) -> tuple[Fact, ...]:
    """The facts that are not counted, where the user's own are those that a statement of theirs says."""
    said = {i.id: storable_text(i.query).strip() for i in found.interactions if is_statement(i)}
    facts = [replace(f, user_id=user_id, text=storable_text(f.text)) for f in found.facts if f.source != STATISTICS]
    own = {f.id for f in facts if f.source == "user" and f.text in map(said.get, f.evidence)}
    return tuple(f if f.id in own else replace(f, source="summarizer") for f in facts)


def _allowed(persona: Persona, known: Collection[str], token_budget: int) -> Persona:
    """The version as it may stand in a prompt; raises InputError naming it."""
    if not any(persona.sections.values()):
        return persona
    try:
        sections = validate_sections(persona.sections, budget_tokens=token_budget, known_ids=known)
    except InvalidPersona as error:
        raise InputError(f"version {persona.version} of the persona cannot be taken over: {error}") from error
    return replace(persona, sections=_kinds_checked(sections))


def _kinds_checked(sections: Sections) -> Sections:
    """The sections, where none but the rules that every persona begins with say that they are such."""
    rules = {clause.text for clauses in from_text(render("seed")).values() for clause in clauses}
    return {
        section: tuple(
            replace(clause, kind=None) if clause.kind == TEMPLATE and clause.text not in rules else clause
            for clause in clauses
        )
        for section, clauses in sections.items()
    }


def _by_now(moment: datetime | None) -> datetime | None:
    """What a clock that was ahead says was read already, is not read yet; a time that nobody can read is left alone."""
    if moment is None or moment.tzinfo is None or moment > datetime.now(UTC) + CLOCKS_DIFFER:
        return moment
    return min(moment, datetime.now(UTC))


def _pinned(text: str) -> str:
    return " ".join(clean(storable_text(text)).split())


def _in_utc(interaction: Interaction) -> Interaction:
    moment = interaction.created_at
    return replace(interaction, created_at=moment.astimezone(UTC)) if moment.tzinfo is not None else interaction
