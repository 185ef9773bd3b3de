"""``python -m evals``: run systems over a task, and print how good each is beside the floors."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from evals.records import Records
from evals.runner import Runner
from evals.systems.catalogue import SYSTEMS
from evals.table import table
from evals.tasks import Task, news, rating, split
from personaagent.models.chat import ModelsFromSettings
from personaagent.models.embedder import embedder_from
from personaagent.settings import Settings

app = typer.Typer(help="How good is it? Systems over real users' rows, beside the floors.", no_args_is_help=True)
SMALL = [
    "majority", "last-label", "nearest-neighbour", "no-personalization", "recalled-examples",
    "agent-without-alignment", "agent",
]  # fmt: skip


@app.command()
def run(
    task: Annotated[str, typer.Option(help="news, or rating with --file")] = "news",
    file: Annotated[Path | None, typer.Option(exists=True, help="the data; news has a sample")] = None,
    system: Annotated[list[str] | None, typer.Option(help="a system's name; again for more; none: all")] = None,
    users: Annotated[int | None, typer.Option(min=1, help="users with the longest histories")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="test rows a user")] = None,
    out: Annotated[Path, typer.Option(help="folder of the run; the same again goes on")] = Path("runs/run"),
) -> None:
    """Run systems over a task and print the table."""
    chosen = system or list(SYSTEMS)
    if unknown := [name for name in chosen if name not in SYSTEMS]:
        raise typer.BadParameter(f"no such system: {', '.join(unknown)}; there are {', '.join(SYSTEMS)}")
    _run(_task(task, file), chosen, users, limit, out)


@app.command()
def small(out: Annotated[Path, typer.Option(help="folder of the run")] = Path("runs/small")) -> None:
    """The small fixed subset of `make eval`: 4 authors of the news sample, 10 test rows each."""
    _run(news.task(), SMALL, None, 10, out)


def _task(name: str, file: Path | None) -> Task:
    if name == "news":
        return news.task(file)
    if name == "rating" and file is not None:
        return rating.task(file)
    raise typer.BadParameter("give --task news, or --task rating with --file")


def _run(task: Task, systems: list[str], users: int | None, limit: int | None, out: Path) -> None:
    settings = Settings()
    models = ModelsFromSettings(settings)
    splits = split(task, users=users, limit=limit)
    records = Records(out)
    about = {
        "task": task.name,
        "data": task.hash,
        "systems": systems,
        "users": [s.user_id for s in splits],
        "limit": limit,
        "model": models.name("agent"),
        "where": models.where(),
    }
    try:
        records.begin(about)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    runner = Runner(task, settings, models, embedder_from(settings), records)
    asyncio.run(runner.run({name: SYSTEMS[name] for name in systems}, splits))
    text = table(task, records.rows(), systems)
    (out / "table.md").write_text(text + "\n", encoding="utf-8")
    print(f"\n{task.name}, model {models.name('agent')} ({models.where()}), {len(splits)} users\n\n{text}")


if __name__ == "__main__":
    app()
