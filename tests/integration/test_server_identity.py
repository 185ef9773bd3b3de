"""Ways to become somebody else on a real server that asks for API keys: each is tried, alone and with fifty users.

Ann has a conversation, a cron and a stored item with her canary in them. Mallory has a key of her own, and whatever
she sends, nothing of Ann's comes back, and nothing is written to Ann's memory.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from personaagent.app.server import keys
from personaagent.app.server.identity import ASSISTANTS_WRITE
from personaagent.graph.services import Services
from personaagent.ownership import owner_of
from personaagent.settings import Settings
from personaagent.types import Interaction, Persona
from scripted import HashEmbedder, ScriptedModels
from server_house import langgraph_dev
from stub_endpoint import endpoint

pytestmark = pytest.mark.server

CANARY = "canary-of-"
MANY = [f"user-{n:02}" for n in range(50)]
Json = dict[str, Any]


@dataclass
class House:
    """The server, everybody's keys, what the model endpoint was asked, and the ledger behind it all."""

    url: str
    home: Path
    keys: dict[str, str]
    asked: list[Json]
    ann: Json = field(default_factory=dict)

    def client(self, user_id: str, **headers: str) -> httpx.AsyncClient:
        headers = {"X-Api-Key": self.keys[user_id]} | headers
        # it is plain HTTP, and loading the authorities would take longer than the request
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=60, verify=False)  # noqa: S501

    async def ask(self, user_id: str, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        async with self.client(user_id, **headers) as client:
            return await client.request(method, path, json=body)

    async def run(self, user_id: str, body: Json, thread: str | None = None) -> httpx.Response:
        path = f"/threads/{thread}/runs/wait" if thread else "/runs/wait"
        return await self.ask(user_id, "POST", path, {"assistant_id": "agent"} | body)

    async def thread(self, user_id: str) -> str:
        return str((await self.ask(user_id, "POST", "/threads", {})).json()["thread_id"])

    async def memory(self, *users: str) -> list[list[Interaction]]:
        """Everything that the ledger holds for these users, newest first."""
        services = self._services()
        try:
            return [list(await services.interactions.newest(user, 100)) for user in users]
        finally:
            await services.close()

    async def personas(self, user_id: str) -> list[Persona]:
        services = self._services()
        try:
            return list(await services.personas.history(user_id))
        finally:
            await services.close()

    async def alignments(self, user_id: str) -> str:
        """The thread of the user's background alignments."""
        services = self._services()
        try:
            return await services.alignment_thread(user_id)
        finally:
            await services.close()

    def _services(self) -> Services:
        return Services(Settings(home=self.home), models=ScriptedModels(), embedder=HashEmbedder())


def says(text: str, **more: Any) -> Json:
    return {"input": {"messages": [{"role": "user", "content": text}]}} | more


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    home = tmp_path_factory.mktemp("home")
    file = home / "keys.jsonl"
    made = {user: keys.add(file, user)[0] for user in ("ann", "mallory", "bob", *MANY)}
    made["operator"] = keys.add(file, "operator", [ASSISTANTS_WRITE])[0]
    settings = {
        "PERSONAAGENT_AUTH": "api_key",
        "PERSONAAGENT_API_KEYS_FILE": str(file),
        "PERSONAAGENT_ALIGN_AFTER": "2",
        "PERSONAAGENT_ALIGN_DELAY_S": "0.5",
        "CRON_SCHEDULER_SLEEP_TIME": "1",
    }
    with endpoint() as (base_url, asked), langgraph_dev(home, base_url, jobs=50, **settings) as url:
        house = House(url, home, made, asked)
        house.ann = asyncio.run(_settle_ann(house))
        yield house


async def _settle_ann(house: House) -> Json:
    """Ann's things, as an attacker might have come to know their ids."""
    thread = await house.thread("ann")
    turn = (await house.run("ann", says(f"I like {CANARY}ann"), thread)).json()
    runs = (await house.ask("ann", "GET", f"/threads/{thread}/runs")).json()
    state = (await house.ask("ann", "GET", f"/threads/{thread}/state")).json()
    cron = await house.ask(
        "ann", "POST", "/runs/crons", {"assistant_id": "agent", "schedule": "0 0 1 1 *"} | says(f"{CANARY}ann")
    )
    item = {"namespace": ["notes"], "key": "one", "value": {"text": f"{CANARY}ann"}}
    assert (await house.ask("ann", "PUT", "/store/items", item)).status_code == 204
    return {
        "thread": thread,
        "run": runs[0]["run_id"],
        "interaction": turn["interaction_id"],
        "checkpoint": state["checkpoint"],
        "cron": cron.json()["cron_id"],
    }


@pytest.fixture(autouse=True)
async def nothing_is_written_to_ann(server: House) -> AsyncIterator[None]:
    before = rows_of(server, "ann")
    assert before
    yield
    assert rows_of(server, "ann") == before


def rows_of(server: House, user_id: str) -> list[Any]:
    """The user's interactions as they stand in the ledger's file: opening a memory around each test takes longer."""
    with closing(sqlite3.connect(server.home / "ledger.sqlite")) as ledger:
        return ledger.execute("SELECT * FROM interactions WHERE user_id = ? ORDER BY id", (user_id,)).fetchall()


# --- nobody, and somebody who says that they are somebody else


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Api-Key": "pa_0_0"},
        {"X-User-Id": "ann"},
        {"Authorization": "Bearer ann"},
        {"X-Auth-Scheme": "langsmith"},
    ],
    ids=str,
)
async def test_whoever_has_no_key_reaches_nothing(server: House, headers: dict[str, str]) -> None:
    ann = server.ann
    tried = [
        ("POST", "/threads", {}),
        ("POST", "/threads/search", {}),
        ("GET", f"/threads/{ann['thread']}/state", None),
        ("GET", f"/threads/{ann['thread']}/runs/{ann['run']}/join", None),
        ("POST", "/runs/wait", {"assistant_id": "agent"} | says("hello")),
        ("POST", "/runs/batch", [{"assistant_id": "agent"} | says("hello")]),
        ("POST", "/assistants/search", {}),
        ("POST", "/assistants", {"graph_id": "agent", "name": "mine"}),
        ("POST", "/runs/crons/search", {}),
        ("POST", "/store/items/search", {"namespace_prefix": []}),
    ]
    async with httpx.AsyncClient(base_url=server.url, headers=headers) as client:
        for method, path, body in tried:
            answer = await client.request(method, path, json=body)
            assert answer.status_code in {401, 403}, (path, answer.text)
            assert CANARY not in answer.text


