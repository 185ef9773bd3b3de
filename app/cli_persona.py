"""``persona``: read the persona, compare and roll back its versions, and write into it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app import cli_reasons
from app.cli_run import Home, Json, User, Yes, confirm, run

if TYPE_CHECKING:
    from graph.services import Services
    from personaagent.types import Persona, Pin

app = typer.Typer(help="Read, compare, roll back and edit a user's persona.", no_args_is_help=True)
Version = Annotated[int, typer.Argument(min=0, help="A version; `persona history` lists them.")]
EVIDENCE = 10_000  # interactions that a clause's evidence is looked up in


async def _current(services: Services, user: str) -> Persona:
    return await services.seed_persona(user)


@app.command()
def show(
    user: User,
    version: Annotated[int | None, typer.Option("--version", min=0, help="Another version than the current.")] = None,
    json_: Json = False,
    home: Home = None,
) -> None:
    """Show the persona in force, seeded from the profile where there is none yet."""

    async def work(services: Services) -> dict[str, Any]:
        persona = await (_current(services, user) if version is None else services.personas.get(user, version))
        return {"persona": persona, "pins": await services.personas.pins(user)}

    def view(result: dict[str, Any]) -> Any:
        from app.render import persona_view

        return persona_view(result["persona"], result["pins"])

    run(work, home=home, json_=json_, show=view)


@app.command()
def history(user: User, json_: Json = False, home: Home = None) -> None:
    """List all versions, oldest first."""

    async def work(services: Services) -> list[Persona]:
        return await services.personas.history(user)

    def view(versions: list[Persona]) -> Any:
        from app.render import persona_history

        return persona_history(versions) if versions else "no persona yet"

    run(work, home=home, json_=json_, show=view)


app.command()(cli_reasons.why)
app.command()(cli_reasons.candidates)


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
        from app.render import changes

        new = await (_current(services, user) if after is None else services.personas.get(user, after))
        parent = new.parent if new.parent is not None else new.version
        old = await services.personas.get(user, parent if before is None else before)
        lines = [{"change": kind, "line": line} for kind, line in changes(old.sections, new.sections)]
        return {"before": old, "after": new, "lines": lines}

    def view(result: dict[str, Any]) -> Any:
        from rich.console import Group

        from app.render import persona_diff, persona_line

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
    confirm(f"Put version {version} of {user}'s persona back in force?", yes=yes)

    async def work(services: Services) -> Persona:
        return await services.personas.rollback(user, version, reason=reason or f"rolled back to version {version}")

    run(work, home=home, json_=json_, show=_view)


@app.command()
def pin(
    user: User,
    text: Annotated[str, typer.Argument(help='For example "always answer in French".')],
    json_: Json = False,
    home: Home = None,
) -> None:
    """Add an instruction that alignment may never touch."""

    async def work(services: Services) -> Pin:
        return await services.personas.pin(user, text)

    run(work, home=home, json_=json_, show=lambda pin: f"pinned {pin.id}")


@app.command()
def unpin(
    user: User, pin_id: Annotated[str, typer.Argument(help="Its id.")], json_: Json = False, home: Home = None
) -> None:
    """Remove a pinned instruction."""

    async def work(services: Services) -> dict[str, Any]:
        from personaagent.errors import InputError

        known = [pin.id for pin in await services.personas.pins(user)]
        if pin_id not in known:
            raise InputError(f"{user} has no pin {pin_id!r}: `personaagent persona pins` lists them")
        await services.personas.unpin(user, pin_id)
        return {"unpinned": pin_id}

    run(work, home=home, json_=json_, show=lambda _: f"unpinned {pin_id}")


@app.command()
def pins(user: User, json_: Json = False, home: Home = None) -> None:
    """List the pinned instructions."""

    async def work(services: Services) -> list[Pin]:
        return await services.personas.pins(user)

    def view(found: list[Pin]) -> Any:
        from app.render import rows_table

        return rows_table(("id", "instruction"), [(p.id, p.text) for p in found]) if found else "nothing is pinned"

    run(work, home=home, json_=json_, show=view)


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

    async def work(services: Services) -> Persona:
        import asyncio

        from personaagent.persona.edit import read_edit
        from personaagent.persona.shape import to_text

        current = await _current(services, user)
        text = await asyncio.to_thread(_written, file, to_text(current.sections))
        known = {i.id for i in await services.episodic.newest(user, EVIDENCE)}
        budget = services.settings.persona_token_budget
        sections = read_edit(text, current.sections, budget_tokens=budget, known_ids=known)
        if sections == current.sections:
            return current
        return await services.personas.append(
            user, sections, "manual", expected_parent=current.version, proposer="user", reason="edited by hand"
        )

    run(work, home=home, json_=json_, show=_view)


def _written(file: Path | None, text: str) -> str:
    from personaagent.errors import InputError

    if file is None:
        return _in_editor(text)
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read ({error}): give a UTF-8 text file") from error


def _in_editor(text: str) -> str:
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
    from app.render import persona_view

    return persona_view(persona)
