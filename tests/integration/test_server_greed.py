"""One user with a key who wants everything: refused before anything is queued, and the other user is served."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import websockets

from personaagent.app.server import keys
from personaagent.limits import MAKING_S
from server_house import langgraph_dev
from stub_endpoint import endpoint

pytestmark = pytest.mark.server
PENDING = 8
CRONS = 4
MAX_BYTES = 300_000
Json = dict[str, Any]


@dataclass
class Server:
    url: str
    keys: dict[str, str]
    asked: list[Json]

    def client(self, user: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, headers={"X-Api-Key": self.keys[user]}, timeout=60)


def turn(text: str = "hello", **more: Any) -> Json:
    return {"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": text}]}} | more


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("home")
    made = {user: keys.add(home / "keys.jsonl", user)[0] for user in ("mallory", "ann", "sue", "tom")}
    settings = {
        "PERSONAAGENT_AUTH": "api_key",
        "PERSONAAGENT_API_KEYS_FILE": str(home / "keys.jsonl"),
        "PERSONAAGENT_PENDING_RUNS": str(PENDING),
        "PERSONAAGENT_CRONS_PER_USER": str(CRONS),
        "PERSONAAGENT_MAX_REQUEST_BYTES": str(MAX_BYTES),
    }
    with endpoint() as (base_url, asked), langgraph_dev(home, base_url, jobs=4, **settings) as url:
        yield Server(url, made, asked)


@pytest.mark.parametrize("graph", ["agent", "feedback", "alignment"])
@pytest.mark.parametrize(
    "context",
    [{"align_epochs": 100_000}, {"align_judge": 10**9}, {"instructions": "x" * 20_000}, {"choices": ["x"] * 2_000}],
    ids=lambda told: next(iter(told)),
)
async def test_a_run_that_asks_for_too_much_is_refused_at_the_door(server: Server, graph: str, context: Json) -> None:
    async with server.client("mallory") as client:
        for told in ({"context": context}, {"config": {"configurable": context}}):
            answer = await client.post("/runs/wait", json=turn() | {"assistant_id": graph} | told)
            assert answer.status_code == 422, answer.text
            assert "InvalidContext" in answer.text
        cron = {"schedule": "0 0 1 1 *", "context": context}
        assert (await client.post("/runs/crons", json=turn() | cron)).status_code == 422
        for told in (
            {"config": {"recursion_limit": 100_000}},
            {"config": {"recursion_limit": 1e6}},
            {"context": {"nonsense": "x" * 150_000}},
            {"config": {"configurable": {"nonsense": "x" * 150_000}}},
            {"metadata": {"nonsense": "x" * 150_000}},
        ):
            assert (await client.post("/runs/wait", json=turn(**told))).status_code == 422, told.keys()
            cron = {"schedule": "0 0 1 1 *"} | told
            assert (await client.post("/runs/crons", json=turn() | cron)).status_code == 422, told.keys()


async def test_an_alignment_taken_up_in_the_middle_of_a_copied_thread_is_one_at_a_time_too(server: Server) -> None:
    async with server.client("sue") as client:
        run = {"assistant_id": "alignment", "input": {}, "interrupt_after": ["sample_turns"]}
        first = (await client.post("/threads", json={})).json()["thread_id"]
        await client.post(f"/threads/{first}/runs/wait", json=run)
        other = (await client.post(f"/threads/{first}/copy")).json()["thread_id"]
        assert (await client.get(f"/threads/{other}/state")).json()["next"] == ["refresh_profile"]
        on = {"assistant_id": "alignment", "input": None}
        refused = await client.post(f"/threads/{other}/runs/wait", json=on)
        assert refused.json()["__error__"]["error"] == "AlignmentRunning"
        assert "__error__" not in (await client.post(f"/threads/{first}/runs/wait", json=on)).json()
        assert "__error__" not in (await client.post(f"/threads/{other}/runs/wait", json=on)).json()


async def test_a_batch_is_made_whole_or_not_at_all(server: Server) -> None:
    async with server.client("sue") as client:
        before = len(server.asked)
        refused = await client.post("/runs/batch", json=[turn()] * (PENDING + 1))
        assert refused.status_code == 413
        assert refused.json()["error"]["name"] == "RequestTooLarge"
        assert len(server.asked) == before
        assert len((await client.post("/runs/batch", json=[turn()] * 3)).json()) == 3
        assert (await client.post("/runs/batch", content=b"[[[")).is_error


async def test_runs_over_what_may_wait_are_refused_and_the_other_user_is_answered(server: Server) -> None:
    async with server.client("mallory") as mallory, server.client("ann") as ann:
        greedy = await asyncio.gather(*(mallory.post("/runs", json=turn(f"slow {n}")) for n in range(60)))
        codes = [answer.status_code for answer in greedy]
        assert set(codes) == {200, 429}
        told = next(answer for answer in greedy if answer.status_code == 429)
        assert "TooManyRuns" in told.text and int(told.headers["retry-after"]) > 0
        answer = await ann.post("/runs/wait", json=turn("and me?"))
        assert answer.status_code == 200 and answer.json()["answer"]
        # what waited was carried out meanwhile, so the user is served again
        for _ in range(100):
            again = await mallory.post("/runs/wait", json=turn("sorry"))
            if again.status_code == 200:
                break
            await asyncio.sleep(0.2)
        assert again.status_code == 200


async def test_crons_over_what_a_user_may_have_are_refused_and_the_others_are_left_alone(server: Server) -> None:
    every_minute = turn("again") | {"schedule": "* * * * *"}
    async with server.client("mallory") as mallory, server.client("ann") as ann:
        theirs = (await ann.post("/runs/crons", json=every_minute)).json()["cron_id"]
        answers = await asyncio.gather(*(mallory.post("/runs/crons", json=every_minute) for _ in range(40)))
        made = [answer.json()["cron_id"] for answer in answers if answer.status_code == 200]
        assert len(made) == CRONS
        refused = [answer for answer in answers if answer.status_code != 200]
        assert {answer.status_code for answer in refused} == {409}
        assert "TooManyCrons" in refused[0].text and "delete one" in refused[0].text
        assert (await mallory.post("/runs/crons/count", json={})).json() == CRONS
        assert (await ann.post("/runs/crons/count", json={})).json() == 1
        await ann.delete(f"/runs/crons/{theirs}")
        await asyncio.sleep(MAKING_S)
        await mallory.delete(f"/runs/crons/{made.pop()}")
        last = await mallory.post("/runs/crons", json=every_minute)
        assert last.status_code == 200
        for cron in [*made, last.json()["cron_id"]]:
            await mallory.delete(f"/runs/crons/{cron}")


async def test_a_frame_longer_than_a_body_may_be_closes_the_socket(server: Server) -> None:
    async with server.client("tom") as client:
        thread = (await client.post("/threads", json={})).json()["thread_id"]
        address = f"{server.url.replace('http', 'ws')}/threads/{thread}/stream/events"
        params = turn("x" * (2 * MAX_BYTES))
        async with websockets.connect(address, additional_headers={"X-Api-Key": server.keys["tom"]}) as socket:
            await socket.send(json.dumps({"id": 1, "method": "run.start", "params": params}))
            with pytest.raises(websockets.exceptions.ConnectionClosed) as closed:
                while True:
                    await socket.recv()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009
        state = (await client.get(f"/threads/{thread}/state")).json()
        assert not (state.get("values") or {}).get("messages")
