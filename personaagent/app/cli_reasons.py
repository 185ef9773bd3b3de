"""``persona why`` and ``persona candidates``: why a version came about, and what was turned down instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from personaagent.app.cli_run import Home, Json, User, run_as

if TYPE_CHECKING:
    from collections.abc import Sequence

    from personaagent.library.values import Rejected, Why


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
