"""The page as it is run: by ``personaagent serve``, and beside LangGraph's own routes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from personaagent.app.server import keys
from personaagent.settings import Settings
from postgres_house import postgres  # noqa: F401  (a fixture)
from server_house import langgraph_dev
from stub_endpoint import endpoint, obliging

COMMAND = str(Path(sys.executable).with_name("personaagent"))
TOKEN = re.compile(r'name="token" value="([0-9a-f]{64})"')


@contextmanager
def serving(home: Path, base_url: str, *options: str, **settings: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``personaagent serve`` with these options over a model endpoint, and its URL, once it answers."""
    process = subprocess.Popen(
        [COMMAND, "serve", "--port", "0", *options, "--home", str(home)],
        env=os.environ
        | {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": base_url, "PERSONAAGENT_TOOL_CALLING": "off"}
        | settings,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        url = next(line for line in process.stderr if line.startswith("http://127.0.0.1:")).split("/me")[0]
        threading.Thread(target=process.stderr.read, daemon=True).start()  # or it blocks once the pipe is full
        _await_up(url)
        yield process, url
    finally:
        process.terminate()  # killed, it would leave its workers behind
        process.wait(30)


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
            assert "There is none yet" in client.get("/me/persona").text
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


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_port_that_is_taken_is_said_in_one_line(tmp_path: Path, workers: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [COMMAND, "serve", "--port", port, "--workers", workers, "--home", str(tmp_path)],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert f"127.0.0.1:{port}" in done.stderr and "--port" in done.stderr and len(done.stderr.splitlines()) == 1


def test_serve_by_workers_needs_an_index_that_they_share(tmp_path: Path) -> None:
    done = subprocess.run(
        [COMMAND, "serve", "--workers", "2", "--home", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and "QDRANT_URL" in done.stderr


def test_a_conversation_goes_on_whichever_worker_answers(tmp_path: Path) -> None:
    nothing_recalled = "http://127.0.0.1:9"  # and turns say so
    with (
        endpoint() as (base_url, seen),
        serving(tmp_path, base_url, "--workers", "2", QDRANT_URL=nothing_recalled) as (process, url),
    ):
        thread = ""
        for n in range(8):
            body = {"text": f"message {n}"} | ({"thread_id": thread} if thread else {})
            told = httpx.post(f"{url}/api/v1/me/turns", json=body, headers={"X-User-Id": "ann"}, timeout=60).json()
            thread = told["thread_id"]
            assert told["interaction_id"] and told["answer"].startswith("You said:")
            shown = [one["content"] for one in seen[-1]["messages"] if one["role"] == "user"]
            assert shown[:-1] == [f"message {past}" for past in range(n)]
        other = httpx.post(
            f"{url}/api/v1/me/turns", json={"text": "hello", "thread_id": thread}, headers={"X-User-Id": "bob"}
        )
        assert other.status_code == 200 and "message" not in str(seen[-1]["messages"][1:])
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def remembering(body: dict[str, Any]) -> dict[str, Any]:
    """Call ``remember`` once, then say what came of it."""
    last = body["messages"][-1]
    if last["role"] == "tool":
        return {"content": f"Done: {last['content']}"}
    call = {"name": "remember", "arguments": json.dumps({"text": last["content"].splitlines()[-1]})}
    return {"tool_calls": [{"id": "c1", "type": "function", "function": call}]} if body.get("tools") else obliging(body)


def test_a_decision_is_taken_by_whichever_worker_it_reaches(tmp_path: Path) -> None:
    shared = {"QDRANT_URL": "http://127.0.0.1:9", "PERSONAAGENT_TOOL_CALLING": "on"}
    with (
        endpoint(remembering) as (base_url, _),
        serving(tmp_path, base_url, "--workers", "2", **shared) as (_process, url),
    ):
        turns, said = f"{url}/api/v1/me/turns", [f"I keep {n} bees" for n in range(2, 10)]
        waiting = [httpx.post(turns, json={"text": text}, timeout=60).json() for text in said]
        for turn in waiting:
            assert [one["tool"] for one in turn["approvals"]] == ["remember"], turn
            path, yes = f"{turns}/{turn['turn_id']}/decisions", {"decisions": [{"type": "accept"}]}
            done = httpx.post(path, json=yes, timeout=60)
            assert done.status_code == 200 and done.json()["answer"].startswith("Done:"), done.text
        facts = httpx.get(f"{url}/api/v1/me/facts").json()["facts"]
        assert [fact["text"] for fact in facts] == said


@pytest.mark.server
async def test_many_users_on_two_workers_and_postgres_keep_their_own(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    ledger: str = request.getfixturevalue("postgres")
    users = [f"user{n}" for n in range(12)]
    settings = Settings(home=tmp_path)
    own = {user: keys.add(keys.path_of(settings), user)[0] for user in users}
    shared = {"DATABASE_URL": ledger, "QDRANT_URL": "http://127.0.0.1:9", "PERSONAAGENT_AUTH": "api_key"}
    with (
        endpoint(seconds=0.05) as (base_url, _),
        serving(tmp_path, base_url, "--workers", "2", **shared) as (_process, url),
    ):

        async def talk(client: httpx.AsyncClient, user: str) -> None:
            key, thread = {"Authorization": f"Bearer {own[user]}"}, "the same for all"
            for n in range(3):
                body = {"text": f"{user} says {n}", "thread_id": thread}
                told = (await client.post("/api/v1/me/turns", json=body, headers=key)).json()
                assert told["answer"] == f"You said: {user} says {n}" and told["interaction_id"], told
            found = (await client.get("/api/v1/me/memories", headers=key)).json()
            assert [one["query"] for one in found["memories"]] == [f"{user} says {n}" for n in (2, 1, 0)]

        async with httpx.AsyncClient(base_url=url, timeout=120) as client:
            await asyncio.gather(*(talk(client, user) for user in users))
            assert (await client.get("/api/v1/me/memories")).status_code == 401


def test_a_client_that_goes_stops_its_turn_and_the_stream_ends_with_the_server(tmp_path: Path) -> None:
    with endpoint(seconds=3) as (base_url, seen), serving(tmp_path, base_url) as (process, url):
        turns, memories = f"{url}/api/v1/me/turns", f"{url}/api/v1/me/memories"
        assert httpx.post(turns, json={"text": "Hello"}, timeout=60).status_code == 200
        for stream in (False, True):
            with pytest.raises(httpx.ReadTimeout):
                httpx.post(turns, json={"text": "Which film?", "stream": stream}, timeout=2)
        time.sleep(4)
        assert len(seen) == 3 and httpx.get(memories).json()["count"] == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def _await_up(url: str) -> None:
    for _ in range(240):
        try:
            if httpx.get(f"{url}/healthz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.25)
    pytest.fail("no worker answers")


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
        # turns over our own routes, which no run of the server carries
        turn = {"text": "And tomorrow?", "thread_id": "films", "stream": True}
        streamed = client.post("/api/v1/me/turns", json=turn, headers={"X-User-Id": "bob"}, timeout=60)
        assert "event: done" in streamed.text and "You said: And tomorrow?" in streamed.text
        asked = {"model": "personaagent", "messages": [{"role": "user", "content": "Hello"}]}
        completed = client.post("/v1/chat/completions", json=asked, headers={"X-User-Id": "bob"}, timeout=60).json()
        assert completed["choices"][0]["message"]["content"].startswith("You said:")
        assert client.get("/api/v1/me/memories", headers={"X-User-Id": "bob"}).json()["count"] == 2
        assert "Write to your agent" in client.get("/me").text
