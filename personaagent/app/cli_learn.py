"""``import``, ``feedback`` and ``align``: what the user really said comes in, and the persona learns from it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from personaagent.app.cli_run import Home, Json, User, progress, read_text, run, run_as, stderr, steps

if TYPE_CHECKING:
    from personaagent.graph.services import Services
    from personaagent.library.user import User as LibraryUser

SHOWN_BAD_ROWS = 20
SHOWN_FACTS = 5


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


class Thumb(StrEnum):
    """What a thumb says."""

    UP = "up"
    DOWN = "down"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("import")(import_)
    app.command("feedback")(feedback)
    app.command("align")(align)


def import_(
    file: Annotated[Path, typer.Argument(help="An export of ChatGPT, Claude or Gemini (.zip too), CSV, JSON lines.")],
    user: User,
    since: Annotated[datetime | None, typer.Option("--since", help="Leave out what is older.")] = None,
    json_: Json = False,
    home: Home = None,
) -> None:
    """Import a history: what the user said, and, in rows with a `response`, what they really answered.

    The same file again adds nothing.
    """

    unread, known, found = 0, list[str](), ""

    async def work(user: LibraryUser) -> dict[str, Any]:
        nonlocal unread, known, found
        with progress("importing", json_=json_) as told:
            taken = await user.import_file(file, since=since, on_step=told)
        found, unread, known = taken.found, taken.unread, [fact.text for fact in taken.facts]
        return {"read": taken.read, "new": taken.new, "bad": taken.bad}

    def view(report: dict[str, Any]) -> str:
        bad = report["bad"]
        for one in bad[:SHOWN_BAD_ROWS]:
            stderr().print(str(one), style="yellow", soft_wrap=True)
        told = f"{report['new']} new of {report['read']} rows imported" + (f", {len(bad)} bad" if bad else "")
        return "\n".join([found, told, *(f"- {text}" for text in known[:SHOWN_FACTS])])

    report = run_as(user, work, home=home, json_=json_, show=view)
    if unread:
        stderr().print(f"{unread} wait to be read for facts: the next turns do that, newest first", style="dim")
    if bad := report["bad"]:
        shown = f", {SHOWN_BAD_ROWS} of them shown" if len(bad) > SHOWN_BAD_ROWS and not json_ else ""
        stderr().print(f"personaagent: bad rows were left out: {len(bad)}{shown}")
        raise typer.Exit(1)


def feedback(
    user: User,
    interaction: Annotated[str, typer.Option("--interaction", "-i", help="The id that came with the answer.")],
    truth: Annotated[str | None, typer.Option("--truth", help="What the user really wanted.")] = None,
    edit: Annotated[str | None, typer.Option("--edit", help="The answer as the user rewrote it.")] = None,
    edit_file: Annotated[Path | None, typer.Option("--edit-file", help="The same from a file ('-': stdin).")] = None,
    pick: Annotated[str | None, typer.Option("--pick", help="The better one of two answers; needs --over.")] = None,
    over: Annotated[str | None, typer.Option("--over", help="The other one.")] = None,
    rating: Annotated[int | None, typer.Option("--rating", help="1 to 5; from 4 the answer was right.")] = None,
    thumb: Annotated[Thumb | None, typer.Option("--thumb", help="The same as a rating of 5 or 1.")] = None,
    comment: Annotated[str | None, typer.Option("--comment", help="What the user says of the answer.")] = None,
    source: Annotated[Source, typer.Option("--source", help="Where the truth comes from.")] = Source.CORRECTION,
    align_: Annotated[When, typer.Option("--align", help="When to align on it.")] = When.BACKGROUND,
    json_: Json = False,
    home: Home = None,
) -> None:
    """Say of an answer what the user really wanted, made of it, picked, thought or said."""
    if sum(value is not None for value in (truth, edit, edit_file, pick)) > 1:
        raise typer.BadParameter("give one of them", param_hint="--truth / --edit / --edit-file / --pick")
    if all(value is None for value in (truth, edit, edit_file, pick, over, rating, thumb, comment)):
        raise typer.BadParameter("say something of the answer", param_hint="--truth / --edit / --thumb / --comment")
    if edit_file is not None:
        edit = read_text(edit_file)
    told: dict[str, Any] = {
        "ground_truth": truth if edit is None else edit,
        "source": "edit" if edit is not None else source.value if truth is not None else None,
        "picked": pick,
        "over": over,
        "rating": rating,
        "thumb": thumb.value if thumb else None,
        "comment": comment,
    }

    async def work(user: LibraryUser) -> dict[str, Any]:
        taken = await user.feedback(interaction, align=align_.value, **told)
        return {
            "interaction": taken.interaction,
            "understood": taken.understood,
            "alignment_due": taken.alignment_due,
            "outcome": taken.outcome or None,
            "committed": taken.committed.version if taken.committed else None,
            "rolled_back": taken.rolled_back,
        }

    waits = align_ is When.BACKGROUND
    run_as(user, work, home=home, json_=json_, show=lambda result: _taken_in(result, waits))


def _taken_in(result: dict[str, Any], waits: bool) -> str:
    lines = list(result["understood"])
    if back := result["rolled_back"]:
        lines.append(f"persona {back.version}: {back.reason}")
    if result["alignment_due"] and waits:
        lines.append("an alignment waits: `personaagent worker` or `personaagent align` carries it out")
    elif result["outcome"]:
        lines.append(result["outcome"])
    return "\n".join(lines)


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
        from personaagent.context import Context
        from personaagent.library.aligning import align as carry_out

        if pending and not await services.jobs.depth(user):
            return {"outcome": "no alignment is pending", "committed": None}
        context = Context(
            user_id=user, align_batch=batch, align_judge=judge, align_epochs=epochs, align_candidates=candidates
        )
        console = stderr()
        told: Callable[[str], None] = (lambda _: None) if json_ else (lambda line: console.print(line, style="dim"))
        with steps(json_=json_) as moved:
            aligned = await carry_out(services, context, told, moved)
        if pending:
            await services.jobs.delete_user(user)
        return aligned.told

    def view(result: dict[str, Any]) -> str:
        if "calls" not in result:
            return str(result["outcome"])
        return f"{result['outcome']} ({result['calls']} calls, {result['tokens']} tokens, {result['seconds']} s)"

    run(work, home=home, json_=json_, show=view)
