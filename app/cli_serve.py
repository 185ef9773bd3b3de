"""``serve``: the page and the JSON routes of a plain process, with the background work beside them."""

from __future__ import annotations

import asyncio
import ipaddress
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socket import socket
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli_run import Home, settings_of, stderr, with_services
from personaagent.errors import SetupError
from personaagent.inputs import check_user_id

if TYPE_CHECKING:
    from app.worker import Done
    from graph.services import Services
    from personaagent.settings import Settings

SHUTDOWN_S = 10  # that requests under way may take to end


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("serve")(serve)


def serve(
    user: Annotated[
        str | None,
        typer.Option("--user", "-u", envvar="PERSONAAGENT_USER", help="Whose name the sign-in form proposes."),
    ] = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="Port; 0 takes a free one.")] = 8123,
    home: Home = None,
) -> None:
    """Serve the page where users see and steer what the agent knows of them, until stopped."""
    proposed = check_user_id(user) if user else ""
    settings = settings_of(home)
    check_address(settings, host)
    with suppress(KeyboardInterrupt):
        asyncio.run(with_services(lambda services: _serve(services, host, port, proposed), home))


def check_address(settings: Settings, host: str) -> None:
    """Raise SetupError where everybody on the network could sign in as anybody."""
    if settings.auth == "dev" and not _loopback(host):
        raise SetupError(
            f"--host {host} would let other machines in while PERSONAAGENT_AUTH=dev, where nobody proves who they "
            "are: set PERSONAAGENT_AUTH=api_key or jwt, or leave --host out"
        )


async def _serve(services: Services, host: str, port: int, proposed: str) -> None:
    """Serve until SIGTERM or SIGINT; then what is under way ends, and the background work is given back."""
    import uvicorn

    from app.server.http import build_app
    from app.worker import Worker

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
            for one in self.servers:
                for listening in one.sockets:
                    at, bound = listening.getsockname()[:2]
                    stderr().print(f"http://{f'[{at}]' if ':' in at else at}:{bound}/me")
            if services.settings.auth == "dev":
                stderr().print("development mode: whoever uses this machine can sign in as anybody", style="yellow")

    def told(done: Done) -> None:
        stderr().print(f"alignment: {done.error or done.outcome}")

    app = build_app(lambda: services, services.settings, proposed=proposed)
    config = uvicorn.Config(
        app, host=host, port=port, log_level="warning", server_header=False, timeout_graceful_shutdown=SHUTDOWN_S,
        proxy_headers=services.settings.auth != "dev",  # from a proxy on this machine
    )  # fmt: skip
    work = asyncio.create_task(Worker(services).forever(told))
    try:
        await Server(config).serve()
    finally:
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
