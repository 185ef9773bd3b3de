"""``mcp``: our MCP server on standard input and output, for a client that starts it, such as Claude Desktop."""

from __future__ import annotations

import asyncio
import hmac
import secrets
import sys

import typer

from personaagent.app.cli_run import Home, User, settings_of
from personaagent.extras import needs


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("mcp")(serve_mcp)


def serve_mcp(user: User, home: Home = None) -> None:
    """Serve this user's persona and memory over MCP on stdin and stdout, until the client closes them."""
    try:
        asyncio.run(_serve(user, home))
    finally:
        sys.stdout = sys.stderr  # the protocol closed it, and what ends every command flushes it


async def _serve(user: str, home: Home) -> None:
    with needs("mcp", "`personaagent mcp`"):
        from personaagent.app.mcp_server import build_server
    from personaagent.library.agent import PersonaAgent

    secret = secrets.token_bytes(32)

    async def code(user_id: str, key: str) -> str:
        return hmac.digest(secret, f"{user_id} {key}".encode(), "sha256").hex()[:8]

    async with PersonaAgent(settings=settings_of(home), background=True) as agent:
        await build_server(agent, lambda _: user, code).run_stdio_async()
