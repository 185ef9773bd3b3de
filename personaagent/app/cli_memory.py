"""``memory``: what is remembered of a user, found, listed and forgotten."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from personaagent.app import cli_archive
from personaagent.app.cli_run import Home, Json, User, Yes, confirm, run_as, stderr

if TYPE_CHECKING:
    from collections.abc import Sequence

    from personaagent.library.values import Memories
    from personaagent.memory.forgetting import ForgetPreview, ForgetReport
    from personaagent.types import Fact, Recall

app = typer.Typer(help="Search, list, forget, export and import memories.", no_args_is_help=True)
cli_archive.register(app)


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.replace(tzinfo=moment.tzinfo or UTC)


Task = Annotated[str | None, typer.Option("--task", help="Only of this task.")]
Since = Annotated[datetime | None, typer.Option("--since", help="Only from this time on (UTC).", callback=_utc)]
Before = Annotated[datetime | None, typer.Option("--before", help="Only before this time (UTC).", callback=_utc)]


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="What to look for.")],
    user: User,
    k: Annotated[int, typer.Option("-k", min=1, max=100, help="How many.")] = 5,
    task: Task = None,
    since: Since = None,
    before: Before = None,
    json_: Json = False,
    home: Home = None,
) -> None:
    """Find the memories that fit a query best."""

    def view(recalls: Sequence[Recall]) -> Any:
        from personaagent.app.render import recalls_table

        return recalls_table(recalls) if recalls else "nothing found"

    where: dict[str, Any] = {"task": task, "since": since, "before": before}
    run_as(user, lambda user: user.search(query, limit=k, **where), home=home, json_=json_, show=view)


@app.command("list")
def list_(
    user: User,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="How many of the newest.")] = 20,
    task: Task = None,
    since: Since = None,
    before: Before = None,
    json_: Json = False,
    home: Home = None,
) -> None:
    """List the newest interactions, oldest first."""

    def view(result: Memories) -> Any:
        from rich.console import Group

        from personaagent.app.render import interactions_table

        found = result.interactions
        return Group(interactions_table(found), f"{len(found)} of {result.count}") if found else "no memories yet"

    where: dict[str, Any] = {"task": task, "since": since, "before": before}
    run_as(user, lambda user: user.memories(limit=limit, **where), home=home, json_=json_, show=view)


@app.command()
def facts(
    user: User,
    all_: Annotated[bool, typer.Option("--all", help="Superseded and retired ones too.")] = False,
    json_: Json = False,
    home: Home = None,
) -> None:
    """List what is known of the user, with the evidence."""

    def view(known: Sequence[Fact]) -> Any:
        from personaagent.app.render import facts_table

        return facts_table(known) if known else "no facts yet"

    run_as(user, lambda user: user.facts(past=all_), home=home, json_=json_, show=view)


@app.command()
def forget(
    user: User,
    interaction: Annotated[list[str] | None, typer.Option("--interaction", "-i", help="This one; repeatable.")] = None,
    task: Task = None,
    since: Since = None,
    before: Before = None,
    about: Annotated[str | None, typer.Option("--about", help="What has all of these words, shown first.")] = None,
    everything: Annotated[bool, typer.Option("--everything", help="All that is known of the user.")] = False,
    yes: Yes = False,
    json_: Json = False,
    home: Home = None,
) -> None:
    """Forget memories and what was derived from them; a report says what went."""
    where: dict[str, Any] = {"task": task, "since": since, "before": before, "about": about}
    parts = interaction or any(given is not None for given in where.values())
    if not (parts or everything):
        raise typer.BadParameter(
            "say what to forget", param_hint="--interaction / --task / --since / --before / --about / --everything"
        )
    if everything and parts:
        raise typer.BadParameter("everything is not a part", param_hint="--everything")
    nothing = about is not None and not _shown(user, home, tuple(interaction or ()), **where)
    confirm(f"Forget {'everything' if everything else 'these memories'} of {user} for good?", yes=yes or nothing)
    run_as(
        user,
        lambda user: user.forget(*(interaction or ()), everything=everything, **where),
        home=home,
        json_=json_,
        show=_report_view,
    )


def _shown(user_id: str, home: Home, ids: tuple[str, ...], **where: Any) -> ForgetPreview:
    """What would go, put out beside the command's result."""
    return run_as(
        user_id,
        lambda user: user.preview_forget(*ids, **where),
        home=home,
        json_=False,
        show=lambda seen: stderr().print(str(seen), markup=False),
    )


def _report_view(report: ForgetReport) -> Any:
    from personaagent.app.render import pairs_view

    return pairs_view(
        [
            ("interactions", len(report.interactions)),
            ("facts", f"{len(report.facts_deleted)} gone, {len(report.facts_trimmed)} trimmed"),
            ("persona", _persona_told(report)),
            ("candidates, critiques", f"{report.candidates}, {report.critiques}"),
            ("jobs, pins", f"{report.jobs}, {report.pins}"),
            *[("unknown", unknown) for unknown in report.unknown],
            *[("still there", remains) for remains in report.remains],
        ]
    )


def _persona_told(report: ForgetReport) -> str:
    if report.personas_deleted:
        return f"{report.personas_deleted} versions gone"
    return "unchanged" if report.persona_rebuilt is None else f"rebuilt as version {report.persona_rebuilt}"
