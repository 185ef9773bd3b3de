"""``python -m evals``: run systems over tasks, and report how good each is beside the floors."""

from __future__ import annotations

import asyncio
import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from personaagent.errors import InputError, PersonaAgentError
from personaagent.evals.tasks.download import By
from personaagent.settings import Settings

app = typer.Typer(
    help="How good is it? Systems over real users' rows, beside the floors.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
SMALL = (
    "majority", "last_label", "nearest_neighbour", "weighted_vote", "no_personalization", "rag",
    "persona_agent:alignment=off", "persona_agent",
)  # fmt: skip
SMALL_ROWS = 6
FLOORS = ("majority", "last_label", "weighted_vote", "nearest_neighbour")
EDITS = (
    "no_personalization", "rag", "cipher", "persona_agent:alignment=off", "persona_agent:gate=off", "persona_agent",
)  # fmt: skip
SMALL_EDITS = ("no_personalization", "rag", "persona_agent")

TaskName = Annotated[str, typer.Option("--task", help="a task's name (`python -m evals list`)")]
File = Annotated[Path | None, typer.Option("--file", help="the task's data; news has a sample")]
Out = Annotated[Path, typer.Option("--out", help="folder of the run; the same command again goes on")]
Users = Annotated[int | None, typer.Option("--users", min=1, help="only the users with the longest histories")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="test rows a user")]
Model = Annotated[str | None, typer.Option("--model", help="model of every role, at the endpoint in use")]
Cache = Annotated[Path | None, typer.Option("--cache", help="file of model answers to share between runs")]
Prices = Annotated[
    str | None, typer.Option("--prices", metavar="IN,OUT", help="money for a million input and output tokens")
]
Split = Annotated[str, typer.Option("--split", help="LaMP's split: user or time")]


@app.command("run")
def run_command(
    task: TaskName = "news",
    file: File = None,
    system: Annotated[
        list[str] | None, typer.Option("--system", help="name[:argument=value,...]; again for more")
    ] = None,
    model: Model = None,
    out: Out = Path("runs/run"),
    users: Users = None,
    limit: Limit = None,
    history: Annotated[int | None, typer.Option("--history", min=0, help="history rows a user: cold start")] = None,
    recall_k: Annotated[int, typer.Option("--recall-k", min=0, help="memories put before the model")] = 4,
    between: Annotated[int, typer.Option("--between", min=0, help="prefeval: turns before the question")] = 6,
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, help="users at once")] = 2,
    seed: Annotated[int, typer.Option("--seed", help="of shuffled options and of intervals")] = 0,
    split: Split = "user",
    flip: Annotated[float, typer.Option("--flip", help="share of the history's truths that are made wrong")] = 0.0,
    turn: Annotated[bool, typer.Option("--turn", help="the taste turns half way through the history")] = False,
    cache: Cache = None,
    prices: Prices = None,
    langsmith: Annotated[bool, typer.Option("--langsmith", help="send the result to LangSmith too")] = False,
) -> None:
    """Run systems over a task; what is done already is not paid again."""
    from personaagent.evals.evaluation import Wanted, evaluate
    from personaagent.evals.tasks.registry import load_task

    if langsmith:
        from personaagent.evals.langsmith import require_key

        require_key()
    found = load_task(task, file, _cache(), by=_by(split), seed=seed, between=between)
    wanted = Wanted(
        task=found,
        systems=system or (EDITS if found.edited else SMALL),
        out=out,
        users=users,
        limit=limit,
        history=history,
        recall_k=recall_k,
        seed=seed,
        flip=flip,
        turn=turn,
        concurrency=concurrency,
        cache=cache,
    )
    evaluate(wanted, _settings(model))
    _report(out, prices)
    if langsmith:
        from personaagent.evals.langsmith import upload

        upload(out, found)


@app.command()
def study(
    name: Annotated[str, typer.Argument(help="which (`python -m evals list`)")],
    task: TaskName = "news",
    file: File = None,
    model: Model = None,
    out: Out = Path("runs/studies"),
    users: Users = None,
    limit: Limit = None,
    seed: Annotated[int, typer.Option("--seed", help="of what is disturbed and of intervals")] = 0,
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, help="users at once")] = 2,
    cache: Cache = None,
) -> None:
    """Vary one thing, all else equal: scaling, cold start, noise, a taste that turns; the report draws the curve."""
    from personaagent.evals.evaluation import Wanted, evaluate
    from personaagent.evals.studies import wanted_by
    from personaagent.evals.tasks.registry import load_task

    found = load_task(task, file, _cache(), seed=seed)
    base = Wanted(
        task=found, systems=(), out=out, users=users, limit=limit, seed=seed, concurrency=concurrency, cache=cache
    )
    for wanted in wanted_by(name, base):
        evaluate(wanted, _settings(model))
    _report(out)


