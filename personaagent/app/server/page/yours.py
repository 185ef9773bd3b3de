"""What the user decides about their data as a whole: personalization on or off, a copy of it, an end of it."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import BinaryIO

from starlette.responses import Response

from personaagent.app.server.page.filters import day
from personaagent.app.server.page.house import HEADERS, Visit
from personaagent.errors import InputError
from personaagent.memory.importing import import_file
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
        unread=await services.interactions.waiting(user_id),
        reads=not services.models.embedded,
        report=None,
    )


async def take_in(visit: Visit) -> Response:
    """Take in a history that the user has from elsewhere, and say what it was; the same file again adds nothing.

    What is new is read in the background, newest first. Raises InputError where no file came, BadRow.
    """
    if visit.file is None or not visit.file.filename:
        raise InputError("no file came with the form: choose one")
    services, user_id, source = visit.services, visit.user_id, visit.file
    since = day(visit.form.get("since", ""))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / _plain(source.filename or "")
        await asyncio.to_thread(_copy, source.file, path)
        report = await import_file(services.episodic, user_id, path, since=since)
    await services.end_conversation(user_id)
    return await visit.show(
        "imported.html", report=report, total=await services.episodic.count(user_id),
        unread=await services.interactions.waiting(user_id), reads=not services.models.embedded,
    )  # fmt: skip


def _plain(name: str) -> str:
    """The file's name, by which its form is told and odd rows are named, without any folder."""
    return re.sub(r"[^\w.-]", "_", name.replace("\\", "/").rpartition("/")[2])[-80:].lstrip(".") or "history"


def _copy(source: BinaryIO, path: Path) -> None:
    with path.open("wb") as target:
        shutil.copyfileobj(source, target)


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
