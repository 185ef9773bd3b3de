"""MCP: the tools of any MCP server, per deployment and per user, through langchain-mcp-adapters.

Each call opens its own session and closes it, so a server that died or hangs costs one call and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from personaagent.tools.spec import ToolCall, ToolFault, ToolSpec

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

RETRY_AFTER_S = 60.0  # a server that could not list its tools is asked again after this long
MAX_DESCRIPTION_CHARS = 500
MAX_NAME_CHARS = 64  # of a function name at OpenAI-compatible endpoints
_log = logging.getLogger(__name__)


class McpServer(BaseModel):
    """How to reach a server: a command (stdio) or a URL (streamable HTTP).

    ``read_only`` is the deployment's own word on tools without side effects: True for all, or their names. Without
    it the server's ``readOnlyHint`` counts; a tool that says nothing has side effects. ``user_data`` says that the
    server reads this user's data.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    command: str | None = None
    args: tuple[str, ...] = ()
    env: Mapping[str, str] | None = None
    url: str | None = None
    headers: Mapping[str, str] | None = None
    timeout_s: float = Field(20.0, gt=0)
    read_only: bool | frozenset[str] | None = None
    user_data: bool = False

    @property
    def connection(self) -> dict[str, Any]:
        """The connection as the adapter takes it."""
        if self.command:
            env = dict(self.env) if self.env else None
            return {"transport": "stdio", "command": self.command, "args": list(self.args), "env": env}
        return {"transport": "streamable_http", "url": self.url, "headers": dict(self.headers or {})}


class McpTools:
    """A source of tools: servers of the deployment for everyone, servers of a user for that user alone."""

    def __init__(
        self, servers: Mapping[str, McpServer], users: Mapping[str, Mapping[str, McpServer]] | None = None
    ) -> None:
        self._servers, self._users = servers, users or {}
        self._listed: dict[tuple[str | None, str], list[ToolSpec]] = {}
        self._failed: dict[tuple[str | None, str], float] = {}

    async def specs(self, user_id: str) -> Sequence[ToolSpec]:
        """The tools ``<server>__<tool>`` of this user's servers; listed at first use, none while unreachable."""
        wanted: list[tuple[tuple[str | None, str], McpServer]] = [
            *(((None, name), server) for name, server in self._servers.items()),
            *(((user_id, name), server) for name, server in self._users.get(user_id, {}).items()),
        ]
        lists = await asyncio.gather(*(self._of(key, server) for key, server in wanted))
        return [spec for specs in lists for spec in specs]

    async def _of(self, key: tuple[str | None, str], server: McpServer) -> list[ToolSpec]:
        if key in self._listed:
            return self._listed[key]
        if time.monotonic() - self._failed.get(key, float("-inf")) < RETRY_AFTER_S:
            return []
        try:
            tools = await _list(key[1], server)
        except Exception as error:
            # foreign processes and networks fail in many types, often in exception groups; the turn goes on without
            _log.warning("MCP server %s does not list its tools: %r", key[1], error)
            self._failed[key] = time.monotonic()
            return []
        self._listed[key] = [_spec(key[1], server, tool) for tool in tools]
        return self._listed[key]


async def _list(name: str, server: McpServer) -> list[BaseTool]:
    from langchain_mcp_adapters.client import MultiServerMCPClient

    connection: Any = server.connection
    async with asyncio.timeout(server.timeout_s):
        return await MultiServerMCPClient({name: connection}).get_tools(server_name=name)


def _spec(server_name: str, server: McpServer, tool: BaseTool) -> ToolSpec:
    async def run(call: ToolCall) -> str:
        message = await tool.ainvoke(
            {"type": "tool_call", "id": "mcp", "name": tool.name, "args": dict(call.arguments)}
        )
        if getattr(message, "status", "success") == "error":
            raise ToolFault(message.text or "the server says only that it failed")
        return str(message.text) or "The tool answered without text."

    schema = tool.args_schema if isinstance(tool.args_schema, Mapping) else tool.get_input_jsonschema()
    name = re.sub(r"[^A-Za-z0-9_-]", "_", f"{server_name}__{tool.name}")[:MAX_NAME_CHARS]
    return ToolSpec(
        name=name,
        description=" ".join(tool.description.split())[:MAX_DESCRIPTION_CHARS] or tool.name,
        args=schema,
        run=run,
        scopes=frozenset({f"mcp:{server_name}"}),
        side_effects=not _reads_only(server, tool),
        reads_user_data=server.user_data,
        outward=True,
        timeout_s=server.timeout_s,
        cost=1.0,
    )


def _reads_only(server: McpServer, tool: BaseTool) -> bool:
    if server.read_only is None:
        return (tool.metadata or {}).get("readOnlyHint") is True
    return server.read_only if isinstance(server.read_only, bool) else tool.name in server.read_only
