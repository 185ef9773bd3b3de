"""``demo``, ``doctor`` and ``worker``: see it work, see what it runs on, and carry out what waits."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections import deque
from typing import TYPE_CHECKING, Annotated, Any

import typer

from personaagent.app.cli_run import Home, Json, put, run, settings_of, stderr

if TYPE_CHECKING:
    from personaagent.app.doctor import Check
    from personaagent.graph.services import Services
    from personaagent.library.worker import Done

TOLD = 1_000  # the newest results that a worker tells at its end
_log = logging.getLogger(__name__)
MARKS = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "red")}


def register_demo(app: typer.Typer) -> None:
    """Add ``demo``, which comes first in the help."""
    app.command("demo")(demo)


def register(app: typer.Typer) -> None:
    """Add the other commands."""
    app.command("doctor")(doctor)
    app.command("worker")(worker)


def demo(
    author: Annotated[str | None, typer.Option("--author", help="An author of the news sample.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=2, max=50, help="Articles answered before, and after.")] = 6,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the temporary data folder.")] = False,
    json_: Json = False,
    home: Home = None,
) -> None:
    """Watch the whole loop on real data: history, persona, answers, labels, alignment, answers again."""
    from personaagent.app.demo import play

    play(author=author, limit=limit, keep=keep, home=home, json_=json_)


def doctor(
    endpoint_: Annotated[
        bool, typer.Option("--endpoint", help="Try what the models can do, keep it, and show it; ten seconds at most.")
    ] = False,
    json_: Json = False,
    home: Home = None,
) -> None:
    """Say what is in use, whether it answers, and what to do where it does not."""
    from personaagent.app.doctor import check, endpoint

    checks = asyncio.run(endpoint(settings_of(home)) if endpoint_ else check(settings_of(home)))

    def view(found: list[Check]) -> Any:
        from rich.text import Text

        from personaagent.app.render import rows_table

        rows = [(Text(*MARKS[c.status]), c.name, c.detail, c.mend) for c in found]
        return rows_table(("", "check", "what was found", "what to do"), rows)

    put(checks, json_=json_, show=view)
    failed = [c.name for c in checks if c.status == "fail"]
    if failed:
        stderr().print(f"personaagent: {len(failed)} checks failed: {', '.join(failed)}")
        raise typer.Exit(1)


def worker(
    once: Annotated[bool, typer.Option("--once", help="Carry out what is due now, then stop.")] = False,
    json_: Json = False,
    home: Home = None,
) -> None:
    """Carry out background alignments as they fall due, until stopped. What is cut short runs again later."""

    async def work(services: Services) -> dict[str, list[Done]]:
        from personaagent.library.worker import Worker
        from personaagent.telemetry import bound, hashed_user, set_up_logs

        carrier = Worker(services)
        done: deque[Done] = deque(maxlen=TOLD)

        def told(one: Done) -> None:
            done.append(one)
            stderr().print(f"{one.user_id}: {one.error or one.outcome}")

        def logged(one: Done) -> None:
            done.append(one)
            with bound(user=hashed_user(one.user_id), persona_version=one.committed):
                _log.info("alignment: %s", one.error or one.outcome)

        if once:
            while (one := await carrier.next()) is not None:
                told(one)
        else:
            set_up_logs(services.settings)
            await _until_stopped(carrier.forever(logged))
        return {"done": list(done)}

    run(work, home=home, json_=json_, show=lambda result: f"{len(result['done'])} alignments carried out")


async def _until_stopped(work: Any) -> None:
    """Run until SIGTERM, which ends it as well as its work can be ended."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        if not task.cancelled():
            task.cancel()
            await asyncio.wait([task])
        if (current := asyncio.current_task()) and current.cancelling():
            raise
