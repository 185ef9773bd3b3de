"""Our MCP server by the reference client: over stdio and over HTTP, two users at once, and nobody is another."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp import ClientSession, McpError, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, ElicitResult, TextContent, TextResourceContents
from pydantic import AnyUrl

from page_house import ANN, BOB, fill, key_of, serving
from personaagent import PersonaAgent
from server_house import langgraph_dev
from stub_endpoint import endpoint

TOOLS = {"recall", "remember", "feedback", "forget", "align"}
ROOT = str(Path(__file__).resolve().parents[2])
CODE = re.compile(r"confirm='(\w+)'")


@asynccontextmanager
async def over_stdio(home: Path, user: str, agrees: bool | None = None) -> AsyncIterator[ClientSession]:
    """A client that starts the command; ``agrees``: its user can be asked, and answers this."""
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "personaagent", "mcp", "--user", user, "--home", str(home)],
        env=os.environ | {"PYTHONPATH": ROOT, "OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "OPENAI_API_KEY": "none"},
        cwd=home.parent,
    )

    async def asked(_: Any, params: Any) -> ElicitResult:
        assert "for good" in params.message
        return ElicitResult(action="accept", content={"forget": agrees})

    heard = None if agrees is None else asked
    async with stdio_client(server) as (read, write), ClientSession(read, write, elicitation_callback=heard) as session:
        await session.initialize()
        yield session


@asynccontextmanager
async def over_http(url: str, **headers: str) -> AsyncIterator[ClientSession]:
    async with (
        httpx.AsyncClient(headers=headers, timeout=60) as http,
        streamable_http_client(f"{url}/mcp", http_client=http) as (read, write, _),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        yield session


async def call(session: ClientSession, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await session.call_tool(tool, arguments)
    assert not result.isError, result.content
    return dict(result.structuredContent or {})


async def refused(session: ClientSession, tool: str, **arguments: Any) -> str:
    result: CallToolResult = await session.call_tool(tool, arguments)
    assert result.isError
    (said,) = result.content
    assert isinstance(said, TextContent)
    return said.text


async def persona(session: ClientSession) -> str:
    (read,) = (await session.read_resource(AnyUrl("persona://me"))).contents
    assert isinstance(read, TextResourceContents)
    (message,) = (await session.get_prompt("persona")).messages
    assert isinstance(message.content, TextContent) and message.content.text == read.text
    return read.text


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    home: Path = tmp_path_factory.mktemp("mcp") / "home"
    asyncio.run(fill(home, align=False))
    keys = {user: key_of(home, user) for user in (ANN, BOB, "new", "off")}
    with serving(home, auth="api_key", requests_per_minute=0, feedback_per_minute=0) as url:
        yield url, keys


async def used(session: ClientSession, gone_is: str) -> None:
    """Everything once, as a client would; ``gone_is``: how what is not there any more is told."""
    assert {tool.name for tool in (await session.list_tools()).tools} == TOOLS
    fact = await call(session, "remember", text="Allergic to nuts.")
    found = await call(session, "recall", query="What am I allergic to?")
    assert [one["text"] for one in found["facts"]][:1] == ["Allergic to nuts."]
    said = {"question": "What shall I cook?", "answer": "Beef stew.", "ground_truth": "Lentil soup."}
    heard = await call(session, "feedback", **said)
    assert heard["understood"] == ["It should have been: Lentil soup."]
    assert (await call(session, "feedback", **said))["memory_id"] == heard["memory_id"]
    (memory,) = (await call(session, "recall", query="cook", limit=1))["memories"]
    assert (memory["id"], memory["answer"], memory["wanted"]) == (heard["memory_id"], "Beef stew.", "Lentil soup.")
    assert (await call(session, "feedback", memory_id=memory["id"], thumb="down", comment="Too heavy."))["understood"]
    assert "Allergic to nuts." in await persona(session)
    for gone in (fact["id"], memory["id"]):
        asked = await call(session, "forget", id=gone)
        assert not asked["forgotten"]
        code = CODE.findall(asked["said"])[0]
        assert not (await call(session, "forget", id=gone, confirm=f"{code}x"))["forgotten"]
        assert (await call(session, "forget", id=gone, confirm=code))["forgotten"]
        assert await refused(session, "forget", id=gone, confirm=code) == f"UnknownInteraction: {gone_is}"
    assert "Allergic" not in await persona(session)
    assert (await call(session, "align"))["version"] is None


async def test_over_stdio_everything_is_for_the_user_of_the_command(tmp_path: Path) -> None:
    async with over_stdio(tmp_path / "home", "ann") as session:
        await used(session, "this memory is not here")
    async with over_stdio(tmp_path / "home", "bob") as session:
        assert await call(session, "recall", query="cook") == {"facts": [], "memories": []}


async def test_over_stdio_two_users_at_once_share_a_data_folder_and_nothing_else(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with over_stdio(home, "ann") as ann, over_stdio(home, "bob") as bob:
        for session, town in ((ann, "Delft"), (bob, "Leiden")):
            said = {"question": "Where do I live?", "answer": "In Utrecht.", "ground_truth": f"In {town}."}
            await call(session, "feedback", **said)
        for session, town in ((ann, "Delft"), (bob, "Leiden")):
            found = await call(session, "recall", query="Where do I live?")
            assert [memory["wanted"] for memory in found["memories"]] == [f"In {town}."]


async def test_over_stdio_a_client_that_can_ask_asks_its_user_before_forgetting(tmp_path: Path) -> None:
    async with over_stdio(tmp_path / "home", "ann", agrees=False) as session:
        fact = await call(session, "remember", text="Allergic to nuts.")
        assert "did not agree" in (await call(session, "forget", id=fact["id"]))["said"]
        assert (await call(session, "recall", query="nuts"))["facts"] == [fact]
    async with over_stdio(tmp_path / "home", "ann", agrees=True) as session:
        assert (await call(session, "forget", id=fact["id"]))["forgotten"]


async def test_over_http_everything_is_for_the_user_of_the_key(place: tuple[str, dict[str, str]]) -> None:
    url, keys = place
    async with over_http(url, **{"X-API-Key": keys["new"]}) as session:
        await used(session, "It may have been forgotten.")


async def test_two_users_at_once_each_have_their_own(place: tuple[str, dict[str, str]]) -> None:
    url, keys = place

    async def visit(user: str) -> None:
        async with over_http(url, Authorization=f"Bearer {keys[user]}") as session:
            for n in range(8):
                await call(session, "remember", text=f"Number {n} of {user}.")
                facts = (await call(session, "recall", query="number", limit=20))["facts"]
                mine = [fact["text"] for fact in facts if fact["text"].startswith("Number")]
                assert len(mine) == n + 1 and all(text.endswith(f"of {user}.") for text in mine)

    await asyncio.gather(visit(ANN), visit(BOB))


async def bobs(place: tuple[str, dict[str, str]]) -> tuple[dict[str, Any], str]:
    """A fact and a memory of the other user's."""
    url, keys = place
    async with over_http(url, **{"X-API-Key": keys[BOB]}) as session:
        fact = await call(session, "remember", text="Secretly grows orchids in Delft.")
        said = {"question": "Where do my orchids grow?", "answer": "In Leiden.", "ground_truth": "In Delft."}
        return fact, (await call(session, "feedback", **said))["memory_id"]


