"""The three graphs on a real ``langgraph dev`` process, over its SDK, as Studio and a client use them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_client

from personaagent.app.server.identity import STUDIO_USER
from personaagent.ownership import owner_of
from server_house import client_of, langgraph_dev
from stub_endpoint import endpoint

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("home")
    with (
        endpoint() as (base_url, _),
        langgraph_dev(
            home,
            base_url,
            PERSONAAGENT_ALIGN_DELAY_S="0.5",
            PERSONAAGENT_ALIGN_AFTER="2",
            LANGGRAPH_STRICT_MSGPACK="true",
        ) as url,
    ):
        yield url
    log = (home / "server.log").read_text()
    assert "Blocked deserialization" not in log and "Deserializing unregistered" not in log


async def test_three_graphs_load_with_schemas_that_studio_can_show(server: str) -> None:
    client = client_of(server, "ann")
    graphs = {a["graph_id"]: a["assistant_id"] for a in await client.assistants.search()}
    assert set(graphs) == {"agent", "feedback", "alignment"}
    for assistant in graphs.values():
        schemas = await client.assistants.get_schemas(assistant)
        assert schemas["context_schema"]["required"] == ["user_id"]
    drawn = await client.assistants.get_graph(graphs["feedback"], xray=True)
    names = {node["id"] for node in drawn["nodes"]}
    assert "alignment:simulate" in names
    agent = await client.assistants.get_graph(graphs["agent"])
    names = {n["id"] for n in agent["nodes"]}
    assert {"load_persona", "retrieve_memory", "reason", "act", "write_memory"} <= names


async def test_a_turn_streams_and_its_feedback_labels_the_interaction(server: str) -> None:
    client = client_of(server, "ann")
    thread = (await client.threads.create())["thread_id"]
    message = {"messages": [{"role": "user", "content": "Which film tonight?"}]}
    tokens, final = "", {}
    async for part in client.runs.stream(
        thread, "agent", input=message, context={"user_id": "ann"}, stream_mode=["messages-tuple", "values"]
    ):
        if part.event == "messages":
            tokens += part.data[0]["content"]
        if part.event == "values":
            final = part.data
    assert "Which film tonight?" in tokens
    assert final["answer"]
    fed = await client.runs.wait(
        None,
        "feedback",
        input={"interaction_id": final["interaction_id"], "ground_truth": "Solaris"},
        context={"user_id": "ann"},
    )
    assert fed["interaction"]["ground_truth"] == "Solaris"


async def test_another_users_interaction_cannot_be_labelled(server: str) -> None:
    owner, thief = client_of(server, "owner"), client_of(server, "thief")
    turn = await _wait(owner, None, {"messages": [{"role": "user", "content": "mine"}]}, {"user_id": "owner"})
    with pytest.raises(Exception, match="UnknownInteraction"):
        await thief.runs.wait(
            None,
            "feedback",
            input={"interaction_id": turn["interaction_id"], "ground_truth": "stolen"},
            context={"user_id": "thief"},
        )


async def test_studio_acts_as_a_user_of_its_own_and_never_as_another(server: str) -> None:
    studio = get_client(url=server, api_key=None, headers={"X-Auth-Scheme": "langsmith", "X-User-Id": "ann"})
    thread = await studio.threads.create()
    assert thread["metadata"]["owner"] == owner_of(STUDIO_USER)
    turn = await _wait(studio, thread["thread_id"], {"messages": [{"role": "user", "content": "mine"}]}, {})
    assert turn["answer"]
    with pytest.raises(Exception, match="403"):
        await _wait(studio, None, {"messages": [{"role": "user", "content": "mine"}]}, {"user_id": "ann"})
    with pytest.raises(Exception, match="not found"):
        await client_of(server, "ann").threads.get(thread["thread_id"])


async def test_a_web_page_of_another_site_reaches_nothing_in_development(server: str) -> None:
    async with httpx.AsyncClient(base_url=server) as client:
        for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}, {"X-Forwarded-For": "10.0.0.7"}):
            answer = await client.post("/threads/search", json={}, headers=headers)
            assert answer.status_code == 401
            assert "access-control-allow-origin" not in answer.headers


async def test_replaying_a_finished_turn_writes_no_second_interaction(server: str) -> None:
    client = client_of(server, "replayer")
    thread = (await client.threads.create())["thread_id"]
    message = {"messages": [{"role": "user", "content": "once only"}]}
    turn = await _wait(client, thread, message, {"user_id": "replayer"})
    history = await client.threads.get_history(thread)
    before_reason = next(state for state in history if state["next"] == ["reason"])
    again = await client.runs.wait(
        thread, "agent", input=None, checkpoint=before_reason["checkpoint"], context={"user_id": "replayer"}
    )
    assert again["interaction_id"] == turn["interaction_id"]


async def test_enough_labels_bring_an_alignment_in_the_background(server: str) -> None:
    client = client_of(server, "steady")
    context = {"user_id": "steady", "choices": ["jazz", "rock"], "task": "music"}
    for n in range(4):
        turn = await _wait(client, None, {"messages": [{"role": "user", "content": f"song {n}"}]}, context)
        await client.runs.wait(
            None,
            "feedback",
            input={"interaction_id": turn["interaction_id"], "ground_truth": "rock", "source": "choice"},
            context=context,
        )
    outcome = ""
    for _ in range(120):
        done = [t for t in await client.threads.search(metadata={"graph_id": "alignment"}) if t["values"]]
        outcome = done[0]["values"].get("outcome", "") if done else ""
        if outcome:
            break
        await asyncio.sleep(0.25)
    assert outcome


async def _wait(client: Any, thread: str | None, message: dict[str, Any], context: dict[str, Any]) -> dict[str, Any]:
    result = await client.runs.wait(thread, "agent", input=message, context=context)
    assert isinstance(result, dict)
    if "__error__" in result:
        raise RuntimeError(str(result["__error__"]))
    return result
