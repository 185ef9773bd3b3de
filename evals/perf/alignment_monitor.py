"""``python -m evals.perf.alignment_monitor``: how often the monitor is right, when it looks after every label."""

from __future__ import annotations

import numpy as np

from personaagent.persona.monitor import CONFIDENCE, MARGIN, MIN_ANSWERS, probability_higher

LOOKS, RUNS, BEFORE = 20, 400, 10
CASES = ((0.2, 0.2), (0.5, 0.5), (0.8, 0.8), (0.2, 0.5), (0.5, 0.8), (0.2, 0.8), (0.3, 1.0))


def rolled_back(before: float, after: float) -> float:
    """The share of runs that roll back within ``LOOKS`` answers, at these true losses, ``BEFORE`` under the parent."""
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(RUNS):
        parent, wrong = float((rng.random(BEFORE) < before).sum()), (rng.random(LOOKS) < after).cumsum()
        for n in range(MIN_ANSWERS, LOOKS + 1):
            lost = float(wrong[n - 1])
            if lost / n - parent / BEFORE >= MARGIN and probability_higher(lost, n, parent, BEFORE) >= CONFIDENCE:
                hits += 1
                break
    return hits / RUNS


def main() -> None:
    """Print a Markdown table."""
    print("| true loss of the parent | of the version | rolled back within 20 labelled answers |\n|---|---|---|")
    for before, after in CASES:
        print(f"| {before} | {after} | {rolled_back(before, after):.0%} |", flush=True)


if __name__ == "__main__":
    main()
