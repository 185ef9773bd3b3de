"""Facts: what is held to be true of the user, on what evidence, since when; told, corrected and forgotten by them."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from personaagent.app.server.page.evidence import look_up
from personaagent.app.server.page.house import HEADERS, Visit
from personaagent.errors import InputError, UnknownFact
from personaagent.graph.services import Services
from personaagent.memory.semantic import strongest_first
from personaagent.memory.statements import Statements

MAX_CHARS = 240


async def show_facts(visit: Visit) -> Response:
    """The facts that hold, strongest first, and those that no longer do, newest first."""
    services, user_id = visit.services, visit.user_id
    history = await services.semantic.history(user_id)
    return await visit.show(
        "facts.html",
        holding=strongest_first([fact for fact in history if fact.status == "active"]),
        past=[fact for fact in reversed(history) if fact.status != "active"],
        texts={fact.id: fact.text for fact in history},
        evidence=await look_up(services, user_id, (fact.evidence for fact in history)),
        max_chars=MAX_CHARS,
    )


async def tell_fact(visit: Visit) -> Response:
    """Keep what the user says of themselves."""
    await _statements(visit.services).remember(visit.user_id, _said(visit))
    return visit.go("/me/facts", done="told")


async def correct_form(visit: Visit) -> Response:
    """One fact, to be put in other words."""
    fact_id = visit.request.path_params["fact_id"]
    for fact in await visit.services.facts.holding(visit.user_id):
        if fact.id == fact_id:
            return await visit.show("fact.html", fact=fact, max_chars=MAX_CHARS)
    raise UnknownFact("this fact is not here any more")


async def correct_fact(visit: Visit) -> Response:
    """Put the user's word in the place of a fact, which stays in the history."""
    await _statements(visit.services).correct(visit.user_id, visit.request.path_params["fact_id"], _said(visit))
    return visit.go("/me/facts", done="corrected")


async def forget_fact(visit: Visit) -> Response:
    """Delete a fact for good."""
    await _statements(visit.services).forget(visit.user_id, visit.request.path_params["fact_id"])
    if visit.by_script:
        return JSONResponse({"said": ["It is forgotten."]}, headers=HEADERS)
    return visit.go("/me/facts", done="fact-gone")


def _said(visit: Visit) -> str:
    text = " ".join(visit.form.get("text", "").split())
    if not 0 < len(text) <= MAX_CHARS:
        raise InputError(f"a fact has 1 to {MAX_CHARS} characters, this one {len(text)}")
    return text


def _statements(services: Services) -> Statements:
    return Statements(services.episodic, services.facts, services.forgetter)
