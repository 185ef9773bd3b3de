"""What the gate lets through: users without any pattern, and users whom a candidate helps, by size of the effect.

No model: a simulated user gives paired losses, label by label; every ``EVERY`` labels there is an alignment with the
real split, share of doubt, rounds, test and rule for challengers, in memory. Deterministic by ``--seed``.

    python -m evals.perf.gate_bench [--users 400] [--seed 1]
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from personaagent.persona.gate import Evidence, labels_needed, share
from personaagent.racing import KEPT
from personaagent.scheduling import rounds, split
from personaagent.settings import Settings
from personaagent.types import Interaction, Simulation

EVERY, LABELS, CANDIDATES, BATCH, JUDGE = 3, 60, 2, 3, 6
LOOKS = (6, 12, 24, 48, 60)
START = datetime(2026, 1, 1, tzinfo=UTC)
Pair = Callable[[random.Random], tuple[float, float]]  # losses of the incumbent and of a candidate


@dataclass(slots=True)
class Try:
    """A candidate with its test; ``pairs`` are its losses by label, drawn once."""

    evidence: Evidence
    since: int
    judged: set[int] = field(default_factory=set)


class User:
    """One simulated user, whose every candidate is of the same worth."""

    def __init__(self, pair: Pair, rng: random.Random) -> None:
        settings = Settings()
        self._pair, self._rng = pair, rng
        self._confidence, self._margin = settings.gate_confidence, settings.gate_margin
        self._tried = 0
        self._challengers: list[Try] = []

    def committed_at(self) -> int | None:
        """The number of labels after which the first version was committed; None: none was."""
        for count in range(EVERY, LABELS + 1, EVERY):
            if self._align(count):
                return count
        return None

    def _align(self, count: int) -> bool:
        if self._race(self._challengers, list(range(count))[::-1]):
            return True
        self._challengers = self._kept(self._challengers)
        labelled = [
            Interaction(id=str(n), user_id="u", query="", created_at=START + timedelta(hours=n)) for n in range(count)
        ]
        new, judge = self._propose(labelled)
        if new and self._race(new, judge):
            return True
        self._challengers = self._kept([*self._challengers, *new])
        return False

    def _propose(self, labelled: list[Interaction]) -> tuple[list[Try], list[int]]:
        for number in range(CANDIDATES, 0, -1):
            size = max(JUDGE, labels_needed(Evidence(alpha=share(self._confidence, self._tried + number))))
            _, newer = split(labelled, BATCH, size)
            if len(newer) >= size:
                since = int(newer[0].id)
                new = [
                    Try(Evidence(alpha=share(self._confidence, self._tried + n)), since) for n in range(1, number + 1)
                ]
                self._tried += number
                return new, [int(i.id) for i in reversed(newer)]
        return [], []

    def _race(self, tries: list[Try], labels: list[int]) -> bool:
        done = 0
        for end in rounds(JUDGE, len(labels)) if labels else []:
            for one in tries:
                if one.evidence.judge(self._margin)[0] == "dropped":
                    continue
                for label in labels[done:end]:
                    if label >= one.since and label not in one.judged:
                        one.judged.add(label)
                        before, after = self._pair(self._rng)
                        one.evidence = one.evidence.observe(_simulation(before), _simulation(after))
            done = end
            if any(one.evidence.judge(self._margin)[0] == "proven" for one in tries):
                return True
        return False

    def _kept(self, tries: list[Try]) -> list[Try]:
        left = [t for t in tries if t.evidence.judge(self._margin)[0] == "open" and t.evidence.ahead]
        return sorted(left, key=lambda t: -t.evidence.wealth * t.evidence.alpha)[:KEPT]


def _simulation(loss: float) -> Simulation:
    return Simulation(interaction_id="", query="", expected="a", actual="a" if loss == 0 else "b", loss=loss)


def _bounded(value: float) -> float:
    return min(1.0, max(0.0, value))


def noise(gain: float) -> Pair:
    """Losses of texts: they vary from question to question (sd .2) and from answer to answer (sd .1)."""

    def pair(rng: random.Random) -> tuple[float, float]:
        question = rng.gauss(0.55, 0.2)
        return _bounded(question + rng.gauss(0, 0.1)), _bounded(question - gain + rng.gauss(0, 0.1))

    return pair


def steady(gain: float) -> Pair:
    """Losses of closed choices by log-probability: another persona moves them by little (sd .02)."""

    def pair(rng: random.Random) -> tuple[float, float]:
        question = abs(rng.gauss(0.0, 0.25))
        return _bounded(question + rng.gauss(0, 0.02)), _bounded(question - gain + rng.gauss(0, 0.02))

    return pair


def ties(share_of_ties: float) -> Pair:
    """Right or wrong, where most answers stay as they were."""

    def pair(rng: random.Random) -> tuple[float, float]:
        if rng.random() < share_of_ties:
            loss = float(rng.random() < 0.5)
            return loss, loss
        return float(rng.random() < 0.5), float(rng.random() < 0.5)

    return pair


def skewed(rng: random.Random) -> tuple[float, float]:
    """Most losses are near 0, a few are near 1."""
    return _bounded(rng.expovariate(8)), _bounded(rng.expovariate(8))


def uniform(rng: random.Random) -> tuple[float, float]:
    """Labels drawn at random of four: any answer is right in a quarter of the cases."""
    return float(rng.random() < 0.75), float(rng.random() < 0.75)


def rare(rng: random.Random) -> tuple[float, float]:
    """Nine labels gain a little, the tenth loses all of it."""
    return (0.5, 0.47 + rng.gauss(0, 0.01)) if rng.random() < 0.9 else (0.5, 0.77 + rng.gauss(0, 0.01))


def untouched(rng: random.Random) -> tuple[float, float]:
    """The user leaves every answer as it is, so that another one can only be further away."""
    return 0.0, _bounded(abs(rng.gauss(0.2, 0.2)))


ROWS: dict[str, Pair] = {
    "none: labels at random, four choices": uniform,
    "none: answers left untouched": untouched,
    "none: text, noise": noise(0),
    "none: log-probabilities, noise": steady(0),
    "none: 80 % ties": ties(0.8),
    "none: skewed losses": skewed,
    "none: small gains, rare large losses": rare,
    **{f"mean loss lower by {gain}": noise(gain) for gain in (0.02, 0.05, 0.1, 0.2, 0.4)},
    **{f"log-probabilities, mean loss lower by {gain}": steady(gain) for gain in (0.02, 0.04)},
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    heads = " | ".join(f"by {count} labels" for count in LOOKS)
    print(f"| effect of the candidates | {heads} |\n|---|{'---|' * len(LOOKS)}")
    for name, pair in ROWS.items():
        rng = random.Random(f"{options.seed} {name}")
        ends = [User(pair, rng).committed_at() for _ in range(options.users)]
        shares = (sum(1 for end in ends if end is not None and end <= look) / options.users for look in LOOKS)
        print(f"| {name} | {' | '.join(f'{one:.1%}' for one in shares)} |")


if __name__ == "__main__":
    main()
