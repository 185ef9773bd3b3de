"""Scores as the benchmark computes them: a label is right when it is the truth; what cannot be read is wrong."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

Pair = tuple[str, str]  # (answer, truth)


def accuracy(pairs: Sequence[Pair]) -> float:
    """The share of answers that are the truth, spaces around them aside; 0 for no answers."""
    return sum(answer.strip() == truth.strip() for answer, truth in pairs) / len(pairs) if pairs else 0.0


def macro_f1(pairs: Sequence[Pair], labels: Sequence[str]) -> float:
    """The mean F1 over the labels that occur among answers or truths."""
    scores = []
    for label in labels:
        hit = sum(answer.strip() == label == truth for answer, truth in pairs)
        said = sum(answer.strip() == label for answer, _ in pairs)
        meant = sum(truth == label for _, truth in pairs)
        if said or meant:
            scores.append(2 * hit / (said + meant))
    return sum(scores) / len(scores) if scores else 0.0


def absolute_errors(pairs: Sequence[Pair]) -> list[float]:
    """The distance of each score; an answer that is no number counts as whichever of 1 and 5 is further off."""
    errors = []
    for answer, truth in pairs:
        gold = float(truth)
        try:
            errors.append(abs(float(answer) - gold))
        except ValueError:
            errors.append(max(abs(1 - gold), abs(5 - gold)))
    return errors


def mae(pairs: Sequence[Pair]) -> float:
    """The mean absolute error; 0 for no answers."""
    errors = absolute_errors(pairs)
    return sum(errors) / len(errors) if errors else 0.0


def rmse(pairs: Sequence[Pair]) -> float:
    """The root of the mean squared error; 0 for no answers."""
    errors = absolute_errors(pairs)
    return float((sum(e * e for e in errors) / len(errors)) ** 0.5) if errors else 0.0


def unparsable(pairs: Sequence[Pair], choices: Sequence[str]) -> float:
    """The share of answers that are none of the choices."""
    return sum(answer.strip() not in choices for answer, _ in pairs) / len(pairs) if pairs else 0.0


def interval(
    by_user: Mapping[str, Sequence[float]], *, seed: int = 0, rounds: int = 2_000, level: float = 0.95
) -> tuple[float, float]:
    """A bootstrap interval of the mean: users are drawn again, then rows within each, since users are few here."""
    drawn = random.Random(seed)
    groups = [list(values) for values in by_user.values() if values]
    if not groups:
        return 0.0, 0.0

    def once() -> float:
        sample = [value for _ in groups for value in _again(drawn.choice(groups), drawn.choices)]
        return sum(sample) / len(sample)

    means = sorted(once() for _ in range(rounds))
    tail = (1 - level) / 2
    return means[int(tail * rounds)], means[min(rounds - 1, int((1 - tail) * rounds))]


def _again(values: list[float], choices: Callable[..., list[float]]) -> list[float]:
    return choices(values, k=len(values))
