"""``serve`` and ``mcp``: chat, page and HTTP API of one process or several; MCP on standard input and output."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import os
import secrets
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socket import AF_INET, AF_INET6, SO_REUSEADDR, SOL_SOCKET, socket
from typing import TYPE_CHECKING, Annotated, Any

import typer

from personaagent.app.cli_run import Home, User, settings_of, stderr, with_services
from personaagent.errors import SetupError
from personaagent.extras import needs
from personaagent.inputs import check_user_id

if TYPE_CHECKING:
    import uvicorn

    from personaagent.graph.services import Services
    from personaagent.settings import Settings


SHUTDOWN_S = 10  # that requests under way may take to end


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("serve")(serve)
    app.command("mcp")(serve_mcp)


def serve(
    user: Annotated[
        str | None,
        typer.Option("--user", "-u", envvar="PERSONAAGENT_USER", help="Whose name the sign-in form proposes."),
    ] = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="Port; 0 takes a free one.")] = 8123,
    workers: Annotated[int, typer.Option("--workers", min=1, max=64, help="Processes behind the port.")] = 1,
    home: Home = None,
) -> None:
    """Serve the chat, the page and the HTTP API (with turns, also in OpenAI's form), until stopped."""
    proposed = check_user_id(user) if user else ""
    settings = settings_of(home)
    check_address(settings, host)
    listening = _listen(host, port)
    if workers > 1:
        _serve_by_workers(settings, listening, workers)
        return
    with suppress(KeyboardInterrupt):
        asyncio.run(with_services(lambda services: _serve(services, listening, proposed), home))


def check_address(settings: Settings, host: str) -> None:
    """Raise SetupError where everybody on the network could sign in as anybody."""
    if settings.auth == "dev" and not _loopback(host):
        raise SetupError(
            f"--host {host} would let other machines in while PERSONAAGENT_AUTH=dev, where nobody proves who they "
            "are: set PERSONAAGENT_AUTH=api_key or jwt, or leave --host out"
        )


def _listen(host: str, port: int) -> socket:
    """The socket of that address; raises SetupError where it cannot be had."""
    listening = socket(AF_INET6 if ":" in host else AF_INET)
    listening.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise SetupError(f"{host}:{port} cannot be listened on ({error.strerror}): choose another --port") from error
    listening.set_inheritable(True)
    return listening


async def _serve(services: Services, listening: socket, proposed: str) -> None:
    """Serve until SIGTERM or SIGINT; then what is under way ends, and the background work is given back."""
    with needs("server", "`personaagent serve`"):
        import uvicorn

        from personaagent.app.server.http import build_app

    class Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            """Stop in order; uvicorn's own would end the process by the signal before the work is given back."""
            loop = asyncio.get_running_loop()
            for one in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(one, self.handle_exit, one, None)
            try:
                yield
            finally:
                for one in (signal.SIGTERM, signal.SIGINT):
                    loop.remove_signal_handler(one)

        async def startup(self, sockets: list[socket] | None = None) -> None:
            await super().startup(sockets)
            _say_where(listening, services.settings)

    app = build_app(lambda: services, services.settings, proposed=proposed, alone=True)
    await Server(_config(app, services.settings)).serve(sockets=[listening])


def _serve_by_workers(settings: Settings, listening: socket, workers: int) -> None:
    """Serve by several processes behind one port until SIGTERM or SIGINT; one that dies is started again."""
    from uvicorn.supervisors import Multiprocess

    if settings.qdrant_url is None:
        raise SetupError(
            "--workers needs QDRANT_URL: processes take turns with the embedded index, and would wait for each other"
        )
    os.environ["PERSONAAGENT_HOME"] = str(settings.home)
    os.environ.setdefault("PERSONAAGENT_LIMITS_FOLDER", str(settings.home / "limits"))
    config = _config("personaagent.app.server.http:alone", settings)
    config.workers = workers
    _say_where(listening, settings, f" by {workers} workers")
    Multiprocess(config, sockets=[listening]).run()


def _say_where(listening: socket, settings: Settings, how: str = "") -> None:
    at, port = listening.getsockname()[:2]
    stderr().print(f"http://{f'[{at}]' if ':' in at else at}:{port}/me{how}")
    if settings.auth == "dev":
        stderr().print("development mode: whoever uses this machine can sign in as anybody", style="yellow")


def _config(app: Any, settings: Settings) -> uvicorn.Config:
    import uvicorn

    return uvicorn.Config(
        app, log_level="warning", server_header=False, timeout_graceful_shutdown=SHUTDOWN_S,
        proxy_headers=settings.auth != "dev",  # from a proxy on this machine
        factory=isinstance(app, str),
    )  # fmt: skip


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def serve_mcp(user: User, home: Home = None) -> None:
    """Serve this user's persona and memory over MCP on stdin and stdout, until the client closes them."""
    try:
        asyncio.run(_serve_mcp(user, home))
    finally:
        sys.stdout = sys.stderr  # the protocol closed it, and what ends every command flushes it


async def _serve_mcp(user: str, home: Home) -> None:
    with needs("mcp", "`personaagent mcp`"):
        from personaagent.app.mcp_server import build_server
    from personaagent.library.agent import PersonaAgent

    secret = secrets.token_bytes(32)

    async def code(user_id: str, key: str) -> str:
        return hmac.digest(secret, f"{user_id} {key}".encode(), "sha256").hex()[:8]

    async with PersonaAgent(settings=settings_of(home), background=True) as agent:
        await build_server(agent, lambda _: user, code).run_stdio_async()
