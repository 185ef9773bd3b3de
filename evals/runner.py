"""Running systems over a task: chronological, user by user, resumable, with a progress bar."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from evals.metrics import accuracy, mae
from evals.records import Answered, Records
from evals.systems import Bench, Make, System
from evals.systems.persona_agent import PersonaAgent
from evals.tasks import Split, Task
from personaagent.models.meter import metering
from personaagent.ports import Embedder, Models
from personaagent.settings import Settings

Told = Callable[[str], None]  # is told the running score after each row


class Runner:
    """Answers every test row by every system and records each as it is done."""

    def __init__(self, task: Task, settings: Settings, models: Models, embedder: Embedder, records: Records) -> None:
        self._task = task
        self._settings = settings
        self._models = models
        self._embedder = embedder
        self._records = records

    async def run(self, systems: dict[str, Make], splits: Sequence[Split]) -> None:
        """Run them one after the other; users whose rows are all recorded are passed over."""
        total = sum(len(split.test) for split in splits) * len(systems)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[score]}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True)) as progress:
            bar = progress.add_task("evaluating", total=total, score="")
            for name, make in systems.items():

                def told(score: str, name: str = name) -> None:
                    progress.update(bar, advance=1, description=name, score=score)

                await self._run_system(name, make, splits, told)

    async def _run_system(self, name: str, make: Make, splits: Sequence[Split], told: Told) -> None:
        done = {row.row: row for row in self._records.rows() if row.system == name}
        home = self._records.folder / "homes" / name
        outcomes: dict[str, str] = {}
        for split in splits:
            rows = [done[row.id] for row in split.test if row.id in done]
            if len(rows) == len(split.test):
                for _ in rows:
                    told(_score(list(done.values()), self._task))
                continue
            place = home / split.user_id
            await asyncio.to_thread(shutil.rmtree, place, True)
            system = make(self._bench(place))
            try:
                await self._run_user(name, system, split, done, told)
            finally:
                await system.close()
            if isinstance(system, PersonaAgent):
                outcomes |= system.outcomes
        if outcomes:
            self._records.note(f"alignments-{name}", outcomes)

    async def _run_user(self, name: str, system: System, split: Split, done: dict[str, Answered], told: Told) -> None:
        with metering() as meter:
            began = time.perf_counter()
            await system.prepare(split.user_id, split.history)
        prepared = {"seconds": time.perf_counter() - began, "calls": meter.total.calls}
        self._records.note(f"prepare-{name}-{split.user_id}", prepared)
        for row in split.test:
            if row.id not in done:
                with metering() as meter:
                    began = time.perf_counter()
                    answer = await system.answer(row)
                done[row.id] = Answered(
                    system=name,
                    row=row.id,
                    user_id=row.user_id,
                    answer=answer,
                    truth=row.truth,
                    seconds=round(time.perf_counter() - began, 3),
                    calls=meter.total.calls,
                    input_tokens=meter.total.input_tokens,
                    output_tokens=meter.total.output_tokens,
                )
                self._records.add(done[row.id])
            told(_score(list(done.values()), self._task))
            await system.learn(row)

    def _bench(self, home: Path) -> Bench:
        return Bench(task=self._task, settings=self._settings, models=self._models, embedder=self._embedder, home=home)


def _score(rows: Sequence[Answered], task: Task) -> str:
    pairs = [(row.answer, row.truth) for row in rows]
    return f"mae {mae(pairs):.2f}" if task.metric == "mae" else f"acc {accuracy(pairs):.2f}"
