"""Signing in and out. What proves who somebody is goes through ``identify`` and is kept nowhere."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.responses import Response

from personaagent.app.server.identity import identify
from personaagent.app.server.page.house import Visit
from personaagent.app.server.page.refusals import refusal_of
from personaagent.errors import InvalidUserId, NotSignedIn, TooManyRequests

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
