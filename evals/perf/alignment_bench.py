"""``python -m evals.perf.alignment_bench``: wall time of an alignment in round trips of a model of fixed latency.

The model answers after a fixed time whatever it is asked, and any number of calls at once, so that wall time divided
by that time counts the calls that wait for each other, and the program's own time on top of them. Its candidates
always win: every stage of the epoch is paid for. Everything else is real: graphs, ledger, index, embedder.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from personaagent.context import Context
from personaagent.evals.attacks.gullible import Gullible, LetterEmbedder
from personaagent.graph.alignment import build_alignment
from personaagent.graph.services import Services
from personaagent.settings import Settings
from personaagent.types import Interaction

SECONDS = 0.2
JUDGING = 6
START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One alignment of one epoch: seconds until the candidates are judged, and until all is booked."""

    batch: int
    candidates: int
    epoch: float
    whole: float
    calls: int
    tokens: int


async def measure(services: Services, graph: Any, user_id: str, batch: int, candidates: int) -> Measured:
    """Align a new user once, on ``batch`` interactions that teach and ``JUDGING`` that judge."""
    rows = [_row(user_id, n) for n in range(batch + JUDGING + 10)]
    await services.episodic.append_many(user_id, rows)
    await services.seeds.persona(user_id)
    context = Context(
        user_id=user_id, align_batch=batch, align_judge=JUDGING, align_epochs=1, align_candidates=candidates
    )
    began = time.perf_counter()
    epoch = calls = tokens = 0.0
    async for update in graph.astream({}, context=context, stream_mode="updates"):
        if "judge_candidate" in update:
            epoch = time.perf_counter() - began
        if "refresh_profile" in update:
            calls, tokens = update["refresh_profile"]["calls"], update["refresh_profile"]["tokens"]
    whole = time.perf_counter() - began
    return Measured(batch=batch, candidates=candidates, epoch=epoch, whole=whole, calls=int(calls), tokens=int(tokens))


async def bench(
    home: Path, batches: list[int], candidates: list[int], *, repeat: int, real_embedder: bool
) -> list[Measured]:
    """Every batch with every number of candidates, the fastest of ``repeat``, after one that warms up."""
    models = Gullible("Likes strong tea with milk.", seconds=SECONDS)
    settings = Settings(home=home, max_concurrency=64)
    services = Services(settings, models=models, embedder=None if real_embedder else LetterEmbedder())
    graph = build_alignment(services).compile()
    try:
        await measure(services, graph, "warm", 3, 2)
        return [
            min([await measure(services, graph, f"{b} {c} {n}", b, c) for n in range(repeat)], key=lambda r: r.epoch)
            for b in batches
            for c in candidates
        ]
    finally:
        await services.close()


def table(rows: list[Measured]) -> str:
    """The measurements as a Markdown table; times in seconds and in round trips of the model."""
    head = (
        "| teach | judge | candidates | epoch, s | epoch, round trips | alignment, s | round trips | calls | tokens |"
    )
    lines = [head, "|" + "---|" * 9]
    for row in rows:
        lines.append(
            f"| {row.batch} | {JUDGING} | {row.candidates} | {row.epoch:.2f} | {row.epoch / SECONDS:.1f} "
            f"| {row.whole:.2f} | {row.whole / SECONDS:.1f} | {row.calls} | {row.tokens} |"
        )
    return "\n".join(lines)


def _row(user_id: str, n: int) -> Interaction:
    return Interaction(
        id=f"{user_id}-{n}",
        user_id=user_id,
        query=f"Which drink goes with the book number {n} about topic {n % 7}?",
        created_at=START + timedelta(hours=n),
        task="drinks",
        choices=("coffee", "tea"),
        ground_truth="tea",
        truth_source="correction",
        truth_confidence=1.0,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m evals.perf.alignment_bench", description=__doc__)
    parser.add_argument("--batches", type=int, nargs="+", default=[3, 8, 16, 32])
    parser.add_argument("--candidates", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--repeat", type=int, default=3, help="runs of each, of which the fastest counts")
    parser.add_argument("--real-embedder", action="store_true", help="MiniLM instead of hashed letters")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        job = bench(
            Path(home),
            options.batches,
            options.candidates,
            repeat=options.repeat,
            real_embedder=options.real_embedder,
        )
        rows = asyncio.run(job)
    print(table(rows))
    print(f"\nmost round trips of an epoch: {max(row.epoch for row in rows) / SECONDS:.1f}")


if __name__ == "__main__":
    main()
