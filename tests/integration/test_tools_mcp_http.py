"""MCP over streamable HTTP against a real server process: through the registry, per user, slow, down, and back."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from personaagent.ledger.users import Granted
from personaagent.tools import mcp as mcp_module
from personaagent.tools.house import read_config
from personaagent.tools.mcp import McpTools
from personaagent.tools.registry import ActionSpaces

SERVER = """
import asyncio, os, sys
from mcp.server.fastmcp import Context, FastMCP
from mcp.types import ToolAnnotations
served = FastMCP("library", host="127.0.0.1", port=int(sys.argv[1]), log_level="ERROR")
READS = ToolAnnotations(readOnlyHint=True)

@served.tool(annotations=READS)
def shelf(author: str) -> str:
    "Where an author's books stand."
    return f"{author} stands on shelf {len(author)} of process {os.getpid()}"

@served.tool(annotations=READS)
def card(context: Context) -> str:
    "The reader's card."
    return str(context.request_context.request.headers.get("x-card"))

@served.tool(annotations=READS)
async def slow() -> str:
    "Takes long."
    await asyncio.sleep(30)
    return "too late"

@served.tool(annotations=READS)
def broken() -> str:
    "Never works."
    raise ValueError("the catalogue is lost")

@served.tool()
def lend(title: str) -> str:
    "Lend a book."
    return f"lent {title}"

served.run("streamable-http")
"""


class Everything:
    async def of(self, user_id: str, *, recent: bool = False) -> Granted:
        return Granted()


@pytest.fixture(scope="module")
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def serving(port: int) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", SERVER, str(port)])
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, "the MCP server ended at once"
            time.sleep(0.1)
        else:
            pytest.fail("the MCP server does not listen")
        yield process
    finally:
        process.kill()
        process.wait(10)


@pytest.fixture(scope="module")
def server(port: int) -> Iterator[int]:
    with serving(port):
        yield port


def actions_of(folder: Path, port: int, *, timeout_s: float = 10) -> ActionSpaces:
    """The registry as a deployment configures it: a server for all, and one for ann alone."""
    url = f"http://127.0.0.1:{port}/mcp"
    file = folder / "tools.json"
    document = {
        "servers": {"library": {"url": url, "timeout_s": timeout_s}},
        "user_servers": {"ann": {"own": {"url": url, "headers": {"X-Card": "ann-7"}, "timeout_s": timeout_s}}},
    }
    file.write_text(json.dumps(document))
    config = read_config(file)
    return ActionSpaces([], Everything(), sources=[McpTools(config.servers, config.user_servers)])


async def called(actions: ActionSpaces, user: str, name: str, **args: str) -> tuple[str, str]:
    space = await actions.of(user)
    text, trace = await actions.execute(space, user, {"name": name, "args": args, "id": "1"})
    return trace.outcome, text


async def test_a_call_goes_through_the_registry_and_comes_back_quoted(server: int, tmp_path: Path) -> None:
    actions = actions_of(tmp_path, server)
    outcome, text = await called(actions, "bob", "library__shelf", author="Lem")
    assert outcome == "ok"
    assert text.startswith("<data") and "Lem stands on shelf 3" in text


async def test_a_users_server_is_that_users_alone_and_carries_their_header(server: int, tmp_path: Path) -> None:
    actions = actions_of(tmp_path, server)
    assert {name.partition("__")[0] for name in (await actions.of("bob")).names} == {"library"}
    assert {name.partition("__")[0] for name in (await actions.of("ann")).names} == {"library", "own"}
    outcome, text = await called(actions, "ann", "own__card")
    assert (outcome, "ann-7" in text) == ("ok", True)
    outcome, text = await called(actions, "bob", "own__card")
    assert outcome == "refused" and "ann-7" not in text
    outcome, text = await called(actions, "bob", "library__card")
    assert (outcome, "ann-7" in text) == ("ok", False)


async def test_a_servers_own_error_reaches_the_model_and_a_write_needs_approval(server: int, tmp_path: Path) -> None:
    actions = actions_of(tmp_path, server)
    outcome, text = await called(actions, "bob", "library__broken")
    assert outcome == "error" and "the catalogue is lost" in text
    outcome, text = await called(actions, "bob", "library__lend", title="Solaris")
    assert outcome == "refused" and "approval" in text


async def test_a_slow_tool_ends_at_its_time_limit(server: int, tmp_path: Path) -> None:
    actions = actions_of(tmp_path, server, timeout_s=1.5)
    outcome, text = await called(actions, "bob", "library__slow")
    assert outcome == "timeout" and "1.5 s" in text
    assert (await called(actions, "bob", "library__shelf", author="Lem"))[0] == "ok"


async def test_a_server_that_goes_down_is_an_error_text_and_works_again_when_it_is_back(
    port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    with serving(port) as first:
        actions = actions_of(tmp_path, port)
        outcome, text = await called(actions, "bob", "library__shelf", author="Lem")
        assert outcome == "ok" and f"process {first.pid}" in text
    outcome, text = await called(actions, "bob", "library__shelf", author="Lem")
    assert outcome == "error" and "library__shelf failed" in text

    late = actions_of(tmp_path, port)  # a deployment that starts while the server is down
    assert (await late.of("bob")).names == ()
    with serving(port) as second:
        outcome, text = await called(actions, "bob", "library__shelf", author="Lem")
        assert outcome == "ok" and f"process {second.pid}" in text
        assert (await late.of("bob")).names == ()  # it is not asked at every turn
        monkeypatch.setattr(mcp_module, "RETRY_AFTER_S", 0.0)
        assert "library__shelf" in (await late.of("bob")).names
