"""Every route of the installed LangGraph server, as it builds them, asked by nobody: what answers stands on a list.

The table is read from the server's own application, so a route that an upgrade adds is found here.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest
import websockets

from personaagent.app.server import keys
from personaagent.app.server.perimeter import OPEN
from server_house import ROOT, langgraph_dev
from stub_endpoint import endpoint

pytestmark = pytest.mark.server

SOME_ID = "11111111-1111-4111-8111-111111111111"
# what of our own answers before somebody is signed in, and why
PUBLIC = {
    "/me/sign-in": "the form",
    "/me/sign-out": "takes the cookie away",
    "/me/static": "style and icon",
    "/api/v1/openapi.json": "the description of the API, the same everywhere",
}
DUMP = """
import json, sys, uvicorn
from langgraph_api.cli import run_server
def walk(routes, prefix=""):
    for route in routes:
        path = prefix + getattr(route, "path", "")
        if getattr(route, "routes", None):
            yield from walk(route.routes, path)
        else:
            yield type(route).__name__, path, sorted(getattr(route, "methods", None) or ["GET"])
def show(*_, **__):
    from langgraph_api.server import app
    print("ROUTES" + json.dumps(list(walk(app.routes))))
uvicorn.run = show
told = json.load(open(sys.argv[1]))
run_server(port=0, reload=False, open_browser=False, graphs=told["graphs"], auth=told["auth"], http=told["http"])
"""
Route = tuple[str, str, list[str]]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> list[Route]:
    """Kind, path and methods of each route that ``langgraph dev`` builds for our langgraph.json."""
    home = tmp_path_factory.mktemp("table")
    done = subprocess.run(
        [sys.executable, "-c", DUMP, str(ROOT / "langgraph.json")],
        cwd=ROOT,
        env=os.environ | {"PERSONAAGENT_HOME": str(home), "PERSONAAGENT_AUTH": "api_key", "LANGSMITH_TRACING": "false"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    told = re.search(r"^ROUTES(.*)$", done.stdout, re.MULTILINE)
    assert told, done.stdout[-2_000:] + done.stderr[-2_000:]
    return [(kind, path, methods) for kind, path, methods in json.loads(told[1])]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """URL of a server that asks for API keys, and one key."""
    home = tmp_path_factory.mktemp("home")
    key, _ = keys.add(home / "keys.jsonl", "ann")
    settings = {"PERSONAAGENT_AUTH": "api_key", "PERSONAAGENT_API_KEYS_FILE": str(home / "keys.jsonl")}
    settings |= {"PERSONAAGENT_ALLOWED_HOSTS": '["127.0.0.1"]', "PERSONAAGENT_MAX_REQUEST_BYTES": "200000"}
    with endpoint() as (base_url, _), langgraph_dev(home, base_url, **settings) as url:
        yield url, key


def test_the_table_is_the_whole_servers(table: list[Route]) -> None:
    paths = {path for _, path, _ in table}
    assert {"/threads/{thread_id}/runs/wait", "/store/items", "/ok", "/healthz", "/me", "/internal/truncate"} <= paths
    assert len(paths) > 70


async def test_no_route_answers_without_an_identity_unless_it_is_listed_with_a_reason(
    server: tuple[str, str], table: list[Route]
) -> None:
    url, _ = server
    answered = []
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        for kind, path, methods in table:
            if "WebSocket" in kind:
                continue
            asked = re.sub(r"{[^}]*}", SOME_ID, path) or "/"
            for method in sorted({*methods, "GET", "POST"} - {"HEAD", "OPTIONS"}):
                async with client.stream(method, asked, json={} if method != "GET" else None) as answer:
                    led_to_sign_in = answer.is_redirect and "/me/sign-in" in answer.headers["location"]
                    if answer.status_code not in {401, 403, 404, 405} and not led_to_sign_in:
                        answered.append((method, asked, answer.status_code))
    unlisted = [one for one in answered if not _listed(one[1])]
    assert unlisted == []
    assert {path for _, path, _ in answered} >= {"/ok", "/info", "/healthz", "/readyz", "/metrics", "/"}


def _listed(path: str) -> bool:
    return path.removeprefix("/") in OPEN or any(path.startswith(public) for public in PUBLIC)


async def test_no_socket_opens_without_an_identity(server: tuple[str, str], table: list[Route]) -> None:
    sockets = [path for kind, path, _ in table if "WebSocket" in kind]
    assert sockets
    for path in sockets:
        address = server[0].replace("http", "ws") + re.sub(r"{[^}]*}", SOME_ID, path)
        with pytest.raises(websockets.exceptions.InvalidStatus):
            await websockets.connect(address)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/internal/debug/thread/{SOME_ID}"),
        ("POST", "/internal/truncate"),
        ("GET", "/deploy"),
        ("POST", "/deploy"),
        ("GET", f"/deploy/{SOME_ID}/stream"),
        ("GET", "/ui/agent"),
        ("POST", "/ui/agent"),
        ("POST", "//internal/truncate"),
        ("POST", "/%69nternal/truncate"),
        ("POST", "/ok/../internal/truncate"),
        ("POST", "/anything"),
    ],
)
async def test_what_the_server_serves_outside_of_its_sign_in_is_not_there_even_with_a_key(
    server: tuple[str, str], method: str, path: str
) -> None:
    url, key = server
    async with httpx.AsyncClient(base_url=url, headers={"X-Api-Key": key}) as client:
        kept = (await client.post("/threads", json={})).json()["thread_id"]
        answer = await client.request(method, path, headers={"Content-Type": "text/plain"})
        assert answer.status_code in {404, 405}, answer.text
        assert (await client.get(f"/threads/{kept}")).status_code == 200


async def test_a_server_answers_by_its_own_names_only(server: tuple[str, str]) -> None:
    url, key = server
    async with httpx.AsyncClient(base_url=url, headers={"X-Api-Key": key}) as client:
        for path in ("/ok", "/info", "/openapi.json", "/healthz", "/threads/search"):
            answer = await client.request("POST" if "search" in path else "GET", path, headers={"Host": "evil.example"})
            assert answer.status_code == 401, path
            assert "PERSONAAGENT_ALLOWED_HOSTS" in answer.text
        assert (await client.get("/ok")).status_code == 200
