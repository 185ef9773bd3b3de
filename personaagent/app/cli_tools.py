"""``tools``: which tools the user's agent may use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from personaagent.app.cli_run import Home, Json, User, run_as

if TYPE_CHECKING:
    from collections.abc import Sequence

    from personaagent.library.user import User as LibraryUser
    from personaagent.library.values import ToolAccess

app = typer.Typer(help="List, grant and revoke the tools of a user's agent.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="A tool; `tools list` names them.")]


@app.command("list")
def list_(user: User, json_: Json = False, home: Home = None) -> None:
    """List every tool there is for the user, and whether the agent may use it."""

    def view(tools: Sequence[ToolAccess]) -> Any:
        from personaagent.app.render import rows_table

        rows = [
            (tool.name, "yes" if tool.granted else "no", "yes" if tool.asks_first else "", tool.description)
            for tool in tools
        ]
        return rows_table(("tool", "granted", "asks first", "what it does"), rows)

    run_as(user, lambda user: user.tools(), home=home, json_=json_, show=view)


@app.command()
def grant(
    name: Name,
    user: User,
    always: Annotated[bool, typer.Option("--always", help="Side effects too, without asking each time.")] = False,
    json_: Json = False,
    home: Home = None,
) -> None:
    """Let the user's agent use a tool (again)."""

    async def work(user: LibraryUser) -> dict[str, Any]:
        return {"tool": name, "granted": await user.grant(name, always=always), "always": always}

    run_as(user, work, home=home, json_=json_, show=_told)


@app.command()
def revoke(name: Name, user: User, json_: Json = False, home: Home = None) -> None:
    """Take a tool away from the user's agent; it wins over every grant."""

    async def work(user: LibraryUser) -> dict[str, Any]:
        return {"tool": name, "granted": await user.revoke(name)}

    run_as(user, work, home=home, json_=json_, show=_told)


def _told(result: dict[str, Any]) -> str:
    return f"{result['tool']}: {'granted' if result['granted'] else 'not granted'}"