@pytest.mark.parametrize("path", ["/mcp/", "/a2a/agent", "/.well-known/agent-card.json?assistant_id=agent"])
async def test_doors_that_are_not_needed_are_shut(server: House, path: str) -> None:
    assert (await server.ask("mallory", "POST", path, {})).status_code in {404, 405}


@pytest.mark.parametrize(
    "more",
    [
        {"context": {"user_id": "ann"}},
        {"config": {"configurable": {"user_id": "ann"}}},
        {"context": {"user_id": ["ann"]}},
        {"context": {"user_id": {"$ne": ""}}},
    ],
    ids=str,
)
async def test_a_run_that_names_another_user_is_refused(server: House, more: Json) -> None:
    for body in (says("who am I?", **more), {"assistant_id": "feedback", "input": {}} | more):
        answer = await server.run("mallory", body)
        assert answer.status_code == 403
        assert "names another user" in answer.text
    assert (
        await server.ask("mallory", "POST", "/runs/batch", [{"assistant_id": "agent"} | says("x", **more)])
    ).is_error


SAID: list[tuple[Json, dict[str, str]]] = [
    ({}, {"X-User-Id": "ann"}),
    ({}, {"X-Auth-Scheme": "custom", "X-Tenant-Id": "ann"}),
    ({"context": {"user_id": ""}}, {}),
    ({"config": {"configurable": {"langgraph_auth_user": {"identity": "ann"}}}}, {}),
    ({"config": {"configurable": {"langgraph_auth_user_id": "ann"}}}, {}),
    ({"context": {"langgraph_auth_user": {"identity": "ann"}}}, {}),
    ({"metadata": {"owner": "ann", "user_id": "ann"}}, {}),
    ({"config": {"metadata": {"owner": "ann"}}}, {}),
    ({"command": {"update": {"user_id": "ann"}}, "input": None}, {}),
]


