"""Forgetting in two steps: what would go is said first, and what went is reported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from starlette.responses import Response

from app.server.page.filters import Filters, filters_of
from app.server.page.house import Visit
from app.server.page.memories import tasks_of
from graph.services import Services
from personaagent.errors import InputError, UnknownInteraction
from personaagent.memory.forgetting import Selection
from personaagent.persona.store import without_evidence

MAX_ID_CHARS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """What forgetting a selection would take."""

    memories: int
    oldest: datetime | None
    newest: datetime | None
    facts: tuple[str, ...]  # their texts: nothing else carries them
    trimmed: int  # facts that still stand on other memories
    clauses: tuple[str, ...]  # sentences of the persona in force
    versions: int = 0
    pins: int = 0


async def forget_form(visit: Visit) -> Response:
    """What can be chosen; once something is, what would go, and the button."""
    selection, filters = selection_of(visit.asked)
    chosen = bool(selection.ids or selection.where or selection.everything)
    foreseen = await foresee(visit.services, visit.user_id, selection) if chosen else None
    return await visit.show(
        "forget.html",
        filters=filters,
        selection=selection,
        foreseen=foreseen,
        failed="",
        tasks=await tasks_of(visit.services, visit.user_id),
    )


async def forget(visit: Visit) -> Response:
    """Forget what was confirmed, and report."""
    selection, filters = selection_of(visit.form)
    if visit.form.get("sure") != "yes":
        return await visit.show(
            "forget.html",
            status=400,
            filters=filters,
            selection=selection,
            foreseen=await foresee(visit.services, visit.user_id, selection),
            failed="Nothing was forgotten: tick the box to say that you are sure.",
            tasks=await tasks_of(visit.services, visit.user_id),
        )
    report = await visit.services.forgetter.forget(visit.user_id, selection)
    if report.unknown and not report.interactions:
        raise UnknownInteraction("this memory is not here any more")
    return await visit.show("forgotten.html", report=report, everything=selection.everything)


def selection_of(given: Mapping[str, str]) -> tuple[Selection, Filters]:
    """What a form or a query string selects; raises InputError where everything and a part are both asked for."""
    filters, one = filters_of(given), given.get("id", "")
    if len(one) > MAX_ID_CHARS:
        raise UnknownInteraction("this memory is not here")
    everything = given.get("everything") == "yes"
    if everything and (one or filters.narrows):
        raise InputError("everything is not a part: choose one of the two")
    where = filters.where if filters.narrows else None
    return Selection(ids=(one,) if one else (), where=where, everything=everything), filters


async def foresee(services: Services, user_id: str, selection: Selection) -> Foreseen:
    """What would go; raises UnknownInteraction where one memory is asked for and is not there."""
    chosen = await services.forgetter.chosen(user_id, selection)
    if selection.ids and not chosen:
        raise UnknownInteraction("this memory is not here")
    ids = {interaction.id for interaction in chosen}
    facts = await services.facts.history(user_id)
    persona = await services.personas.current(user_id)
    before = persona.sections if persona else {}
    after = {} if selection.everything else without_evidence(before, ids)[0]
    left = {clause.text for part in after.values() for clause in part}
    carried = [fact for fact in facts if ids & set(fact.evidence) and set(fact.evidence) - ids]
    gone = facts if selection.everything else [f for f in facts if ids & set(f.evidence) and f not in carried]
    times = [interaction.created_at for interaction in chosen]
    return Foreseen(
        memories=len(chosen),
        oldest=min(times, default=None),
        newest=max(times, default=None),
        facts=tuple(fact.text for fact in gone),
        trimmed=0 if selection.everything else len(carried),
        clauses=tuple(clause.text for part in before.values() for clause in part if clause.text not in left),
        versions=len(await services.personas.history(user_id)) if selection.everything else 0,
        pins=len(await services.personas.pins(user_id)) if selection.everything else 0,
    )
