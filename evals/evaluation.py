"""A whole evaluation: systems over one task on the same rows, models, embedder and budget, into one folder."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from personaagent.errors import InputError
from personaagent.evals.cache import AnswerCache, CachedModels
from personaagent.evals.disturb import flipped, turned
from personaagent.evals.metrics import untouched
from personaagent.evals.records import Records
from personaagent.evals.runner import Board, Plan, run
from personaagent.evals.systems import Bench
from personaagent.evals.systems.prompting import ask, messages
from personaagent.evals.systems.registry import label, parse
from personaagent.evals.tasks import Row, Split, Task, split
from personaagent.models.chat import ModelsFromSettings
from personaagent.models.embedder import embedder_from
from personaagent.ports import Embedder, Models, Role
from personaagent.settings import Settings

ROLES: tuple[Role, ...] = ("agent", "simulator", "critic", "editor", "summarizer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to evaluate. ``users`` are those with the longest histories, ``limit`` is test rows a user.

    ``flip`` is the share of history truths that are made wrong, ``turn`` makes the taste turn half way.
    """

    task: Task
    systems: Sequence[str]
    out: Path
    users: int | None = None
    limit: int | None = None
    history: int | None = None
    recall_k: int = 4
    seed: int = 0
    flip: float = 0.0
    turn: bool = False
    concurrency: int = 2
    cache: Path | None = None  # the file of model answers; None: in ``out``


def evaluate(
    wanted: Wanted, settings: Settings, *, models: Models | None = None, embedder: Embedder | None = None
) -> None:
    """Run each system in turn, with progress on stderr; what ``out`` has already is not run again.

    Raises InputError for an unknown system or a folder of another run, and what stops a run.
    """
    chosen = [parse(spec) for spec in wanted.systems]
    if wanted.task.edited:  # a text is what is edited: no tool has a part in it
        settings = settings.model_copy(update={"tool_calling": "off"})
    splits = split(wanted.task, users=wanted.users, limit=wanted.limit, history=wanted.history)
    if wanted.turn:
        splits = turned(wanted.task, splits, wanted.seed)
    if wanted.flip:
        splits = flipped(wanted.task, splits, wanted.flip, wanted.seed)
    if not splits:
        raise InputError(f"{wanted.task.name} has no test row: a user needs at least two labelled rows")
    inner = models or ModelsFromSettings(settings)
    cache = AnswerCache(wanted.cache or wanted.out / "answers.sqlite")
    cached = CachedModels(inner, cache, answer_tokens=wanted.task.max_answer_tokens)
    embeds = embedder or embedder_from(settings)
    asyncio.run(_all(wanted, settings, chosen, splits, cached, embeds))


async def _all(
    wanted: Wanted,
    settings: Settings,
    chosen: Sequence[Any],
    splits: Sequence[Split],
    models: Models,
    embedder: Embedder,
) -> None:
    try:
        if wanted.task.edited:
            splits = await _edited(wanted, settings, splits, models, embedder)
        with Board(wanted.task, systems=len(chosen), rows=sum(len(s.test) for s in splits)) as board:
            for name, arguments in chosen:
                system = label(name, arguments)
                folder = folder_of(wanted.out, wanted.task, system)
                records = Records(folder)
                about = describe(wanted, splits, models, embedder, system)
                await asyncio.to_thread(records.begin, about | {"arguments": arguments})
                bench = Bench(
                    task=wanted.task,
                    settings=settings,
                    models=models,
                    embedder=embedder,
                    home=folder / "home",
                    recall_k=wanted.recall_k,
                )
                board.start(system)
                plan = Plan(name=name, arguments=arguments, bench=bench, splits=splits, concurrency=wanted.concurrency)
                await run(plan, records, board.told)
    finally:
        await models.close()


async def _edited(
    wanted: Wanted, settings: Settings, splits: Sequence[Split], models: Models, embedder: Embedder
) -> list[Split]:
    """The splits with a history that was answered, by the model alone and once for all users, and then edited."""
    bench = Bench(task=wanted.task, settings=settings, models=models, embedder=embedder, home=wanted.out)
    answers: dict[str, str] = {}
    for user in splits:
        for row in user.history:
            if row.query not in answers:
                answers[row.query] = (await ask(bench, row, messages(bench, row))).text

    def answered(row: Row) -> Row:
        return replace(row, response=answers[row.query], truth=wanted.task.truth_of(row, answers[row.query]))

    # what could not be answered cannot be edited
    told = [[answered(row) for row in s.history if answers[row.query]] for s in splits]
    most = wanted.task.most_edits
    return [replace(s, history=tuple(_until(rows, most))) for s, rows in zip(splits, told, strict=True)]


def _until(rows: Sequence[Row], edits: int | None) -> Sequence[Row]:
    """The rows up to the one with that many edits; all of them where there are fewer."""
    edited = [place for place, row in enumerate(rows, start=1) if not untouched(row.response, row.truth)]
    return rows[: edited[edits - 1]] if edits and len(edited) >= edits else rows


def folder_of(out: Path, task: Task, system: str) -> Path:
    """Where a system's records are kept."""
    plain = system.replace(":", "--").replace(",", "-").replace("=", "_")
    return out / task.name.replace(" ", "_").replace("/", "_") / plain


def describe(
    wanted: Wanted, splits: Sequence[Split], models: Models, embedder: Embedder, system: str
) -> dict[str, Any]:
    """What makes a run this run: two runs with the same description can share a folder."""
    task = wanted.task
    disturbed = {key: value for key, value in (("flip", wanted.flip), ("turn", wanted.turn)) if value}
    known = {"controls": list(task.controls)} if task.controls else {}
    return {
        "task": task.name,
        "paper": task.paper,
        "data": task.hash,
        "metric": task.metric,
        "choices": list(task.choices),
        "may_be_shown": task.may_be_shown,
        "system": system,
        "models": {role: models.name(role) for role in ROLES},
        "embedded": models.embedded,
        "tool_calling": models.tool_calling,
        "embedder": embedder.name,
        "users": len(splits),
        "rows": sum(len(s.test) for s in splits),
        "limit": wanted.limit or task.limit,
        "history": wanted.history,
        "recall_k": wanted.recall_k,
        "seed": wanted.seed,
        **disturbed,
        **known,
    }
