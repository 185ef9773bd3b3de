"""What comes in at all: by path everywhere, and in development by connection, Host and Origin."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from personaagent.app.server.perimeter import Perimeter
from personaagent.settings import Settings


async def _everything(_: Any) -> PlainTextResponse:
    return PlainTextResponse("answered")


def served(settings: Settings, *, peer: str = "127.0.0.1", root: str = "") -> httpx.AsyncClient:
    """A client of an application that answers every path, behind the perimeter."""
    inner = Starlette(routes=[Route("/{path:path}", _everything, methods=["GET", "POST", "OPTIONS"])])
    guarded = Perimeter(inner, settings=settings)
    transport = httpx.ASGITransport(guarded, client=(peer, 1), root_path=root)  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=transport, base_url="http://localhost:2024")


@pytest.mark.parametrize("path", ["/ok", "/info", "/healthz", "/metrics", "/threads/search", "/me", "/api/v1/me"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "localhost.evil.example"},
        {"Host": "[::1"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://[::1"},
        {"X-Forwarded-For": "127.0.0.1"},
    ],
    ids=str,
)
async def test_in_development_no_route_answers_another_sites_page_or_a_rebound_name(
    path: str, headers: dict[str, str]
) -> None:
    async with served(Settings(auth="dev")) as client:
        assert (await client.get(path)).text == "answered"
        refused = await client.post(path, headers={"Content-Type": "text/plain"} | headers)
        assert refused.status_code == (403 if path == "/me" else 401)
        assert "answered" not in refused.text


async def test_in_development_studio_and_local_pages_come_in_and_other_machines_do_not() -> None:
    async with served(Settings(auth="dev")) as client:
        for origin in ("https://smith.langchain.com", "http://localhost:5173", "http://127.0.0.1:3000"):
            assert (await client.options("/threads", headers={"Origin": origin})).status_code == 200
    async with served(Settings(auth="dev", studio_access="off")) as client:
        assert (await client.get("/info", headers={"Origin": "https://smith.langchain.com"})).status_code == 401
    async with served(Settings(auth="dev"), peer="10.0.0.7") as client:
        assert (await client.get("/info")).status_code == 401


async def test_with_credentials_any_host_may_ask_unless_the_names_are_set() -> None:
    async with served(Settings(auth="api_key"), peer="10.0.0.7") as client:
        assert (await client.get("/ok", headers={"Host": "agent.example"})).status_code == 200
    async with served(Settings(auth="api_key", allowed_hosts=frozenset({"agent.example"}))) as client:
        assert (await client.get("/ok", headers={"Host": "agent.example:8443"})).status_code == 200
        assert (await client.get("/ok", headers={"Host": "evil.example"})).status_code == 401
        assert (await client.get("/ok", headers={"Host": ""})).status_code == 401


async def test_the_servers_client_of_itself_passes() -> None:
    async with served(Settings(auth="dev"), root="/noauth") as client:
        assert (await client.get("/threads", headers={"Host": "api"})).text == "answered"


async def test_below_a_prefix_the_same_paths_are_served() -> None:
    inner = Starlette(routes=[Route("/{path:path}", _everything)])
    mounted = Starlette(routes=[Mount("/agent", app=Perimeter(inner, settings=Settings(auth="api_key")))])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(mounted), base_url="http://here") as client:
        assert (await client.get("/agent/threads")).status_code == 200
        assert (await client.get("/agent/internal/truncate")).status_code == 404
