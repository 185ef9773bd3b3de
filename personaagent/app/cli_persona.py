"""``persona``: read the persona, compare and roll back its versions, and write into it."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from personaagent.app.cli_run import Home, Json, User, Yes, confirm, library_user, read_text, run, run_as, stderr

if TYPE_CHECKING:
    from collections.abc import Sequence

    from personaagent.graph.services import Services
    from personaagent.library.user import User as LibraryUser
    from personaagent.library.values import PersonaView, Rejected, Why
    from personaagent.types import Persona, Pin


app = typer.Typer(help="Read, compare, roll back and edit a user's persona.", no_args_is_help=True)
Version = Annotated[int, typer.Argument(min=0, help="A version; `persona history` lists them.")]
SHOWN_USERS = 10


async def _greet(services: Services, user: str) -> None:
    """Say of somebody of whom nothing is kept that what follows is what every persona begins with."""
    if await services.personas.current(user) is None and not await services.interactions.newest(user, 1):
        others = await services.interactions.users()
        known = f" (there are {', '.join(others[:SHOWN_USERS])})" if others else ""
        stderr().print(f"nothing is kept of {user} yet{known}: this is what every persona begins with", style="yellow")


@app.command()
def show(
    user: User,
    version: Annotated[int | None, typer.Option("--version", min=0, help="Another version than the current.")] = None,
    json_: Json = False,
    home: Home = None,
) -> None:
    """Show the persona in force."""

    def view(shown: PersonaView) -> Any:
        from personaagent.app.render import persona_view

        return persona_view(shown.persona, shown.pins)

    async def work(services: Services) -> PersonaView:
        if version is None:
            await _greet(services, user)
        return await library_user(services, user).persona(version)

    run(work, home=home, json_=json_, show=view)


@app.command()
def history(user: User, json_: Json = False, home: Home = None) -> None:
    """List all versions, oldest first."""

    def view(versions: Sequence[Persona]) -> Any:
        from personaagent.app.render import persona_history

        return persona_history(versions) if versions else "no persona yet"

    run_as(user, lambda user: user.history(), home=home, json_=json_, show=view)


@app.command()
def why(
    user: User,
    version: Annotated[int | None, typer.Argument(min=0, help="Default: the current version.")] = None,
    json_: Json = False,
    home: Home = None,
) -> None:
    """Show why a version came about: who proposed it, the losses, and what critics had said of which answers."""

    def view(why: Why) -> Any:
        from personaagent.app.render import why_view

        return why_view(why.persona, why.critiques, why.queries)

    run_as(user, lambda user: user.why(version), home=home, json_=json_, show=view)


@app.command()
def candidates(
    user: User,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="The newest so many.")] = 20,
    json_: Json = False,
    home: Home = None,
) -> None:
    """List what alignments proposed and the gate turned down, newest first, with the reason."""

    def view(found: Sequence[Rejected]) -> Any:
        from personaagent.app.render import rows_table

        rows = [
            (f"{c.at:%Y-%m-%d %H:%M}", c.run or "", c.epoch or "", c.proposer, c.verdict.reason if c.verdict else "")
            for c in found
        ]
        return (
            rows_table(("when", "alignment", "epoch", "proposer", "reason"), rows) if rows else "none was turned down"
        )

    run_as(user, lambda user: user.candidates(limit), home=home, json_=json_, show=view)


@app.command()
def diff(
    user: User,
    before: Annotated[int | None, typer.Argument(min=0, help="Default: the current version's parent.")] = None,
    after: Annotated[int | None, typer.Argument(min=0, help="Default: the current version.")] = None,
    json_: Json = False,
    home: Home = None,
) -> None:
    """Show what changed between two versions."""

    async def work(services: Services) -> dict[str, Any]:
        from personaagent.app.render import changes

        if after is None:
            await _greet(services, user)
        found = await library_user(services, user).diff(before, after)
        lines = [{"change": kind, "line": line} for kind, line in changes(found.before.sections, found.after.sections)]
        return {"before": found.before, "after": found.after, "lines": lines}

    def view(result: dict[str, Any]) -> Any:
        from rich.console import Group

        from personaagent.app.render import persona_diff, persona_line

        old, new = result["before"], result["after"]
        return Group(f"- {persona_line(old)}", f"+ {persona_line(new)}", persona_diff(old.sections, new.sections))

    run(work, home=home, json_=json_, show=view)


@app.command()
def rollback(
    user: User,
    version: Version,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the history.")] = "",
    yes: Yes = False,
    json_: Json = False,
    home: Home = None,
) -> None:
    """Put an old version back in force, as a new version that copies it."""
    confirm(f"Put version {version} of {user}'s persona back in force?", yes=yes, why="the persona changes")

    run_as(user, lambda user: user.roll_back(version, reason), home=home, json_=json_, show=_view)


@app.command()
def pin(
    user: User,
    text: Annotated[str, typer.Argument(help='For example "always answer in French".')],
    json_: Json = False,
    home: Home = None,
) -> None:
    """Add an instruction that alignment may never touch."""

    run_as(user, lambda user: user.pin(text), home=home, json_=json_, show=lambda pin: f"pinned {pin.id}")


@app.command()
def unpin(
    user: User, pin_id: Annotated[str, typer.Argument(help="Its id.")], json_: Json = False, home: Home = None
) -> None:
    """Remove a pinned instruction."""

    async def work(user: LibraryUser) -> dict[str, Any]:
        return {"unpinned": (await user.unpin(pin_id)).id}

    run_as(user, work, home=home, json_=json_, show=lambda _: f"unpinned {pin_id}")


@app.command()
def pins(user: User, json_: Json = False, home: Home = None) -> None:
    """List the pinned instructions and the wishes from conversations."""

    def view(found: Sequence[Pin]) -> Any:
        from personaagent.app.render import rows_table

        rows = [(p.id, p.text, "said" if p.origin == "wish" else "pinned", f"{p.created_at:%Y-%m-%d}") for p in found]
        return rows_table(("id", "instruction", "how", "when"), rows) if found else "nothing is pinned"

    run_as(user, lambda user: user.pins(), home=home, json_=json_, show=view)


@app.command()
def edit(
    user: User,
    file: Annotated[
        Path | None, typer.Option("--file", help="Read the persona from here ('-': stdin) instead of an editor.")
    ] = None,
    json_: Json = False,
    home: Home = None,
) -> None:
    """Write the next version by hand, in $EDITOR or from a file, in the form '## section' and '- clause'."""

    async def work(user: LibraryUser) -> Persona:
        import asyncio

        current = await user.persona()
        text = await asyncio.to_thread(_written, file, current.text)
        return await user.edit_persona(text, expected_parent=current.persona.version)

    run_as(user, work, home=home, json_=json_, show=_view)


def _written(file: Path | None, text: str) -> str:
    return in_editor(text) if file is None else read_text(file)


def in_editor(text: str) -> str:
    """What the user makes of a text in their editor; raises InputError where there is none."""
    from personaagent.errors import InputError

    editor = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "persona.md"
        file.write_text(text + "\n", encoding="utf-8")
        try:
            subprocess.run([*editor, file], check=True)  # noqa: S603 (the user's own editor)
        except (OSError, subprocess.CalledProcessError) as error:
            raise InputError(
                f"{editor[0]} failed ({error}), nothing was changed: set EDITOR, or give --file"
            ) from error
        return file.read_text(encoding="utf-8")


def _view(persona: Persona) -> Any:
    from personaagent.app.render import persona_view

    return persona_view(persona)