@app.command()
def report(folder: Annotated[Path, typer.Argument(help="folder with one or more runs")], prices: Prices = None) -> None:
    """Make report.html and report.md of every run below a folder."""
    _report(folder, prices)


@app.command()
def small(out: Out = Path("runs/small"), concurrency: int = 2) -> None:
    """The small fixed subset of `make eval`: four authors of the news, six test rows each, and three users who edit."""
    from personaagent.evals.evaluation import Wanted, evaluate
    from personaagent.evals.tasks import edits, news

    wanted = Wanted(task=news.task(), systems=SMALL, out=out, limit=SMALL_ROWS, concurrency=concurrency)
    evaluate(wanted, Settings())
    edited = edits.task(training=6, max_tokens=48)
    wanted = Wanted(task=edited, systems=SMALL_EDITS, out=out, users=3, limit=3, concurrency=concurrency)
    evaluate(wanted, Settings())
    _report(out)


@app.command()
def floors(
    task: TaskName = "news", file: File = None, out: Out = Path("runs/floors"), users: Users = None, limit: Limit = None
) -> None:
    """What costs no model call: majority, last label, nearest neighbour."""
    from personaagent.evals.evaluation import Wanted, evaluate
    from personaagent.evals.tasks.registry import load_task

    found = load_task(task, file, _cache())
    if found.edited:
        raise InputError(f"{found.name}: the truth is an edit of a model's answer, so there is no floor without one")
    # labels of other rows say nothing where every row has choices of its own, or none
    systems = FLOORS if found.choices else FLOORS[-1:]
    evaluate(Wanted(task=found, systems=systems, out=out, users=users, limit=limit), Settings())
    _report(out)


@app.command()
def fetch(
    benchmark: Annotated[str, typer.Argument(help="lamp1, lamp2n, lamp2m, lamp3, lamp4, lamp5 or lamp7")],
    split: Split = "user",
) -> None:
    """Download a LaMP task's dev files (questions and outputs) and keep them."""
    from personaagent.evals.tasks.download import fetch as fetched

    for path in asyncio.run(fetched(benchmark, _cache(), by=_by(split))):
        print(path)


@app.command("list")
def list_command() -> None:
    """The tasks, systems and studies there are."""
    from personaagent.evals.studies import STUDIES
    from personaagent.evals.systems.registry import PRESETS, SUMMARY
    from personaagent.evals.tasks.registry import SUMMARY as TASKS

    table = Table("name", "what it is")
    for kind, names in (("task", TASKS), ("system", SUMMARY)):
        for name, text in names.items():
            table.add_row(f"{kind} {name}", text)
        table.add_section()
    for name, spec in PRESETS.items():
        table.add_row(f"system {name}", f"short for {spec}")
    table.add_section()
    for name, varied in STUDIES.items():
        table.add_row(f"study {name}", varied.about)
    Console().print(table)


def _report(folder: Path, prices: str | None = None) -> None:
    from rich.markdown import Markdown

    from personaagent.evals.report import write
    from personaagent.evals.report.collect import prices_of

    html, markdown = write(folder, prices=prices_of(prices) if prices else None)
    Console().print(Markdown(markdown.read_text(encoding="utf-8")))
    print(f"report: {html}")


def _settings(model: str | None) -> Settings:
    settings = Settings()
    return settings.model_copy(update={"model": model}) if model else settings


def _cache() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("personaagent") / "lamp"


def _by(split: str) -> By:
    if split not in ("user", "time"):
        raise typer.BadParameter(f"--split is {split!r}: give user or time")
    return "time" if split == "time" else "user"


def main() -> int:
    """Run one command: 0 done, 1 a named failure in one line on stderr, 2 wrong usage, 130 interrupted."""
    warnings.simplefilter("ignore")
    try:
        code = app(standalone_mode=False)
    except PersonaAgentError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except typer.TyperException as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    sys.exit(main())
