"""The server's own routes beside LangGraph's: the page, its JSON sibling, and what operation needs.

``langgraph.json`` names ``app`` (``http.app``); ``personaagent serve`` runs the same composition alone.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.middleware import Middleware

from app.server.api.routes import api_routes
from app.server.limits import BodyLimit
from app.server.ops import ops_lifespan, ops_routes
from app.server.page.house import Door
from app.server.page.routes import page_routes
from app.server.session import Sessions
from graph.services import Services, default_services
from personaagent.limits import Rate
from personaagent.settings import Settings


def build_app(services_of: Callable[[], Services], settings: Settings, *, proposed: str = "") -> Starlette:
    """All of our own routes over these services, which are made when the server starts.

    ``proposed`` is the name that the sign-in form of development mode begins with.
    """
    door = Door(
        services_of=services_of,
        sessions=Sessions(settings),
        rate=Rate(settings.requests_per_minute),
        proposed=proposed,
    )
    return Starlette(
        routes=[*page_routes(door), *api_routes(door), *ops_routes(services_of)],
        middleware=[Middleware(BodyLimit, max_bytes=settings.max_request_bytes)],
        lifespan=ops_lifespan(services_of),
    )


app = build_app(default_services, Settings())