async def known_of_bob(place: tuple[str, dict[str, str]]) -> dict[str, Any]:
    url, keys = place
    async with httpx.AsyncClient(headers={"X-API-Key": keys[BOB]}) as http:
        exported = (await http.get(f"{url}/api/v1/me/export")).json()
    return {name: exported[name] for name in ("interactions", "facts", "personas", "pins")}


@pytest.mark.parametrize("tool", sorted(TOOLS))
async def test_with_one_users_key_no_call_reaches_another(place: tuple[str, dict[str, str]], tool: str) -> None:
    url, keys = place
    fact, memory_id = await bobs(place)
    before = await known_of_bob(place)
    calls: dict[str, list[dict[str, Any]]] = {
        "recall": [{"query": "orchids"}],
        "remember": [{"text": "Pays double."}],
        "feedback": [{"memory_id": memory_id, "ground_truth": "planted"}],
        "forget": [{"id": memory_id, "confirm": "00000000"}, {"id": fact["id"], "confirm": "00000000"}],
        "align": [{}],
    }
    named = {"X-API-Key": keys[ANN], "X-User-Id": BOB, "X-User": BOB, "Mcp-Session-Id": BOB}
    async with over_http(url, **named) as session:
        for arguments in calls[tool]:
            for extra in ("user_id", "user", "identity"):
                said = await refused(session, tool, **arguments, **{extra: BOB})
                assert said.startswith(f"InputError: {tool} has no argument {extra!r}")
            result = await session.call_tool(tool, arguments, meta={"user_id": BOB})
            assert "Delft" not in str(result.content)
            if tool in {"feedback", "forget"}:
                assert result.isError and "UnknownInteraction" in str(result.content)
        assert "Delft" not in await persona(session)
    assert await known_of_bob(place) == before