async def test_whatever_else_a_run_says_it_is_the_signed_in_users(server: House) -> None:
    async def run(more: Json, headers: dict[str, str]) -> httpx.Response:
        async with server.client("mallory", **headers) as client:
            return await client.post("/runs/wait", json={"assistant_id": "agent"} | says("what do I like?") | more)

    answers = await asyncio.gather(*(run(more, headers) for more, headers in SAID))
    [mine] = await server.memory("mallory")
    for said, answer in zip(SAID, answers, strict=True):
        assert CANARY not in answer.text, said
        if not answer.is_error and "interaction_id" in answer.text:
            assert answer.json()["interaction_id"] in {one.id for one in mine}, said


# --- another user's thread, run, checkpoint, interaction


async def test_another_users_thread_does_not_exist(server: House) -> None:
    thread, run, checkpoint = server.ann["thread"], server.ann["run"], server.ann["checkpoint"]
    body = {"assistant_id": "agent"} | says("what do I like?")
    resumed = {"assistant_id": "agent", "checkpoint": checkpoint, "input": None}
    tried: list[tuple[str, str, Any]] = [
        ("GET", f"/threads/{thread}", None),
        ("PATCH", f"/threads/{thread}", {"metadata": {"owner": owner_of("mallory")}}),
        ("DELETE", f"/threads/{thread}", None),
        ("POST", f"/threads/{thread}/copy", None),
        ("POST", "/threads/prune", {"thread_ids": [thread], "strategy": "delete"}),
        ("POST", "/threads", {"thread_id": thread, "if_exists": "do_nothing"}),
        ("GET", f"/threads/{thread}/state", None),
        ("GET", f"/threads/{thread}/state/{checkpoint['checkpoint_id']}", None),
        ("POST", f"/threads/{thread}/state/checkpoint", {"checkpoint": checkpoint}),
        ("POST", f"/threads/{thread}/state", {"values": {"answer": "mine"}}),
        ("GET", f"/threads/{thread}/history", None),
        ("POST", f"/threads/{thread}/history", {"limit": 10}),
        ("GET", f"/threads/{thread}/stream", None),
        ("POST", f"/threads/{thread}/stream/events", {"channels": ["values"]}),
        ("POST", f"/threads/{thread}/commands", {"id": 1, "method": "run.start", "params": body}),
        ("POST", f"/threads/{thread}/runs", body),
        ("POST", f"/threads/{thread}/runs", body | {"if_not_exists": "create"}),
        ("POST", f"/threads/{thread}/runs/wait", body),
        ("POST", f"/threads/{thread}/runs/wait", resumed),
        ("POST", f"/threads/{thread}/runs/stream", body),
        ("POST", f"/threads/{thread}/runs/crons", body | {"schedule": "0 0 1 1 *"}),
        ("GET", f"/threads/{thread}/runs", None),
        ("GET", f"/threads/{thread}/runs/{run}", None),
        ("GET", f"/threads/{thread}/runs/{run}/join", None),
        ("GET", f"/threads/{thread}/runs/{run}/stream", None),
        ("POST", f"/threads/{thread}/runs/{run}/cancel", None),
        ("DELETE", f"/threads/{thread}/runs/{run}", None),
        ("POST", "/runs/cancel", {"thread_id": thread, "run_ids": [run]}),
    ]
    async with server.client("mallory") as client:
        for method, path, sent in tried:
            answer = await client.request(method, path, json=sent)
            # streams end at once or say so as an event, and the list of runs of a thread that is not there is empty
            refused = answer.is_error or answer.text in {"", "[]"} or "404: Thread" in answer.text
            assert refused, (method, path, answer.status_code, answer.text)
            assert CANARY not in answer.text, (method, path)
    mine = (await server.ask("ann", "GET", f"/threads/{thread}/state")).json()
    assert mine["checkpoint"] == checkpoint


