"""The addresses of the page, all below ``/me``."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from personaagent.app.server.page import chat, comparing, memories, persona, yours
from personaagent.app.server.page.house import HEADERS, UPLOAD, Door, Endpoint, Refusal, View, Visit, refuse, viewed

_VIEWS: Final[tuple[tuple[str, str, View], ...]] = (
    ("GET", "/me", chat.show_chat),
    ("POST", "/me/chat/turns", chat.take_turn),
    ("POST", "/me/chat/turns/{turn_id}/decisions", chat.decide),
    ("GET", "/me/chat/news/{memory_id}", chat.show_news),
    ("GET", "/me/persona", persona.show_persona),
    ("POST", "/me/persona/first", persona.make_first),
    ("GET", "/me/persona/edit", persona.edit_form),
    ("POST", "/me/persona/edit", persona.edit),
    ("POST", "/me/pins", persona.pin),
    ("POST", "/me/pins/{pin_id}", persona.reword),
    ("POST", "/me/pins/{pin_id}/remove", persona.unpin),
    ("GET", "/me/history", persona.show_history),
    ("GET", "/me/history/{version}", persona.show_version),
    ("POST", "/me/history/{version}/restore", persona.roll_back),
    ("GET", "/me/memories", memories.show_memories),
    ("GET", "/me/memories/{memory_id}", memories.show_memory),
    ("POST", "/me/memories/{memory_id}/feedback", memories.take_feedback),
    ("GET", "/me/forget", memories.forget_form),
    ("POST", "/me/forget", memories.forget),
    ("GET", "/me/facts", memories.show_facts),
    ("POST", "/me/facts", memories.tell_fact),
    ("GET", "/me/facts/{fact_id}", memories.correct_form),
    ("POST", "/me/facts/{fact_id}", memories.correct_fact),
    ("POST", "/me/facts/{fact_id}/forget", memories.forget_fact),
    ("GET", "/me/try", comparing.try_form),
    ("POST", "/me/try", comparing.try_out),
    ("GET", "/me/data", yours.show_yours),
    ("POST", "/me/data/personalization", yours.switch),
    ("GET", "/me/data/export", yours.export),
    ("POST", UPLOAD, yours.take_in),
    ("POST", "/me/sign-out", yours.sign_out),
)
_PUBLIC: Final[tuple[tuple[str, str, View], ...]] = (
    ("GET", "/me/sign-in", yours.sign_in_form),
    ("POST", "/me/sign-in", yours.sign_in),
)
_STATIC: Final = {"page.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml", "chat.js": "text/javascript"}


def page_routes(door: Door) -> list[Route]:
    """Every route of the page; what is not among them below ``/me`` is told as a page too."""
    return [
        *(Route(path, viewed(door, view), methods=[method]) for method, path, view in _VIEWS),
        *(Route(path, viewed(door, view, public=True), methods=[method]) for method, path, view in _PUBLIC),
        *(Route(f"/me/static/{name}", static(name, kind)) for name, kind in _STATIC.items()),
        Route("/me/{path:path}", viewed(door, nowhere)),
    ]


def static(name: str, kind: str) -> Endpoint:
    """A file of ours, the same for everybody."""
    body = files("personaagent.app.server.page").joinpath("static", name).read_bytes()

    async def endpoint(_: Request) -> Response:
        return Response(body, headers=HEADERS | {"Cache-Control": "public, max-age=300"}, media_type=kind)

    return endpoint


async def nowhere(visit: Visit) -> Response:
    """An address that is not there."""
    refusal = Refusal(status=404, heading="There is no such page", text="The address may be old or mistyped.")
    return await refuse(visit, refusal)
