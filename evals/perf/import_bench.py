"""A long history comes in: ``python -m personaagent.evals.perf.import_bench --rows 10000``.

The real embedder and ledger, and a chat model that answers at once. Told are the import, turns of the same user while
it goes on, a turn and a search when it is done, and what it takes to forget one task and then everything.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from langchain_core.messages import HumanMessage

from personaagent.context import Context
from personaagent.evals.attacks.gullible import Gullible
from personaagent.evals.perf.memory_bench import sentence
from personaagent.graph.agent import build_agent
from personaagent.graph.services import Services
from personaagent.memory.forgetting import Selection
from personaagent.memory.importing import import_file
from personaagent.ports import Where
from personaagent.settings import Settings

PAUSE_S = 1.0  # between two turns while the import goes on
BEGINS = datetime(2019, 1, 1, tzinfo=UTC)


async def main(rows: int) -> None:
    """Write the file, take it in, and print one JSON object."""
    told: dict[str, float | int] = {"rows": rows}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "history.jsonl"
        await asyncio.to_thread(_write, file, rows)
        services = Services(Settings(home=Path(folder) / "home"), models=Gullible("tea"))
        try:
            await _turn(services)  # opens everything
            turns: list[float] = []
            async with _talking(services, turns):
                began = time.perf_counter()
                await import_file(services.episodic, "ann", file)
                told["import_s"] = round(time.perf_counter() - began, 1)
            told |= {"turns_meanwhile": len(turns)}
            if turns:
                told |= {f"turn_meanwhile_p{p}_ms": round(float(np.percentile(turns, p))) for p in (50, 100)}
            told["turn_after_ms"] = round(float(np.median([await _turn(services) for _ in range(20)])))
            told["waiting_to_be_read"] = await services.interactions.waiting("ann")
            began = time.perf_counter()
            report = await services.forgetter.forget("ann", Selection(where=Where(task="task 3")))
            told |= {"forget_a_task_s": round(time.perf_counter() - began, 1), "of": len(report.interactions)}
            began = time.perf_counter()
            await services.forgetter.forget("ann", Selection(everything=True))
            told["forget_everything_s"] = round(time.perf_counter() - began, 1)
        finally:
            await services.close()
    print(json.dumps(told))


def _write(file: Path, rows: int) -> None:
    dice = random.Random(7)
    with file.open("w", encoding="utf-8") as out:
        for number in range(rows):
            moment = BEGINS + timedelta(hours=6 * number)
            row = {"query": f"{sentence(dice)} {number}", "task": f"task {number % 10}", "response": sentence(dice),
                   "created_at": moment.isoformat()}  # fmt: skip
            out.write(json.dumps(row) + "\n")


@asynccontextmanager
async def _talking(services: Services, turns: list[float]) -> AsyncIterator[None]:
    """Turns of the same user, one after the other, while the block runs."""

    async def talk() -> None:
        while True:
            turns.append(await _turn(services))
            await asyncio.sleep(PAUSE_S)

    talker = asyncio.create_task(talk())
    try:
        yield
    finally:
        talker.cancel()
        await asyncio.gather(talker, return_exceptions=True)


async def _turn(services: Services) -> float:
    """Milliseconds of one turn."""
    agent = build_agent(services).compile()
    began = time.perf_counter()
    context = Context(user_id="ann", align="off")
    await agent.ainvoke({"messages": [HumanMessage("What did I say of tea?")]}, context=context)
    return 1_000 * (time.perf_counter() - began)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000)
    asyncio.run(main(parser.parse_args().rows))