async def test_another_users_run_is_not_found_through_ones_own_thread(server: House) -> None:
    own, run = await server.thread("mallory"), server.ann["run"]
    for method, path in [
        ("GET", f"/threads/{own}/runs/{run}"),
        ("GET", f"/threads/{own}/runs/{run}/join"),
        ("GET", f"/threads/{own}/runs/{run}/stream"),
        ("POST", f"/threads/{own}/runs/{run}/cancel"),
        ("DELETE", f"/threads/{own}/runs/{run}"),
    ]:
        answer = await server.ask("mallory", method, path)
        assert CANARY not in answer.text, path
    assert (await server.ask("ann", "GET", f"/threads/{server.ann['thread']}/runs/{run}")).json()["status"] == "success"


async def test_another_users_checkpoint_is_not_read_through_ones_own_thread(server: House) -> None:
    own, checkpoint = await server.thread("mallory"), server.ann["checkpoint"]
    await server.run("mallory", says("hello"), own)
    foreign = {"thread_id": server.ann["thread"], "checkpoint_ns": ""}
    for sent in (
        {"checkpoint": checkpoint},
        {"checkpoint_id": checkpoint["checkpoint_id"]},
        {"config": {"configurable": foreign}},
        {"config": {"configurable": checkpoint}},
    ):
        answer = await server.run("mallory", {"input": None} | sent, own)
        assert CANARY not in answer.text, sent
    for path, body in [
        (f"/threads/{own}/state/checkpoint", {"checkpoint": checkpoint}),
        (f"/threads/{own}/state", {"values": {"answer": "x"}, "checkpoint": checkpoint}),
        (f"/threads/{own}/history", {"limit": 10, "checkpoint": foreign, "before": checkpoint}),
    ]:
        answer = await server.ask("mallory", "POST", path, body)
        assert CANARY not in answer.text, path
    state = await server.ask("mallory", "GET", f"/threads/{own}/state/{checkpoint['checkpoint_id']}")
    assert CANARY not in state.text
    kept = (await server.ask("ann", "GET", f"/threads/{server.ann['thread']}/state")).json()
    assert kept["checkpoint"] == checkpoint


async def test_replay_and_written_state_stay_the_users_own(server: House) -> None:
    own = await server.thread("mallory")
    await server.run("mallory", says("hello"), own)
    history = (await server.ask("mallory", "POST", f"/threads/{own}/history", {"limit": 20})).json()
    early = next(state for state in history if "reason" in state["next"])
    forged = {
        "profile": {"user_id": "ann", "facts": []},
        "persona": {
            "user_id": "ann",
            "version": 0,
            "sections": {},
            "origin": "seed",
            "created_at": "2026-01-01T00:00:00Z",
        },
    }
    await server.ask("mallory", "POST", f"/threads/{own}/state", {"values": forged, "checkpoint": early["checkpoint"]})
    for again in (
        {"checkpoint": early["checkpoint"]},
        {"checkpoint": early["checkpoint"], "context": {"user_id": "ann"}},
    ):
        answer = await server.run("mallory", {"input": None} | again, own)
        assert CANARY not in answer.text
    assert answer.status_code == 403


async def test_nobody_listens_to_another_users_thread(server: House) -> None:
    thread, key = await server.thread("bob"), {"X-Api-Key": server.keys["mallory"]}
    events = f"/threads/{thread}/stream/events"
    socket_url = server.url.replace("http", "ws") + events
    told: list[str] = []

    async def listen(method: str, path: str, body: Json | None) -> None:
        async with server.client("mallory") as client, client.stream(method, path, json=body) as answer:
            told.extend([line async for line in answer.aiter_lines()])

    async def listen_by_socket() -> None:
        async with websockets.connect(socket_url, additional_headers=key) as socket:
            for command in (
                {"id": 1, "method": "subscription.subscribe", "params": {"channels": ["values", "messages"]}},
                {"id": 2, "method": "run.start", "params": {"assistant_id": "agent"} | says("what do they like?")},
            ):
                await socket.send(json.dumps(command))
            while True:
                told.append(str(await socket.recv()))

    with pytest.raises(websockets.InvalidStatus):
        await websockets.connect(socket_url)  # nobody is signed in
    listening = [
        asyncio.create_task(listen_by_socket()),
        asyncio.create_task(listen("GET", f"/threads/{thread}/stream", None)),
        asyncio.create_task(listen("POST", events, {"channels": ["values", "messages"]})),
    ]
    await asyncio.sleep(0.5)
    answer = await server.run("bob", says(f"I like {CANARY}bob"), thread)
    assert f"{CANARY}bob" in answer.text
    await asyncio.sleep(0.5)
    for one in listening:
        one.cancel()
    await asyncio.gather(*listening, return_exceptions=True)
    assert told
    assert CANARY not in "".join(told)
    assert any("404" in one for one in told)


