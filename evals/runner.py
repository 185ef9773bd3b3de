"""Running one system over a task: chronological within a user, users side by side, resumable, metered.

A query's history is what came before it: the user's history rows, and the test rows before it, whose truths the
system learns after it has answered them. What is recorded already is learned without being asked again.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from personaagent.errors import InputError, ModelOutputInvalid, ModelRefused, PersonaAgentError
from personaagent.evals.cache import saved_seconds
from personaagent.evals.metrics import Pair, scores_of
from personaagent.evals.records import Answered, Prepared, Records
from personaagent.evals.systems import Answer, Bench, System
from personaagent.evals.systems.baselines import majority
from personaagent.evals.systems.registry import Value, make
from personaagent.evals.tasks import Row, Split, Task
from personaagent.models.meter import metering

Told = Callable[[Answered], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One system with its arguments, on one bench, over these users."""

    name: str
    arguments: dict[str, Value]
    bench: Bench
    splits: Sequence[Split]
    concurrency: int = 2  # users at once


async def run(plan: Plan, records: Records, told: Told = lambda _: None) -> None:
    """Answer every test row that is not recorded yet; ``told`` hears of each row, recorded ones first.

    Raises what stops a run: ModelUnreachable, ModelDenied, SetupError, StoreError. Finished rows stay recorded.
    """
    done = await asyncio.to_thread(records.rows)
    for split in plan.splits:
        for row in split.test:
            if row.id in done:
                told(done[row.id])
    open_splits = [split for split in plan.splits if any(row.id not in done for row in split.test)]
    if not open_splits:
        return
    await asyncio.to_thread(shutil.rmtree, plan.bench.home, ignore_errors=True)
    system = make(plan.name, plan.arguments, plan.bench)
    gate = asyncio.Semaphore(plan.concurrency)

    async def one(split: Split) -> None:
        async with gate:
            await _User(plan, system, records, told).run(split, done)

    try:
        async with asyncio.TaskGroup() as group:
            for split in open_splits:
                group.create_task(one(split))
    except* PersonaAgentError as failed:
        raise _first(failed) from None
    finally:
        await system.close()
        await asyncio.to_thread(shutil.rmtree, plan.bench.home, ignore_errors=True)


class _User:
    """One user's rows, in order."""

    def __init__(self, plan: Plan, system: System, records: Records, told: Told) -> None:
        self._task = plan.bench.task
        self._system = system
        self._records = records
        self._told = told

    async def run(self, split: Split, done: dict[str, Answered]) -> None:
        """Prepare, then answer and learn row by row."""
        cost = await _measured(self._prepare, split)
        labels = [row.truth for row in split.history if row.truth]
        for row in split.test:
            if row.id not in done:
                answer = await self._answer(row)
                told = replace(row, truth=self._task.truth_of(row, answer.text))
                answered = record(self._task, told, answer, labels)
                await _surely(self._records.add, answered)
                self._told(answered)
            if not self._task.edited:  # of an edited answer nobody hears: the persona is judged as it is
                await self._system.learn(row)
                labels.append(row.truth)
        held = await self._system.portrait(split.user_id)
        shown = self._task.may_be_shown
        prepared = Prepared(
            user_id=split.user_id,
            history=len(split.history),
            persona=held.persona if shown else "",
            seed=held.seed if shown else "",
            outcome=held.outcome,
            aligned_after=held.aligned_after,
            **cost_of(cost),
        )
        await _surely(self._records.add_user, prepared)

    async def _prepare(self, split: Split) -> Answer:
        await self._system.prepare(split.user_id, split.history)
        return Answer(text="")

    async def _answer(self, row: Row) -> Answer:
        async def ask(row: Row) -> Answer:
            try:
                return await self._system.answer(row)
            except (ModelOutputInvalid, ModelRefused, InputError) as error:
                return Answer(text="", error=str(error))

        return await _measured(ask, row)


async def _surely(write: Callable[[Any], None], what: Any) -> None:
    """Write in a thread, to the end even when the run is being stopped: what was paid for is kept."""
    writing = asyncio.ensure_future(asyncio.to_thread(write, what))
    try:
        await asyncio.shield(writing)
    except asyncio.CancelledError:
        await writing
        raise


async def _measured(work: Callable[[Any], Any], given: Any) -> Answer:
    """The work's answer with what it cost; cached model calls count as when they were made."""
    began = time.perf_counter()
    with metering() as meter, saved_seconds() as saved:
        answer: Answer = await work(given)
    return replace(answer, usage=meter.total, seconds=time.perf_counter() - began + saved.seconds)


def cost_of(answer: Answer) -> dict[str, Any]:
    """The cost as the records have it."""
    usage = answer.usage
    return {
        "seconds": round(answer.seconds, 3),
        "calls": usage.calls,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
    }


def record(task: Task, row: Row, answer: Answer, labels: Sequence[str]) -> Answered:
    """The row as it is recorded, with the floors over the labels that came before it."""
    hidden = bool(row.choices) and not task.may_be_shown
    closed = bool(task.choices)
    return Answered(
        id=row.id,
        user_id=row.user_id,
        query=row.query if task.may_be_shown else "",
        answer=_place(answer.text, row) if hidden else answer.text,
        truth=_place(row.truth, row) if hidden else row.truth,
        majority=majority(labels) if closed else "",
        last=labels[-1] if closed and labels else "",
        tools=answer.tools,
        p_truth=None if answer.probabilities is None else round(answer.probabilities.get(row.truth, 0.0), 6),
        error=answer.error,
        **cost_of(answer),
    )


def _place(text: str, row: Row) -> str:
    told = text.strip()
    return f"#{row.choices.index(told)}" if told in row.choices else ""


def _first(group: BaseExceptionGroup[PersonaAgentError]) -> PersonaAgentError:
    error: BaseException = group.exceptions[0]
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, PersonaAgentError)
    return error


class Board:
    """One bar for the system that is running."""

    def __init__(self, task: Task, *, systems: int, rows: int) -> None:
        self._leading, self._score = next(iter(scores_of(task.metric, task.choices).items()))
        self._systems = systems
        self._rows = rows
        self._number = 0
        self._pairs: list[Pair] = []
        self._floor: list[Pair] = []
        self._calls = self._tokens = 0
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[score]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def start(self, system: str) -> None:
        """Begin with the next system."""
        self._number += 1
        self._pairs, self._floor, self._calls, self._tokens = [], [], 0, 0
        self._bar = self._progress.add_task(f"{self._number}/{self._systems} {system}", total=self._rows, score="")

    def told(self, row: Answered) -> None:
        """One more row is done."""
        self._pairs.append((row.answer, row.truth))
        self._floor.append((row.majority, row.truth))
        self._calls += row.calls
        self._tokens += row.input_tokens + row.output_tokens
        floor = f" (majority {self._score(self._floor):.3f})" if row.majority else ""
        text = f"{self._leading} {self._score(self._pairs):.3f}{floor} · {self._calls} calls · {self._tokens:,} tokens"
        self._progress.update(self._bar, advance=1, score=text)
