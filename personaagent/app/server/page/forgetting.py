"""Forgetting in two steps: what would go is said first, and what went is reported."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import Response

from personaagent.app.server.page.filters import Filters, filters_of
from personaagent.app.server.page.house import Visit
from personaagent.app.server.page.memories import tasks_of
from personaagent.errors import InputError, UnknownInteraction
from personaagent.memory.forgetting import Selection

MAX_ID_CHARS = 64


async def forget_form(visit: Visit) -> Response:
    """What can be chosen; once something is, what would go, and the button."""
    selection, filters = selection_of(visit.asked)
    chosen = bool(selection.ids or selection.where or selection.about or selection.everything)
    foreseen = await visit.services.forgetter.preview(visit.user_id, selection) if chosen else None
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
            foreseen=await visit.services.forgetter.preview(visit.user_id, selection),
            failed="Nothing was forgotten: tick the box to say that you are sure.",
            tasks=await tasks_of(visit.services, visit.user_id),
        )
    report = await visit.services.forgetter.forget(visit.user_id, selection)
    if report.unknown and not report.interactions:
        raise UnknownInteraction("this memory is not here any more")
    return await visit.show("forgotten.html", report=report, everything=selection.everything)


def selection_of(given: Mapping[str, str]) -> tuple[Selection, Filters]:
    """What a form or a query string selects; raises InputError where everything and a part are both asked for."""
    filters, one, about = filters_of(given), given.get("id", ""), given.get("about", "").strip()
    if len(one) > MAX_ID_CHARS:
        raise UnknownInteraction("this memory is not here")
    everything = given.get("everything") == "yes"
    if everything and (one or about or filters.narrows):
        raise InputError("everything is not a part: choose one of the two")
    where = filters.where if filters.narrows else None
    return Selection(ids=(one,) if one else (), where=where, everything=everything, about=about), filters