async def test_another_users_interaction_takes_no_feedback(server: House) -> None:
    body = {
        "assistant_id": "feedback",
        "input": {"interaction_id": server.ann["interaction"], "ground_truth": "stolen", "source": "correction"},
    }
    answer = await server.run("mallory", body)
    assert "UnknownInteraction" in answer.text
    assert CANARY not in answer.text


# --- what is searched, shared and kept


async def test_searches_and_counts_hold_ones_own_only(server: House) -> None:
    await server.thread("bob")
    own = {one["thread_id"] for one in (await server.ask("bob", "POST", "/threads/search", {"limit": 1000})).json()}
    for thread in own:
        assert (await server.ask("bob", "GET", f"/threads/{thread}")).json()["metadata"]["owner"] == owner_of("bob")
    mark = owner_of("ann")
    for filters in ({}, {"metadata": {"owner": mark}}, {"values": {}}, {"ids": [server.ann["thread"]]}):
        found = await server.ask("bob", "POST", "/threads/search", {"limit": 1000} | filters)
        assert {one["thread_id"] for one in found.json()} <= own
        assert f"{CANARY}ann" not in found.text
    assert (await server.ask("bob", "POST", "/threads/count", {})).json() == len(own)
    assert (await server.ask("bob", "POST", "/threads/count", {"metadata": {"owner": mark}})).json() == 0
    assert (await server.ask("bob", "POST", "/runs/crons/search", {})).json() == []
    assert (await server.ask("bob", "POST", "/runs/crons/count", {})).json() == 0


async def test_a_threads_owner_cannot_be_chosen_or_changed(server: House) -> None:
    mark = {"owner": owner_of("ann")}
    made = (await server.ask("mallory", "POST", "/threads", {"metadata": mark})).json()
    assert made["metadata"]["owner"] == owner_of("mallory")
    patched = (await server.ask("mallory", "PATCH", f"/threads/{made['thread_id']}", {"metadata": mark})).json()
    assert patched["metadata"]["owner"] == owner_of("mallory")
    kept = {"on_completion": "keep", "metadata": mark, "config": {"metadata": mark}}
    await server.run("mallory", says("hello", **kept))
    found = (await server.ask("ann", "POST", "/threads/search", {"limit": 1000})).json()
    assert {one["thread_id"] for one in found} == {server.ann["thread"]}


async def test_the_thread_of_anothers_background_work_cannot_be_taken_first(server: House) -> None:
    lane = await server.alignments("bob")
    body = {"assistant_id": "agent", "if_not_exists": "create"} | says("mine")
    assert (await server.ask("mallory", "POST", "/threads", {"thread_id": lane})).status_code == 403
    assert (await server.ask("mallory", "POST", f"/threads/{lane}/runs", body)).status_code == 403
    assert (await server.ask("bob", "GET", f"/threads/{lane}")).status_code == 404


async def test_assistants_are_written_by_scope_and_are_nobodys_in_particular(server: House) -> None:
    bare = {"graph_id": "agent", "name": "short"}
    new = bare | {"context": {"instructions": "Be short."}}
    assert (await server.ask("mallory", "POST", "/assistants", new)).status_code == 403
    agents = (await server.ask("mallory", "POST", "/assistants/search", {"graph_id": "agent"})).json()
    path = f"/assistants/{agents[0]['assistant_id']}"
    patch = {"context": {"instructions": "Tell me everything."}}
    assert (await server.ask("mallory", "PATCH", path, patch)).status_code == 403
    assert (await server.ask("mallory", "POST", f"{path}/latest", {"version": 1})).status_code == 403
    assert (await server.ask("mallory", "DELETE", path)).status_code == 403
    for named in ({"context": {"user_id": "ann"}}, {"config": {"configurable": {"user_id": "ann"}}}):
        assert (await server.ask("operator", "POST", "/assistants", bare | named)).status_code == 403
    made = (await server.ask("operator", "POST", "/assistants", new)).json()
    answer = await server.run("mallory", {"assistant_id": made["assistant_id"]} | says("what do I like?"))
    assert CANARY not in answer.text
    [mine] = await server.memory("mallory")
    assert answer.json()["interaction_id"] in {one.id for one in mine}


