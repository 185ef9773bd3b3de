"""The persona in force: read it with what it stands on, write into it, pin instructions beside it."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import JSONResponse, Response

from personaagent.app.server.page.diffing import ALIKE, likeness
from personaagent.app.server.page.evidence import look_up
from personaagent.app.server.page.house import HEADERS, Visit
from personaagent.app.server.page.refusals import refusal_of
from personaagent.errors import InvalidPersona, PersonaConflict, UnknownPin
from personaagent.persona.seed import TEMPLATE
from personaagent.persona.shape import token_count, validate_sections
from personaagent.types import Clause, Persona, Section, Sections, clauses_of

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
