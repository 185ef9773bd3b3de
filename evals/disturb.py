"""Histories disturbed on purpose, for studies: truths that are wrong, and a taste that turns."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from personaagent.errors import InputError
from personaagent.evals.tasks import Row, Split, Task


def flipped(task: Task, splits: Sequence[Split], share: float, seed: int) -> list[Split]:
    """The splits with that share of each history's truths replaced by another of the user's own labels.

    Test rows keep their truth. Which rows are hit depends on seed and user alone. Raises InputError for a task without
    labels, and for a share outside of 0 to 1.
    """
    _need_labels(task)
    if not 0 <= share <= 1:
        raise InputError(f"--flip is {share}: give a share from 0 to 1")
    return [replace(split, history=_with_noise(task, split, share, seed)) for split in splits]


def turned(task: Task, splits: Sequence[Split], seed: int) -> list[Split]:
    """The splits with a taste that turns half way through each history and stays so in the test rows.

    From there on a score s of the scale is its mirror image; a label is always the same other label of the user's own.
    Raises InputError for a task without labels.
    """
    _need_labels(task)
    return [_turned(task, split, seed) for split in splits]


def _with_noise(task: Task, split: Split, share: float, seed: int) -> tuple[Row, ...]:
    drawn = random.Random(f"flip/{seed}/{split.user_id}")
    labelled = [place for place, row in enumerate(split.history) if row.truth]
    hit = set(drawn.sample(labelled, round(share * len(labelled))))
    own = _own(task, split)
    rows = []
    for place, row in enumerate(split.history):
        others = [label for label in own if label != row.truth]
        rows.append(replace(row, truth=drawn.choice(others)) if place in hit and others else row)
    return tuple(rows)


def _turned(task: Task, split: Split, seed: int) -> Split:
    middle = len(split.history) // 2
    own = _own(task, split)
    if task.metric == "mae":
        after = dict(zip(task.choices, reversed(task.choices), strict=True))
    else:
        random.Random(f"turn/{seed}/{split.user_id}").shuffle(own)
        after = dict(zip(own, [*own[1:], *own[:1]], strict=True))
    history = (*split.history[:middle], *(_mapped(row, after) for row in split.history[middle:]))
    return replace(split, history=history, test=tuple(_mapped(row, after) for row in split.test))


def _mapped(row: Row, after: dict[str, str]) -> Row:
    return replace(row, truth=after.get(row.truth, row.truth))


def _own(task: Task, split: Split) -> list[str]:
    """The labels that the user has, in the task's order; all of the task's where the user has but one."""
    had = {row.truth for row in (*split.history, *split.test)}
    own = [label for label in task.choices if label in had]
    return own if len(own) > 1 else list(task.choices)


def _need_labels(task: Task) -> None:
    if not task.choices:
        raise InputError(f"{task.name} has no labels that every row shares: there is nothing to flip")