async def test_every_namespace_of_the_store_lies_below_the_users_own(server: House) -> None:
    for namespace in (["notes"], [owner_of("ann"), "notes"]):
        found = await server.ask("mallory", "GET", f"/store/items?key=one&namespace={'.'.join(namespace)}")
        assert CANARY not in found.text
        listed = await server.ask("mallory", "POST", "/store/items/search", {"namespace_prefix": namespace})
        assert listed.json()["items"] == []
        await server.ask("mallory", "DELETE", "/store/items", {"namespace": namespace, "key": "one"})
        item = {"namespace": namespace, "key": "one", "value": {"text": "mallory was here"}}
        await server.ask("mallory", "PUT", "/store/items", item)
    for asked in ({}, {"prefix": [owner_of("ann")]}, {"suffix": ["notes"]}):
        spaces = await server.ask("mallory", "POST", "/store/namespaces", asked)
        assert all(space[0] == owner_of("mallory") for space in spaces.json()["namespaces"])
    assert CANARY not in (await server.ask("mallory", "POST", "/store/items/search", {"namespace_prefix": []})).text
    mine = await server.ask("ann", "GET", "/store/items?key=one&namespace=notes")
    assert mine.json()["value"] == {"text": f"{CANARY}ann"}


async def test_webhooks_need_a_scope(server: House) -> None:
    for address in ("https://example.com/hook", f"/threads/{server.ann['thread']}/runs", "http://169.254.169.254/"):
        assert (await server.run("mallory", says("hello", webhook=address))).status_code in {403, 422}
        cron = {"assistant_id": "agent", "schedule": "0 0 1 1 *", "webhook": address} | says("hello")
        assert (await server.ask("mallory", "POST", "/runs/crons", cron)).status_code in {403, 422}


# --- what runs later, by itself


async def test_a_cron_runs_as_whoever_made_it(server: House) -> None:
    cron = {"assistant_id": "agent", "schedule": "* * * * * *"} | says("hello from a cron")
    for named in ({"context": {"user_id": "ann"}}, {"config": {"configurable": {"user_id": "ann"}}}):
        assert (await server.ask("mallory", "POST", "/runs/crons", cron | named)).status_code == 403
    for method, body in (("GET", None), ("PATCH", {"schedule": "0 0 1 1 *"}), ("DELETE", None)):
        assert (await server.ask("mallory", method, f"/runs/crons/{server.ann['cron']}", body)).status_code == 404
    made = (await server.ask("mallory", "POST", "/runs/crons", cron | {"metadata": {"owner": owner_of("ann")}})).json()
    assert made["metadata"]["owner"] == owner_of("mallory")
    try:
        change = {"context": {"user_id": "ann"}}
        assert (await server.ask("mallory", "PATCH", f"/runs/crons/{made['cron_id']}", change)).status_code == 403
        for _ in range(60):
            [mine] = await server.memory("mallory")
            if any(one.query == "hello from a cron" for one in mine):
                break
            await asyncio.sleep(0.25)
        assert any(one.query == "hello from a cron" for one in mine)
    finally:
        await server.ask("mallory", "DELETE", f"/runs/crons/{made['cron_id']}")


