"""``config``: settings of one's own, for every folder; a folder's ``.env`` and the environment come before them."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from personaagent.app.cli_run import Json, put
from personaagent.errors import InputError

app = typer.Typer(help="Keep settings of your own, for every folder.", no_args_is_help=True)
Key = Annotated[str, typer.Argument(help="A setting, as docs/settings.md or the environment names it; or `user`.")]


@app.command("set")
def set_(key: Key, value: Annotated[str, typer.Argument()]) -> None:
    """Keep a setting: `config set user ann`, `config set openai_base_url http://localhost:11434/v1`."""
    from personaagent.app.own_settings import variable, write

    write(variable(key), value)
    typer.echo(f"{variable(key)} is kept")


@app.command()
def unset(key: Key) -> None:
    """Drop a setting."""
    from personaagent.app.own_settings import read, variable, write

    if variable(key) not in read():
        raise InputError(f"{variable(key)} is not kept: `personaagent config list` shows what is")
    write(variable(key), None)
    typer.echo(f"{variable(key)} is dropped")


@app.command("list")
def list_(json_: Json = False) -> None:
    """List the settings that are kept, secrets hidden, and where."""
    from personaagent.app.own_settings import read, shown
    from personaagent.settings import OWN_SETTINGS

    own = read()
    kept = {name: shown(name, value) for name, value in own.items()}

    def view(_: object) -> str:
        lines = [f"{name}={value}"
                 + ("" if os.environ.get(name, own[name]) == own[name] else "  (the environment says otherwise)")
                 for name, value in kept.items()]  # fmt: skip
        return "\n".join([*lines, f"in {OWN_SETTINGS}"])

    put(kept, json_=json_, show=view)
