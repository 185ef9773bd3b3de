"""MCP over stdio against the reference server mcp-server-time, and against a server that is not there."""

from __future__ import annotations

import sys
from pathlib import Path

from personaagent.ledger.users import Granted
from personaagent.tools.mcp import McpServer, McpTools
from personaagent.tools.registry import ActionSpaces

TIME = {"command": sys.executable, "args": ("-m", "mcp_server_time", "--local-timezone", "UTC")}


class Everything:
    async def of(self, user_id: str, *, recent: bool = False) -> Granted:
        return Granted()


async def test_a_reference_server_answers_its_user_and_nobody_else() -> None:
    source = McpTools({}, {"ann": {"time": McpServer.model_validate({**TIME, "read_only": True})}})
    actions = ActionSpaces([], Everything(), sources=[source])
    space = await actions.of("ann")
    assert set(space.names) == {"time__get_current_time", "time__convert_time"}
    assert (await actions.of("bob")).names == ()
    args = {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"}
    text, trace = await actions.execute(space, "ann", {"name": "time__convert_time", "args": args, "id": "1"})
    assert trace.outcome == "ok"
    assert "T21:00:00+09:00" in text and text.startswith("<data")
    wrong = {**args, "time": "noon"}
    text, trace = await actions.execute(space, "ann", {"name": "time__convert_time", "args": wrong, "id": "2"})
    assert trace.outcome == "error" and "HH:MM" in text
    text, trace = await actions.execute(space, "ann", {"name": "time__convert_time", "args": {}, "id": "3"})
    assert trace.outcome == "error" and "source_timezone" in text


async def test_a_tool_that_does_not_say_it_only_reads_needs_approval() -> None:
    source = McpTools({"time": McpServer.model_validate({**TIME, "read_only": ["get_current_time"]})})
    effects = {spec.name: spec.side_effects for spec in await source.specs("ann")}
    assert effects == {"time__get_current_time": False, "time__convert_time": True}


async def test_a_server_that_is_not_there_offers_nothing_and_one_that_died_is_an_error_text(tmp_path: Path) -> None:
    gone = McpTools({"gone": McpServer(command=str(tmp_path / "none"), timeout_s=5)})
    assert await gone.specs("ann") == []

    server = tmp_path / "server"
    server.write_text(f"#!/bin/sh\nexec {sys.executable} -m mcp_server_time\n")
    server.chmod(0o700)
    source = McpTools({"time": McpServer(command=str(server), read_only=True)})
    actions = ActionSpaces([], Everything(), sources=[source])
    space = await actions.of("ann")
    server.unlink()
    call = {"name": "time__get_current_time", "args": {"timezone": "UTC"}, "id": "1"}
    text, trace = await actions.execute(space, "ann", call)
    assert trace.outcome == "error"
    assert "time__get_current_time failed" in text
