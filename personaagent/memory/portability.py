"""A user in one JSON document: to keep, to read, and to carry on elsewhere.

What a document says is untrusted. Its ``user_id`` decides nothing: every row is written under the user that the caller
names. All of it is validated before the first row is written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError

from personaagent.errors import ConflictError, InputError
from personaagent.inputs import check_user_id
from personaagent.ledger.critiques import MAX_KEPT, Critiques
from personaagent.ledger.database import Database
from personaagent.ledger.facts import MAX_FACT_CHARS, Facts
from personaagent.ledger.grants import Grant, Grants
from personaagent.ledger.interactions import Interactions
from personaagent.ledger.users import Users
from personaagent.memory.indexer import Indexer, Progress
from personaagent.memory.intake import storable, storable_text
from personaagent.persona.store import MAX_PIN_CHARS, LedgerPersonaStore
from personaagent.types import Critique, Fact, Interaction, Persona, Pin

FORMAT = "personaagent-user"
VERSION = 1
MAX_TEXT_CHARS = 32_000
MAX_ID_CHARS = 64
MAX_NAME_CHARS = 256
MAX_CLAUSE_CHARS = 300
MAX_CRITIQUE_CHARS = 1_000
MAX_EPOCH = 1_000
PAGE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class UserDocument:
    """Everything that is kept of a user, in the order in which it came about."""

    format: str
    version: int
    user_id: str
    exported_at: datetime
    personalize: bool = True
    profile_through: datetime | None = None
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
        interactions += page
        after = page[-1].created_at
    facts, personas = Facts(database), LedgerPersonaStore(database)
    grants = Grants(database)
    granted: dict[Grant, set[str]] = {
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
    database: Database, indexer: Indexer, user_id: str, document: object, progress: Progress | None = None
) -> UserDocument:
    """Write an exported document under ``user_id``, ids unchanged; returns what was written.

    Raises InputError for a document that is not sound, ConflictError for a user who has anything that is not in it.
    The same import again, after a crash for example, completes it. ``progress`` is told of the indexing, which is what
    takes long.
    """
    check_user_id(user_id)
    wanted = checked(document, user_id)
    interactions, facts, personas = Interactions(database), Facts(database), LedgerPersonaStore(database)
    held_facts = {fact.id for fact in await facts.history(user_id)}
    held_versions = {persona.version for persona in await personas.history(user_id)}
    held_pins = {pin.id for pin in await personas.pins(user_id)}
    held = await interactions.get_many(user_id, [interaction.id for interaction in wanted.interactions])
    foreign = (
        len(held) < await interactions.count(user_id)
        or held_facts - {fact.id for fact in wanted.facts}
        or held_versions - {persona.version for persona in wanted.personas}
        or held_pins - {pin.id for pin in wanted.pins}
    )
    if foreign:
        raise ConflictError("this user has memories of their own: forget them first, or import under another user id")
    await interactions.append_many(user_id, wanted.interactions)
    await facts.put(user_id, [fact for fact in wanted.facts if fact.id not in held_facts])
    await personas.restore(
        user_id,
        [persona for persona in wanted.personas if persona.version not in held_versions],
        [pin for pin in wanted.pins if pin.id not in held_pins],
    )
    await Critiques(database).save(user_id, wanted.critiques)
    for tool, kind in wanted.grants:
        await Grants(database).put(user_id, tool, kind)
    if wanted.profile_through is not None:
        await facts.apply(user_id, [], through=wanted.profile_through)
    await Users(database).set_personalize(user_id, wanted.personalize)
    await indexer.try_flush(user_id, progress)
    return wanted


def checked(document: object, user_id: str) -> UserDocument:
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
        place = ".".join(str(part) for part in first["loc"])
        raise InputError(f"the export is damaged at {place}: {first['msg']}") from error
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"the export is not plain JSON: {error}") from error
    owned = replace(
        found,
        user_id=user_id,
        interactions=tuple(storable(replace(_in_utc(i), user_id=user_id)) for i in found.interactions),
        facts=tuple(replace(f, user_id=user_id, text=storable_text(f.text)) for f in found.facts),
        personas=tuple(replace(persona, user_id=user_id) for persona in found.personas),
        pins=tuple(replace(pin, user_id=user_id, text=storable_text(pin.text)) for pin in found.pins),
        critiques=tuple(replace(critique, text=storable_text(critique.text)) for critique in found.critiques),
    )
    if flaw := _flaw(owned):
        raise InputError(f"the export is damaged: {flaw}")
    return owned


def _in_utc(interaction: Interaction) -> Interaction:
    moment = interaction.created_at
    return replace(interaction, created_at=moment.astimezone(UTC)) if moment.tzinfo is not None else interaction


def _flaw(document: UserDocument) -> str | None:
    """What is wrong beyond the types, or None."""
    interactions, facts, personas = document.interactions, document.facts, document.personas
    ids = [i.id for i in interactions]
    times = [t for i in interactions for t in (i.created_at, i.labelled_at)]
    times += [t for f in facts for t in (f.valid_from, f.valid_to)]
    times += [t for p in personas for t in (p.created_at, p.aligned_through)]
    times += [critique.created_at for critique in document.critiques]
    times += [*(pin.created_at for pin in document.pins), document.profile_through]
    named = [*ids, *(f.id for f in facts), *(pin.id for pin in document.pins)]
    names = [n for i in interactions for n in (i.task, i.thread_id) if n is not None]
    texts = [t for i in interactions for t in (i.query, i.response or "", i.ground_truth or "")]
    clauses = [clause.text for p in personas for section in p.sections.values() for clause in section]
    checks: Iterable[tuple[bool, str]] = (
        (any(t is not None and t.tzinfo is None for t in times), "a time has no time zone"),
        (any(not i or len(i) > MAX_ID_CHARS or i != storable_text(i) for i in named), "an id is empty or too long"),
        (len(set(ids)) < len(ids) or len({i.created_at for i in interactions}) < len(ids), "an interaction twice"),
        (len({f.id for f in facts}) < len(facts), "a fact is there twice"),
        (any(len(n) > MAX_NAME_CHARS for n in names), f"a task or thread has over {MAX_NAME_CHARS} characters"),
        (any(not i.query.strip() for i in interactions), "a query is empty"),
        (any(len(t) > MAX_TEXT_CHARS for t in texts), f"a text has more than {MAX_TEXT_CHARS} characters"),
        (any(i.rating is not None and not 1 <= i.rating <= 5 for i in interactions), "a rating is not 1 to 5"),
        (any(not 0 <= (i.truth_confidence or 0) <= 1 for i in interactions), "a confidence is not 0 to 1"),
        (any(not 0 <= f.confidence <= 1 for f in facts), "a fact's confidence is not 0 to 1"),
        (any(not f.text.strip() or len(f.text) > MAX_FACT_CHARS for f in facts), "a fact is empty or too long"),
        (any(set(f.evidence) - set(ids) for f in facts), "a fact stands on an interaction that is not there"),
        ([p.version for p in personas] != list(range(len(personas))), "persona versions are not 0, 1, 2 ..."),
        (any(p.parent is not None and p.parent >= p.version for p in personas), "a persona is its own ancestor"),
        (any(len(c) > MAX_CLAUSE_CHARS for c in clauses), f"a clause has more than {MAX_CLAUSE_CHARS} characters"),
        (any(not p.text.strip() or len(p.text) > MAX_PIN_CHARS for p in document.pins), "a pin is empty or too long"),
        (len(document.critiques) > MAX_KEPT, f"there are more than {MAX_KEPT} critiques"),
        (any(_unsound(critique, len(personas)) for critique in document.critiques), "a critique cannot be one"),
        (any(not 0 < len(tool) <= 128 for tool, _ in document.grants), "a granted tool's name is empty or too long"),
    )
    return next((flaw for wrong, flaw in checks if wrong), None)


def _unsound(critique: Critique, versions: int) -> bool:
    """Whether a critique is too long, does not stand on its own interaction, or led to a version that is not there."""
    return (
        critique.interaction_id not in critique.evidence
        or not 0 < len(critique.run) <= MAX_ID_CHARS
        or not 0 < critique.epoch <= MAX_EPOCH
        or not 0 <= critique.loss <= 1
        or not 0 < len(critique.text) <= MAX_CRITIQUE_CHARS
        or not (critique.version is None or 0 <= critique.version < versions)
    )
