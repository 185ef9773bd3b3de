"""A taste that turns, on a small scale: the bench's own loop over two topics (``evals.perf.alignment_drift``)."""

from __future__ import annotations

import random

from graph_house import START, Build
from personaagent.evals.perf.alignment_drift import drift, summary
from personaagent.evals.perf.drift_reader import Reader
from personaagent.evals.tasks import Row

TOPICS = (("politics", "the senate and the president vote"), ("women", "an actress and a singer speak"))


def rows(first: int, count: int) -> list[Row]:
    """Articles of the two topics, two of each in turn."""
    return [
        Row(
            id=f"r{n}",
            user_id="turncoat",
            created_at=START,
            query=f"{TOPICS[n // 2 % 2][1]}, report {n}",
            truth=TOPICS[n // 2 % 2][0],
        )
        for n in range(first, first + count)
    ]


async def test_the_persona_follows_a_taste_that_turns_and_does_not_grow(build: Build) -> None:
    services = build(Reader(), align_after=2, align_daily_calls=10**6, align_daily_tokens=10**9)
    steps = await drift(
        services, rows(0, 80), rows(100, 8), noise=0.0, rng=random.Random(0), epochs=2, candidates=2, judge=6
    )
    told = summary(steps)
    assert told["alignments"] == 40
    # a second candidate on one version needs 8 labels won and a third 10, half of those since the turn judge,
    # and the version of the old taste is taken back first: 34 labels
    assert told["persona_new_for_good_after"] is not None
    assert told["persona_new_for_good_after"] <= 17
    assert told["probes_at_end"] == 1.0
    assert [step.live for step in steps[-3:]] == [1.0, 1.0, 1.0]
    assert steps[-1].tokens <= steps[19].tokens + 120
    assert told["tokens_most"] < 300