async def test_a_code_of_one_user_approves_nothing_of_another(place: tuple[str, dict[str, str]]) -> None:
    url, keys = place
    async with over_http(url, **{"X-API-Key": keys[ANN]}) as ann, over_http(url, **{"X-API-Key": keys[BOB]}) as bob:
        said = {"question": "The same?", "answer": "Yes.", "thumb": "up"}
        first, second = await call(ann, "feedback", **said), await call(bob, "feedback", **said)
        assert first["memory_id"] != second["memory_id"]
        code = CODE.findall((await call(ann, "forget", id=first["memory_id"]))["said"])[0]
        assert not (await call(bob, "forget", id=second["memory_id"], confirm=code))["forgotten"]


async def test_without_a_key_or_with_a_wrong_one_nothing_answers(place: tuple[str, dict[str, str]]) -> None:
    url, _ = place
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    accepts = {"Accept": "application/json, text/event-stream"}
    async with httpx.AsyncClient(base_url=url, headers=accepts) as http:
        for headers in ({}, {"X-User-Id": BOB}, {"X-API-Key": "pa_x_y"}, {"Cookie": "personaagent_session=x"}):
            answer = await http.post("/mcp", json=asked, headers=headers)
            assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
            assert answer.json()["error"]["name"] == "NotSignedIn"
        assert (await http.get("/mcp")).status_code == 405


async def test_what_the_user_switched_off_or_denied_is_refused_by_name(place: tuple[str, dict[str, str]]) -> None:
    url, keys = place
    headers = {"X-API-Key": keys["off"]}
    async with over_http(url, **headers) as session, httpx.AsyncClient(base_url=url, headers=headers) as http:
        await call(session, "remember", text="Likes tea.")
        await http.put("/api/v1/me/personalization", json={"personalize": False})
        for tool, arguments in (("recall", {"query": "tea"}), ("remember", {"text": "x"}), ("align", {})):
            said = await refused(session, tool, **arguments)
            assert said.startswith("ToolDenied: You have switched personalization off")
        assert "Likes tea." not in await persona(session)


async def test_a_tool_that_the_user_revoked_is_refused_by_name(tmp_path: Path) -> None:
    async with PersonaAgent(tmp_path / "home") as agent:
        await agent.user("ann").revoke("remember")
    async with over_stdio(tmp_path / "home", "ann") as session:
        assert (await refused(session, "remember", text="Likes tea.")).startswith("ToolDenied: remember is not granted")
        assert (await call(session, "recall", query="tea"))["facts"] == []


async def test_bad_input_has_a_name_and_says_what_is_wrong(place: tuple[str, dict[str, str]]) -> None:
    url, keys = place
    async with over_http(url, **{"X-API-Key": keys[ANN]}) as session:
        assert (await refused(session, "recall", query=" ")).startswith("EmptyQuery: ")
        assert "limit: Input should be less than or equal to 20" in await refused(
            session, "recall", query="x", limit=99
        )
        assert (await refused(session, "remember", text="x" * 301)).startswith("InvalidFact: ")
        assert "memory_id, or question and answer" in await refused(session, "feedback", thumb="up")
        assert (await refused(session, "feedback", question="q", answer="a")).startswith("InvalidLabel: ")
        assert "Unknown tool" in await refused(session, "drop_everything")
        with pytest.raises(McpError, match="Unknown resource"):
            await session.read_resource(AnyUrl("persona://bob"))


async def test_feedback_over_the_limit_says_when_to_come_again(tmp_path: Path) -> None:
    key = key_of(tmp_path / "home", ANN)
    with serving(tmp_path / "home", auth="api_key", feedback_per_minute=1) as url:
        async with over_http(url, **{"X-API-Key": key}) as session:
            await call(session, "feedback", question="q", answer="a", thumb="up")
            assert (await refused(session, "feedback", question="q", answer="a", thumb="up")).startswith("TooMuch")


@pytest.mark.server
async def test_langgraph_server_serves_it_too(tmp_path: Path) -> None:
    with endpoint() as (model, _), langgraph_dev(tmp_path, model) as url:
        async with over_http(url, **{"X-User-Id": "ann"}) as ann, over_http(url, **{"X-User-Id": "bob"}) as bob:
            await call(ann, "remember", text="Keeps bees.")
            assert [fact["text"] for fact in (await call(ann, "recall", query="bees"))["facts"]] == ["Keeps bees."]
            assert (await call(bob, "recall", query="bees"))["facts"] == []