async def test_a_background_alignment_belongs_to_the_user_whose_labels_asked_for_it(server: House) -> None:
    music = {"context": {"choices": ["jazz", "rock"], "task": "music"}}
    for n in range(4):
        turn = (await server.run("bob", says(f"song {n}", **music))).json()
        label = {"interaction_id": turn["interaction_id"], "ground_truth": "rock", "source": "choice"}
        await server.run("bob", {"assistant_id": "feedback", "input": label} | music)
    lane: Json = {}
    for _ in range(60):
        lane = (await server.ask("bob", "GET", f"/threads/{await server.alignments('bob')}")).json()
        if (lane.get("values") or {}).get("outcome"):
            break
        await asyncio.sleep(0.25)
    assert lane["values"]["outcome"]
    assert lane["metadata"]["owner"] == owner_of("bob")
    [run, *_] = (await server.ask("bob", "GET", f"/threads/{await server.alignments('bob')}/runs")).json()
    assert run["kwargs"]["context"]["user_id"] == "bob"
    assert {one.user_id for one in await server.personas("bob")} == {"bob"}
    # nobody else sees it, joins it or starts one
    thread = await server.alignments("bob")
    assert (await server.ask("mallory", "GET", f"/threads/{thread}")).status_code == 404
    body = {"assistant_id": "alignment", "input": {}, "if_not_exists": "create"}
    assert (await server.ask("mallory", "POST", f"/threads/{thread}/runs", body)).status_code == 403
    for named in ({"context": {"user_id": "bob"}}, {"config": {"configurable": {"user_id": "bob"}}}):
        assert (await server.run("mallory", {"assistant_id": "alignment", "input": {}} | named)).status_code == 403


# --- fifty at once


async def test_fifty_users_at_once_each_get_and_keep_their_own_only(server: House) -> None:
    seen = len(server.asked)
    answers = dict(zip(MANY, await asyncio.gather(*(_busy(server, user) for user in MANY)), strict=True))
    for user, texts in answers.items():
        others = [name for name in (*MANY, "ann") if name != user and any(f"{CANARY}{name}" in t for t in texts)]
        assert not others, (user, others)
    for body in server.asked[seen:]:
        text = json.dumps(body)
        told = {name for name in (*MANY, "ann") if f"{CANARY}{name}" in text}
        assert len(told) <= 1, told
    for user, kept in zip(MANY, await server.memory(*MANY), strict=True):
        assert len(kept) == 2, user
        assert {one.user_id for one in kept} == {user}
        assert all(one.query in {f"I like {CANARY}{user}", "What do I like?"} for one in kept)


async def _busy(server: House, user: str) -> list[str]:
    """One user's own turns, and what they try meanwhile on the next user and on Ann."""
    victim = MANY[(MANY.index(user) + 1) % len(MANY)]
    async with server.client(user) as client:
        thread = (await client.post("/threads", json={})).json()["thread_id"]

        async def post(path: str, body: Json) -> httpx.Response:
            return await client.post(path, json=body)

        own = {"assistant_id": "agent"}
        first, *foreign = await asyncio.gather(
            post(f"/threads/{thread}/runs/wait", own | says(f"I like {CANARY}{user}")),
            post("/runs/wait", own | says("What do they like?", context={"user_id": victim})),
            post("/runs/wait", own | says("What do they like?", config={"configurable": {"user_id": victim}})),
            post(f"/threads/{server.ann['thread']}/runs/wait", own | says("What do I like?")),
            post(f"/threads/{server.ann['thread']}/history", {"limit": 10}),
            post("/threads", {"thread_id": await server.alignments(victim)}),
            post("/store/items/search", {"namespace_prefix": [owner_of(victim)]}),
            post("/threads/search", {"limit": 1000, "metadata": {"owner": owner_of(victim)}}),
        )
        assert first.status_code == 200, first.text
        assert [answer.status_code for answer in foreign] == [403, 403, 404, 404, 403, 200, 200]
        second = await post(f"/threads/{thread}/runs/wait", own | says("What do I like?"))
        assert f"{CANARY}{user}" in second.text
        label = {"interaction_id": server.ann["interaction"], "ground_truth": "x", "source": "correction"}
        refused = await post("/runs/wait", {"assistant_id": "feedback", "input": label})
        assert "UnknownInteraction" in refused.text
        threads = await post("/threads/search", {"limit": 1000})
        assert {one["thread_id"] for one in threads.json()} == {thread}
        return [answer.text for answer in (first, second, refused, threads, *foreign)]
