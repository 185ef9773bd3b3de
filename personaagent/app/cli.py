"""The command line ``personaagent``: one file a command group, heavy imports inside the commands.

Exit codes: 0 done, 1 a named failure (one line on stderr; with ``--json`` also as the document), 2 wrong usage,
130 interrupted, 141 the reader of a pipe went away.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from copy import copy
from pathlib import Path
from typing import Annotated

import typer
from typer.main import get_command_name
from typer.models import CommandInfo

from personaagent.app import (
    cli_chat,
    cli_config,
    cli_keys,
    cli_learn,
    cli_memory,
    cli_ops,
    cli_persona,
    cli_prompts,
    cli_serve,
    cli_tools,
)
from personaagent.errors import PersonaAgentError

INTERRUPTED, PIPE_CLOSED = 130, 141

app = typer.Typer(
    name="personaagent",
    help="The agent that becomes this user's agent: a persona per user, aligned at test time.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"personaagent {version('personaagent')}")
        raise typer.Exit


@app.callback()
def root(
    home: Annotated[Path | None, typer.Option("--home", metavar="DIR", help="Data folder of this command.")] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """The agent that becomes this user's agent: a persona per user, aligned at test time."""


cli_ops.register_demo(app)
cli_chat.register(app)
cli_learn.register(app)
app.add_typer(cli_persona.app, name="persona")
app.add_typer(cli_memory.app, name="memory")
app.add_typer(cli_tools.app, name="tools")
app.add_typer(cli_keys.app, name="keys")
app.add_typer(cli_config.app, name="config")
app.add_typer(cli_prompts.app, name="prompts")
cli_serve.register(app)
cli_ops.register(app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; the console script of the package."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = os.environ.get("PERSONAAGENT_DEBUG") == "1"
    logging.basicConfig(
        stream=sys.stderr, level=logging.DEBUG if debug else logging.ERROR, format="%(name)s: %(message)s"
    )
    if not debug:
        warnings.simplefilter("ignore")
    try:
        _default_user(given)
        code = _called(given)(given, prog_name="personaagent", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except (BrokenPipeError, SystemExit):
        # typer and rich turn a broken pipe into an exit; nothing else here does
        # and what is still buffered would fail once more when the interpreter closes stdout
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115
        return PIPE_CLOSED
    except typer.Abort:
        return INTERRUPTED
    except PersonaAgentError as error:
        return _failed(type(error).__name__, str(error), error, as_json="--json" in given, debug=debug)
    except Exception as error:
        # the last resort of a front door: a user gets a line, never a traceback
        if type(error).__name__ == "NoArgsIsHelpError":
            return 0  # a group alone: its help is out
        if (usage := getattr(error, "format_message", None)) is not None:
            return _failed("UsageError", usage(), error, as_json="--json" in given, debug=False, code=2)
        told = f"unexpected {type(error).__name__}: {error} (PERSONAAGENT_DEBUG=1 shows where)"
        return _failed(type(error).__name__, told, error, as_json="--json" in given, debug=debug)


def _called(given: Sequence[str]) -> typer.Typer:
    """The command line without what the first word does not name: to make every command takes longer than most run."""
    part = copy(app)
    part.registered_groups = [group for group in app.registered_groups if [group.name] == given[:1]]
    part.registered_commands = [command for command in app.registered_commands if [_name(command)] == given[:1]]
    return part if part.registered_groups or part.registered_commands else app


def _name(command: CommandInfo) -> str | None:
    return command.name or (command.callback and get_command_name(command.callback.__name__))


def _default_user(given: Sequence[str]) -> None:
    """Let whose agent it is be what ``.env`` or the person's own settings say, where nobody says otherwise."""
    if not given or {"--help", "-h", "--user", "-u"} & set(given) or os.environ.get("PERSONAAGENT_USER"):
        return
    from personaagent.app.own_settings import USER, own_user

    if user := own_user():
        os.environ[USER] = user


def _failed(name: str, message: str, error: Exception, *, as_json: bool, debug: bool, code: int = 1) -> int:
    line = " ".join(message.split())
    if debug:
        traceback.print_exception(error)
    if as_json:
        sys.stdout.write(json.dumps({"error": {"name": name, "message": line}}, ensure_ascii=False) + "\n")
        sys.stdout.flush()
    sys.stderr.write(f"personaagent: {line}\n")
    return code
