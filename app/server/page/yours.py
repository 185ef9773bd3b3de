"""What the user decides about their data as a whole: personalization on or off, a copy of it, an end of it."""

from __future__ import annotations

import json

from starlette.responses import Response

from app.server.page.house import HEADERS, Visit
from personaagent.memory.portability import export_user


async def show_yours(visit: Visit) -> Response:
    """How much is kept, and what can be done with it."""
    services, user_id = visit.services, visit.user_id
    return await visit.show(
        "yours.html",
        personalized=await services.users.personalize(user_id),
        memories=await services.episodic.count(user_id),
        facts=len(await services.facts.holding(user_id)),
        versions=len(await services.personas.history(user_id)),
        pins=len(await services.personas.pins(user_id)),
    )


async def switch(visit: Visit) -> Response:
    """Switch personalization on or off."""
    wanted = visit.form.get("personalize") == "on"
    await visit.services.users.set_personalize(visit.user_id, wanted)
    return visit.go("/me/data", done="on" if wanted else "off")


async def export(visit: Visit) -> Response:
    """Everything that is kept of the user, as a file."""
    document = await export_user(visit.services.database, visit.user_id)
    headers = HEADERS | {"Content-Disposition": 'attachment; filename="personaagent-export.json"'}
    body = json.dumps(document, ensure_ascii=False, indent=2)
    return Response(body, headers=headers, media_type="application/json")
