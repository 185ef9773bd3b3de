"""``prompts``: what the models are told, where it comes from, and LangSmith's hub as another place for it."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import typer

from personaagent.app.cli_run import Home, Json, put, settings_of
from personaagent.errors import InputError

app = typer.Typer(help="List the prompts; pull and push them with LangSmith's hub.", no_args_is_help=True)

Only = Annotated[list[str] | None, typer.Option("--only", metavar="NAME", help="Only this prompt; may be repeated.")]


@app.command("list")
def list_(json_: Json = False, home: Home = None) -> None:
    """List the prompts in force: slots, source (file or hub) and hash. Asks the hub where one is set."""
    from personaagent import prompts
    from personaagent.prompts import pull_now, set_up_hub

    set_up_hub(settings_of(home))
    pull_now()
    told = []
    for name in prompts.names():
        text, source = prompts.in_force(name)
        told.append({"name": name, "slots": sorted(prompts.slots_of(text)), "source": source, "hash": _hash(text)})

    def view(rows: list[dict[str, Any]]) -> Any:
        from personaagent.app.render import rows_table

        cells = [(row["name"], ", ".join(row["slots"]), row["source"], row["hash"]) for row in rows]
        return rows_table(("prompt", "slots", "source", "hash"), cells)

    put(told, json_=json_, show=view)


@app.command()
def pull(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the files go; made where it is missing.")],
    only: Only = None,
    json_: Json = False,
    home: Home = None,
) -> None:
    """Write the hub's prompts into a folder, one NAME.md each; those that cannot be used are left out."""
    from personaagent.prompts import hub_of

    hub = hub_of(settings_of(home))
    texts = hub.pull(_chosen(only, hub.names()))
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.md").write_text(f"{text}\n", encoding="utf-8")
    told = {"folder": str(folder), "pulled": sorted(texts)}
    put(told, json_=json_, show=lambda made: f"{len(made['pulled'])} prompts in {made['folder']}")


@app.command()
def push(only: Only = None, json_: Json = False, home: Home = None) -> None:
    """Commit the prompts' files to the hub under their names; what is the same there is left alone."""
    from personaagent.prompts import hub_of

    hub = hub_of(settings_of(home))
    pushed = {name: hub.push(name) for name in _chosen(only, hub.names())}
    told = {
        "pushed": [name for name, new in pushed.items() if new],
        "unchanged": [n for n, new in pushed.items() if not new],
    }
    put(told, json_=json_, show=lambda made: f"{len(made['pushed'])} pushed, {len(made['unchanged'])} unchanged")


def _chosen(only: list[str] | None, known: list[str]) -> list[str]:
    if unknown := sorted(set(only or ()) - set(known)):
        raise InputError(
            f"no prompt of the hub is called {', '.join(unknown)}: see `personaagent prompts list` "
            "(the frame needs PERSONAAGENT_PROMPT_HUB_FRAME=true)"
        )
    return only or known


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:12]
