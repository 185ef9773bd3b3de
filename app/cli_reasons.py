"""``persona why`` and ``persona candidates``: why a version came about, and what was turned down instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli_run import Home, Json, User, run

if TYPE_CHECKING:
    from graph.services import Services


def why(
    user: User,
    version: Annotated[int | None, typer.Argument(min=0, help="Default: the current version.")] = None,
    json_: Json = False,
    home: Home = None,
) -> None:
    """Show why a version came about: who proposed it, the losses, and what critics had said of which answers."""

    async def work(services: Services) -> dict[str, Any]:
        persona = await (services.seed_persona(user) if version is None else services.personas.get(user, version))
        said = [one for one in await services.critiques.history(user) if one.version == persona.version]
        about = await services.interactions.get_many(user, [one.interaction_id for one in said])
        return {"persona": persona, "critiques": said, "queries": {key: one.query for key, one in about.items()}}

    def view(result: dict[str, Any]) -> Any:
        from app.render import why_view

        return why_view(result["persona"], result["critiques"], result["queries"])

    run(work, home=home, json_=json_, show=view)


def candidates(
    user: User,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="The newest so many.")] = 20,
    json_: Json = False,
    home: Home = None,
) -> None:
    """List what alignments proposed and the gate turned down, newest first, with the reason."""

    async def work(services: Services) -> list[dict[str, Any]]:
        return [
            {"at": at, "run": c.run, "epoch": c.epoch, "proposer": c.proposer, "verdict": c.verdict,
             "sections": c.sections}
            for at, c in await services.candidates.dated(user, limit)
        ]  # fmt: skip

    def view(found: list[dict[str, Any]]) -> Any:
        from app.render import rows_table

        rows = [
            (f"{c['at']:%Y-%m-%d %H:%M}", c["run"] or "", c["epoch"] or "", c["proposer"],
             c["verdict"].reason if c["verdict"] else "")
            for c in found
        ]  # fmt: skip
        return (
            rows_table(("when", "alignment", "epoch", "proposer", "reason"), rows) if rows else "none was turned down"
        )

    run(work, home=home, json_=json_, show=view)
