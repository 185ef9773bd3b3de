"""Who is here, and what they decide about their data: personalization on or off, a copy of it, an end of it."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from starlette.responses import Response

from personaagent.app.server.identity import identify
from personaagent.app.server.page.house import HEADERS, Visit, refusal_of
from personaagent.app.server.page.memories import day
from personaagent.errors import InputError, InvalidUserId, NotSignedIn, TooManyRequests
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


START = "/me"
ANYBODY = "sign-in from "  # attempts are counted by address, under a key that is no user's


async def sign_in_form(visit: Visit) -> Response:
    """The form; the session of nobody that it opens carries the form's token."""
    return await _form(visit, safe_target(visit.asked.get("next", ""), visit.request.scope.get("root_path", "")))


async def sign_in(visit: Visit) -> Response:
    """Begin a session of whoever the credential proves; the form again, saying why, where it proves nobody."""
    request, settings = visit.request, visit.services.settings
    peer = request.client.host if request.client else None
    if wait := visit.door.rate.wait(f"{ANYBODY}{peer}"):
        raise TooManyRequests("there were too many attempts to sign in from here: wait a little", wait)
    target = safe_target(visit.form.get("next", ""), request.scope.get("root_path", ""))
    given = visit.form.get("credential", "").strip()
    # the browser's own headers stay: in development they tell whether it is on this machine
    headers = {name: value for name, value in request.headers.items() if name not in {"authorization", "x-api-key"}}
    headers |= {"x-user-id": given} if settings.auth == "dev" else {"authorization": f"Bearer {given}"}
    try:
        if not given:
            raise NotSignedIn("nothing was entered")
        found = await identify(headers, settings, peer=peer)
    except (NotSignedIn, InvalidUserId) as error:
        return await _form(visit, target, failed=refusal_of(error).text)
    response = visit.go(target)
    await visit.door.sessions.begin(response, request, found)
    return response


async def sign_out(visit: Visit) -> Response:
    """End the session."""
    response = visit.go("/me/sign-in", done="signed-out")
    visit.door.sessions.end(response, visit.request)
    return response


async def _form(visit: Visit, target: str, failed: str = "") -> Response:
    response = await visit.show(
        "sign_in.html",
        status=403 if failed else 200,
        target=target,
        failed=failed,
        mode=visit.services.settings.auth,
        proposed=visit.door.proposed,
    )
    if visit.session.user_id is None:  # a session of somebody is not extended by looking at the form
        await visit.door.sessions.keep(response, visit.request, visit.session)
    return response


def safe_target(target: str, root: str) -> str:
    """The path to go on to, without ``root``: one of this page, else its start."""
    parts = urlsplit(target.removeprefix(root))
    inside = parts.path == START or parts.path.startswith(f"{START}/")
    if parts.scheme or parts.netloc or not inside or parts.path.startswith(f"{START}/sign-") or "\\" in target:
        return START
    return parts.path + (f"?{parts.query}" if parts.query else "")
