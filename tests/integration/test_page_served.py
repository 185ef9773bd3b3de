"""The page as it is run: by ``personaagent serve``, and beside LangGraph's own routes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from server_house import langgraph_dev
from stub_endpoint import endpoint

COMMAND = str(Path(sys.executable).with_name("personaagent"))
TOKEN = re.compile(r'name="token" value="([0-9a-f]{64})"')


def sign_in(client: httpx.Client, user: str) -> httpx.Response:
    token = TOKEN.findall(client.get("/me/sign-in").text)[0]
    origin = str(client.base_url).rstrip("/")
    return client.post("/me/sign-in", data={"token": token, "credential": user}, headers={"Origin": origin})


def test_serve_says_where_it_is_and_stops_in_order(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [COMMAND, "serve", "--port", "0", "--user", "ann", "--home", str(tmp_path)],
        env=os.environ | {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        address = next(line for line in process.stderr if line.startswith("http://127.0.0.1:")).strip()
        with httpx.Client(base_url=address.removesuffix("/me")) as client:
            assert 'value="ann"' in client.get("/me/sign-in").text
            assert sign_in(client, "ann").headers["location"] == "/me"
            assert "There is none yet" in client.get("/me").text
            assert client.get("/healthz").status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert "Traceback" not in process.stderr.read()
    finally:
        process.kill()
    assert (tmp_path / "session_secret").stat().st_mode & 0o077 == 0


def test_serve_refuses_other_machines_in_development_mode(tmp_path: Path) -> None:
    done = subprocess.run(
        [COMMAND, "serve", "--host", "0.0.0.0", "--home", str(tmp_path)],  # noqa: S104
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "PERSONAAGENT_AUTH=api_key or jwt" in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.server
def test_langgraph_server_serves_the_page_beside_its_own_routes(tmp_path: Path) -> None:
    with endpoint() as (base_url, _), langgraph_dev(tmp_path, base_url) as url, httpx.Client(base_url=url) as client:
        assert client.get("/ok").json()["ok"] is True
        found = client.post("/assistants/search", json={}, headers={"X-User-Id": "ann"}).json()
        assert {one["graph_id"] for one in found} == {"agent", "feedback", "alignment"}
        assert sign_in(client, "ann").status_code == 303
        asked = {"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": "Which film tonight?"}]}}
        answered = client.post("/runs/wait", json=asked, headers={"X-User-Id": "ann"}, timeout=60).json()
        assert answered["interaction_id"]
        page = client.get(f"/me/memories/{answered['interaction_id']}")
        assert "Which film tonight?" in page.text
        assert page.headers["content-security-policy"].startswith("default-src 'none'")
        told = client.get("/api/v1/me/memories", headers={"X-User-Id": "ann"}).json()
        assert [memory["id"] for memory in told["memories"]] == [answered["interaction_id"]]
        assert client.get("/api/v1/me/memories", headers={"X-User-Id": "bob"}).json()["count"] == 0
