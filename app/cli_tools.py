"""``tools``: which tools the user's agent may use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli_run import Home, Json, User, run

if TYPE_CHECKING:
    from graph.services import Services

app = typer.Typer(help="List, grant and revoke the tools of a user's agent.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="A tool; `tools list` names them.")]


@app.command("list")
def list_(user: User, json_: Json = False, home: Home = None) -> None:
    """List every tool there is for the user, and whether the agent may use it."""

    async def work(services: Services) -> list[dict[str, Any]]:
        granted = (await services.actions.of(user)).names
        approved = await services.grants.approved(user)
        return [
            {
                "name": spec.name,
                "granted": spec.name in granted,
                "asks_first": spec.side_effects and not spec.in_any(approved),
                "side_effects": spec.side_effects,
                "reads_user_data": spec.reads_user_data,
                "scopes": spec.scopes,
                "description": spec.description,
            }
            for spec in await services.actions.all(user)
        ]

    def view(tools: list[dict[str, Any]]) -> Any:
        from app.render import rows_table

        rows = [
            (tool["name"], "yes" if tool["granted"] else "no", "yes" if tool["asks_first"] else "", tool["description"])
            for tool in tools
        ]
        return rows_table(("tool", "granted", "asks first", "what it does"), rows)

    run(work, home=home, json_=json_, show=view)


@app.command()
def grant(
    name: Name,
    user: User,
    always: Annotated[bool, typer.Option("--always", help="Side effects too, without asking each time.")] = False,
    json_: Json = False,
    home: Home = None,
) -> None:
    """Let the user's agent use a tool (again)."""

    async def work(services: Services) -> dict[str, Any]:
        await services.actions.spec(user, name)
        # where the user never named what is allowed all is, and a first name would take away the others
        listed = await services.grants.allowed(user) is not None
        if name in await services.grants.denied(user):
            await services.grants.clear(user, name)
        if listed:
            await services.grants.put(user, name, "allow")
        if always:
            await services.grants.put(user, name, "approve")
        return {"tool": name, "granted": name in (await services.actions.of(user)).names, "always": always}

    run(work, home=home, json_=json_, show=_told)


@app.command()
def revoke(name: Name, user: User, json_: Json = False, home: Home = None) -> None:
    """Take a tool away from the user's agent; it wins over every grant."""

    async def work(services: Services) -> dict[str, Any]:
        await services.actions.spec(user, name)
        await services.grants.clear(user, name)
        await services.grants.put(user, name, "deny")
        return {"tool": name, "granted": name in (await services.actions.of(user)).names}

    run(work, home=home, json_=json_, show=_told)


def _told(result: dict[str, Any]) -> str:
    return f"{result['tool']}: {'granted' if result['granted'] else 'not granted'}"
