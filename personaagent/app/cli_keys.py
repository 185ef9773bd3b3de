"""``keys``: who may sign in with an API key, on a server with ``PERSONAAGENT_AUTH=api_key``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from personaagent.app.cli_run import Home, Json, User, Yes, confirm, put, settings_of
from personaagent.errors import InputError

app = typer.Typer(help="Make, list and revoke the API keys of users.", no_args_is_help=True)


@app.command()
def add(
    user: User,
    scope: Annotated[
        list[str] | None, typer.Option("--scope", help="What else the key may do, `assistants:write` for example.")
    ] = None,
    json_: Json = False,
    home: Home = None,
) -> None:
    """Make a key for the user. It is shown now and never again: only its hash is kept."""
    from personaagent.app.server import keys
    from personaagent.app.server.identity import SCOPES

    unknown = sorted(set(scope or ()) - SCOPES)
    if unknown:
        raise InputError(f"no scope is called {', '.join(unknown)}: there are {', '.join(sorted(SCOPES))}")
    key, kept = keys.add(keys.path_of(settings_of(home)), user, scope or ())
    told = {"key": key, "id": kept.id, "user_id": user, "scopes": sorted(kept.scopes)}
    put(told, json_=json_, show=lambda made: made["key"])


@app.command("list")
def list_(
    user: Annotated[str | None, typer.Option("--user", "-u", help="Only this user's keys.")] = None,
    json_: Json = False,
    home: Home = None,
) -> None:
    """List the keys there are, by their ids."""
    from personaagent.app.server import keys

    known = keys.read(keys.path_of(settings_of(home))).values()
    told = [
        {
            "id": key.id,
            "user_id": key.user_id,
            "scopes": sorted(key.scopes),
            "created_at": key.created_at,
            "revoked_at": key.revoked_at,
        }
        for key in known
        if user in {None, key.user_id}
    ]

    def view(rows: list[dict[str, Any]]) -> Any:
        from personaagent.app.render import rows_table

        cells = [
            (row["id"], row["user_id"], " ".join(row["scopes"]), f"{row['created_at']:%Y-%m-%d}", _state(row))
            for row in rows
        ]
        return rows_table(("id", "user", "scopes", "made", "state"), cells)

    put(told, json_=json_, show=view)


@app.command()
def revoke(
    user: User,
    id_: Annotated[
        str | None, typer.Option("--id", help="Only the key of this id; without it all of the user's.")
    ] = None,
    yes: Yes = False,
    json_: Json = False,
    home: Home = None,
) -> None:
    """Revoke the user's keys, from the next request on."""
    from personaagent.app.server import keys

    path = keys.path_of(settings_of(home))
    held = [key for key in keys.read(path).values() if key.user_id == user and key.revoked_at is None]
    meant = [key for key in held if id_ in {None, key.id}]
    if not meant:
        raise InputError(f"{user} has no such key that is valid: `keys list` shows the ids")
    confirm(f"Revoke {len(meant)} key(s) of {user}?", yes=yes)
    for key in meant:
        keys.revoke(path, key)
    told = {"user_id": user, "revoked": [key.id for key in meant]}
    put(told, json_=json_, show=lambda done: f"revoked: {', '.join(done['revoked'])}")


def _state(row: dict[str, Any]) -> str:
    return f"revoked {row['revoked_at']:%Y-%m-%d}" if row["revoked_at"] else "valid"
