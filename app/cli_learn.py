"""``import``, ``feedback`` and ``align``: what the user really said comes in, and the persona learns from it."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli_run import Home, Json, User, progress, run, stderr

if TYPE_CHECKING:
    from graph.services import Services
    from personaagent.memory.importing import ImportReport

SHOWN_BAD_ROWS = 20


class When(StrEnum):
    """When feedback aligns."""

    BACKGROUND = "background"
    NOW = "now"
    OFF = "off"


class Source(StrEnum):
    """Where a truth comes from."""

    CORRECTION = "correction"
    CHOICE = "choice"
    EDIT = "edit"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("import")(import_)
    app.command("feedback")(feedback)
    app.command("align")(align)


def import_(
    file: Annotated[Path, typer.Argument(help='JSONL, rows {"query", "response"[, "created_at", "metadata", …]}.')],
    user: User,
    json_: Json = False,
    home: Home = None,
) -> None:
    """Import a history: what the user asked, and what the user really answered. The same file again adds nothing."""

    async def work(services: Services) -> ImportReport:
        from personaagent.memory.importing import import_file

        with progress("importing", json_=json_) as told:
            report = await import_file(services.episodic, user, file, progress=told)
        if report.new:
            await services.refresh_profile(user)
        return report

    def view(report: ImportReport) -> str:
        for bad in report.bad[:SHOWN_BAD_ROWS]:
            stderr().print(str(bad), style="yellow", soft_wrap=True)
        return f"{report.new} new of {report.read} rows imported" + (f", {len(report.bad)} bad" if report.bad else "")

    report = run(work, home=home, json_=json_, show=view)
    if report.bad:
        shown = f", {SHOWN_BAD_ROWS} of them shown" if len(report.bad) > SHOWN_BAD_ROWS and not json_ else ""
        stderr().print(f"personaagent: bad rows were left out: {len(report.bad)}{shown}")
        raise typer.Exit(1)


def feedback(
    user: User,
    interaction: Annotated[str, typer.Option("--interaction", "-i", help="The id that came with the answer.")],
    truth: Annotated[str | None, typer.Option("--truth", help="What the user really wanted.")] = None,
    rating: Annotated[int | None, typer.Option("--rating", help="1 to 5; from 4 the answer was right.")] = None,
    source: Annotated[Source, typer.Option("--source", help="Where the truth comes from.")] = Source.CORRECTION,
    align_: Annotated[When, typer.Option("--align", help="When to align on it.")] = When.BACKGROUND,
    json_: Json = False,
    home: Home = None,
) -> None:
    """Tell what the user really wanted of an interaction, or what the answer was worth."""
    if (truth is None) == (rating is None):
        raise typer.BadParameter("give one of the two", param_hint="--truth / --rating")

    async def work(services: Services) -> dict[str, Any]:
        from graph.feedback import build_feedback
        from personaagent.context import Context

        told: Any = {"interaction_id": interaction, "ground_truth": truth, "source": source.value, "rating": rating}
        context = Context(user_id=user, align=align_.value)
        result: dict[str, Any] = await build_feedback(services).compile().ainvoke(told, context=context)
        committed = result.get("committed")
        return {
            "interaction": result["interaction"],
            "alignment_due": result["due"],
            "outcome": result.get("outcome"),
            "committed": committed.version if committed else None,
            "rolled_back": result.get("rolled_back"),
        }

    def view(result: dict[str, Any]) -> str:
        noted = f"noted: {result['interaction'].ground_truth or result['interaction'].rating}"
        if back := result["rolled_back"]:
            noted += f"\npersona {back.version}: {back.reason}"
        if result["alignment_due"] and align_ is When.BACKGROUND:
            return f"{noted}\nan alignment waits: `personaagent worker` or `personaagent align` carries it out"
        return f"{noted}\n{result['outcome']}" if result["outcome"] else noted

    run(work, home=home, json_=json_, show=view)


def align(
    user: User,
    batch: Annotated[int, typer.Option("--batch", min=1, max=64, help="Interactions that teach.")] = 3,
    judge: Annotated[int, typer.Option("--judge", min=1, max=64, help="Newer interactions that judge.")] = 6,
    epochs: Annotated[int, typer.Option("--epochs", min=1, max=20, help="Rounds.")] = 3,
    candidates: Annotated[int, typer.Option("--candidates", min=1, max=8, help="Candidates a round.")] = 2,
    pending: Annotated[bool, typer.Option("--pending", help="Only if one waits in the background queue.")] = False,
    json_: Json = False,
    home: Home = None,
) -> None:
    """Align the persona on the latest labelled interactions, now."""

    async def work(services: Services) -> dict[str, Any]:
        from app.aligning import align as carry_out
        from personaagent.context import Context

        if pending and not await services.jobs.depth(user):
            return {"outcome": "no alignment is pending", "committed": None}
        context = Context(
            user_id=user, align_batch=batch, align_judge=judge, align_epochs=epochs, align_candidates=candidates
        )
        console = stderr()
        told: Callable[[str], None] = (lambda _: None) if json_ else (lambda line: console.print(line, style="dim"))
        aligned = await carry_out(services, context, told)
        if pending:
            await services.jobs.delete_user(user)
        return aligned.told

    def view(result: dict[str, Any]) -> str:
        if "calls" not in result:
            return str(result["outcome"])
        return f"{result['outcome']} ({result['calls']} calls, {result['tokens']} tokens, {result['seconds']} s)"

    run(work, home=home, json_=json_, show=view)
