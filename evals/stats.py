"""Intervals by bootstrap over users, since rows of one user are not independent; paired where systems are compared.

Users are drawn again with replacement. Where there are fewer than ten of them, rows are drawn again within each drawn
user too: three users alone would give an interval that says more about which three they are than about the system.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

FEW_USERS = 10
ROUNDS = 1_000
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and the ends of its 95 % interval."""

    value: float
    low: float
    high: float


def interval(
    by_user: Mapping[str, Sequence[Item]],
    score: Callable[[Sequence[Item]], float],
    *,
    seed: int = 0,
    rounds: int = ROUNDS,
) -> Interval:
    """The score over all rows, and its interval."""
    return _bootstrap(by_user, score, seed, rounds)


def paired(
    ours: Mapping[str, Mapping[str, Item]],
    theirs: Mapping[str, Mapping[str, Item]],
    score: Callable[[Sequence[Item]], float],
    *,
    seed: int = 0,
    rounds: int = ROUNDS,
) -> Interval:
    """The difference of two systems, ours minus theirs, over the rows (user → row id → item) that both answered."""
    both = _both(ours, theirs)
    return _bootstrap(both, lambda sample: score([a for a, _ in sample]) - score([b for _, b in sample]), seed, rounds)


def lowered(
    ours: Mapping[str, Mapping[str, Item]],
    theirs: Mapping[str, Mapping[str, Item]],
    score: Callable[[Sequence[Item]], float],
    *,
    seed: int = 0,
    rounds: int = ROUNDS,
) -> Interval:
    """By which share of theirs our score is lower, over the rows that both answered; 0 where theirs is 0."""

    def share(sample: Sequence[tuple[Item, Item]]) -> float:
        before = score([b for _, b in sample])
        return 1 - score([a for a, _ in sample]) / before if before else 0.0

    return _bootstrap(_both(ours, theirs), share, seed, rounds)


def _both(
    ours: Mapping[str, Mapping[str, Item]], theirs: Mapping[str, Mapping[str, Item]]
) -> dict[str, list[tuple[Item, Item]]]:
    return {
        user: [(rows[key], theirs[user][key]) for key in rows if key in theirs[user]]
        for user, rows in ours.items()
        if user in theirs
    }


def _bootstrap(
    by_user: Mapping[str, Sequence[Item]], statistic: Callable[[Sequence[Item]], float], seed: int, rounds: int
) -> Interval:
    groups = [list(by_user[user]) for user in sorted(by_user) if by_user[user]]
    if not groups:
        return Interval(0.0, 0.0, 0.0)
    drawn = random.Random(seed)
    values = []
    for _ in range(rounds):
        chosen = drawn.choices(groups, k=len(groups))
        if len(groups) < FEW_USERS:
            chosen = [drawn.choices(group, k=len(group)) for group in chosen]
        values.append(statistic([item for group in chosen for item in group]))
    values.sort()
    whole = statistic([item for group in groups for item in group])
    return Interval(whole, values[int(0.025 * rounds)], values[min(rounds - 1, int(0.975 * rounds))])
