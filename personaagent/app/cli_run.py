"""What every command shares: its common options, services opened and closed around it, and one result put out.

A command's work is a coroutine that gets the services and returns plain values. With ``--json`` they are the one JSON
document on stdout; otherwise the command's own view of them is shown.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from datetime import date
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from personaagent.errors import SetupError
from personaagent.inputs import check_user_id

if TYPE_CHECKING:
    from rich.console import Console

    from personaagent.graph.services import Services
    from personaagent.library.user import User as LibraryUser
    from personaagent.settings import Settings

T = TypeVar("T")
Work = Callable[["Services"], Awaitable[T]]
PIPED_WIDTH = 120  # columns where the output is no terminal


def _home_of(context: typer.Context, home: Path | None) -> Path | None:
    """The command's own ``--home``, or the one given before the command."""
    return home or context.find_root().params.get("home")


def _checked_user(user: str) -> str:
    return check_user_id(user)


Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Home = Annotated[
    Path | None, typer.Option("--home", help="Data folder (also PERSONAAGENT_HOME).", callback=_home_of, metavar="DIR")
]
User = Annotated[
    str, typer.Option("--user", "-u", envvar="PERSONAAGENT_USER", help="Whose agent.", callback=_checked_user)
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]


def settings_of(home: Path | None) -> Settings:
    """The settings of the environment, with this data folder; raises SetupError naming the variable that is wrong."""
    from pydantic import ValidationError

    from personaagent.settings import Settings

    try:
        settings = Settings() if home is None else Settings(home=home)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise SetupError(f"a setting cannot be read ({wrong}): correct the environment or .env") from error
    return settings.model_copy(update={"home": settings.home.expanduser()})


def open_services(settings: Settings) -> Services:
    """The services of these settings; the import takes seconds, so it waits until a command needs it."""
    from personaagent.graph.services import Services

    return Services(settings)


async def with_services(work: Work[T], home: Path | None) -> T:
    """Do the work with services that are closed whatever happens."""
    services = open_services(settings_of(home))
    try:
        return await work(services)
    finally:
        await services.close()


def run(work: Work[T], *, home: Path | None, json_: bool, show: Callable[[T], Any]) -> T:
    """Carry out a command's work and put out its result: as JSON, or what ``show`` makes of it (None: nothing)."""
    result = asyncio.run(with_services(work, home))
    put(result, json_=json_, show=show)
    return result


def library_user(services: Services, user_id: str) -> LibraryUser:
    """The user's use cases, over services that are open."""
    from personaagent.library.agent import PersonaAgent

    return PersonaAgent.over(services).user(user_id)


def run_as(
    user_id: str,
    work: Callable[[LibraryUser], Awaitable[T]],
    *,
    home: Path | None,
    json_: bool,
    show: Callable[[T], Any],
) -> T:
    """As ``run``, for a use case of the library: ``work`` gets the user."""

    async def of_user(services: Services) -> T:
        return await work(library_user(services, user_id))

    return run(of_user, home=home, json_=json_, show=show)


def put(result: T, *, json_: bool, show: Callable[[T], Any]) -> None:
    """Put out a result."""
    if json_:
        sys.stdout.write(json.dumps(plain(result), ensure_ascii=False, indent=2) + "\n")
        return
    view = show(result)
    if view is not None:
        stdout().print(view)


def stdout() -> Console:
    """The console for results; without a terminal no colours and a fixed width."""
    return _console(stderr=False)


def stderr() -> Console:
    """The console for progress, questions and errors."""
    return _console(stderr=True)


def read_text(file: Path) -> str:
    """The text of a file, or of stdin for "-"; raises InputError."""
    from personaagent.errors import InputError

    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read ({error}): give a UTF-8 text file") from error


def confirm(question: str, *, yes: bool, why: str = "this cannot be undone") -> None:
    """Ask before something is lost or changed. Without a terminal nobody can answer: ``--yes`` is needed there."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter(f"{why}: give --yes where nobody can be asked", param_hint="--yes")
    if not typer.confirm(question, err=True):
        raise typer.Exit(1)


@contextmanager
def progress(label: str, *, json_: bool) -> Iterator[Callable[[int, int], None]]:
    """Yield ``told(done, in all)``, drawn as a bar on stderr; where that is no terminal, or for JSON, nothing is."""
    if json_ or not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.progress import Progress

    with Progress(console=stderr(), transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def steps(*, json_: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Yield ``moved(step, done, in all)``: a bar on a terminal, else a line when a step is done; nothing for JSON."""
    console = stderr()
    if json_:
        yield lambda _step, _done, _total: None
    elif not sys.stderr.isatty():
        yield lambda step, done, total: console.print(f"{step}: {done} of {total}") if done == total else None
    else:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("aligning", total=None)
            yield lambda step, done, total: bar.update(task, description=step, completed=done, total=total)


def plain(value: Any) -> Any:
    """The value as JSON knows it: dataclasses become objects, times ISO 8601, enums their values."""
    if is_dataclass(type(value)):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(inner) for key, inner in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((plain(inner) for inner in value), key=str)
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Path | BaseException):
        return str(value)
    return value


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or os.environ.get("COLUMNS") else PIPED_WIDTH
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)
