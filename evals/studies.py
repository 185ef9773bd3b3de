"""The studies of one part, one number or one disturbance of what is learnt, all else equal."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from personaagent.errors import InputError
from personaagent.evals.evaluation import Wanted
from personaagent.evals.tasks import Row, Split, Task

UNALIGNED, ALIGNED, UNGATED = "persona_agent:alignment=off", "persona_agent", "persona_agent:gate=off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """What is varied: systems on the same rows, or the history, the memories or the noise that all of them get."""

    about: str
    systems: tuple[str, ...]
    histories: tuple[int | None, ...] = (None,)
    memories: tuple[int | None, ...] = (None,)
    flips: tuple[float, ...] = (0.0,)
    turn: bool = False


def _varied(argument: str, *values: int) -> tuple[str, ...]:
    return (UNALIGNED, *(f"{ALIGNED}:{argument}={value}" for value in values))


STUDIES = {
    "epochs": Study(about="test-time scaling: epochs of an alignment", systems=_varied("epochs", 1, 2, 3, 5)),
    "batch": Study(about="test-time scaling: interactions that teach", systems=_varied("batch", 3, 6, 12)),
    "candidates": Study(about="test-time scaling: candidates an epoch", systems=_varied("candidates", 1, 2, 4)),
    "memories": Study(
        about="test-time scaling: memories put before the model", systems=("rag", UNALIGNED), memories=(0, 1, 2, 4, 8)
    ),
    "cold_start": Study(
        about="only the newest rows of the history", systems=("nearest_neighbour", "rag", ALIGNED),
        histories=(5, 10, 20, 40),
    ),
    "gate": Study(about="alignment off, ungated as in the paper, gated", systems=(UNALIGNED, UNGATED, ALIGNED)),
    "noise": Study(
        about="a share of the history's truths is wrong", systems=(UNALIGNED, UNGATED, ALIGNED), flips=(0.0, 0.2, 0.4)
    ),
    "turn": Study(
        about="the user's taste turns half way through the history", turn=True,
        systems=("nearest_neighbour", "rag", UNALIGNED, UNGATED, ALIGNED, f"{ALIGNED}:realign=3"),
    ),
}  # fmt: skip


def wanted_by(name: str, base: Wanted) -> Iterator[Wanted]:
    """The evaluations of a study, each in a folder of its own below ``base.out``; raises InputError for another name.

    All share one file of model answers, so what two settings ask alike is paid once.
    """
    if name not in STUDIES:
        raise InputError(f"there is no study {name!r}; there are: {', '.join(STUDIES)}")
    study = STUDIES[name]
    for history in study.histories:
        for memories in study.memories:
            for flip in study.flips:
                told = {"history": history, "memories": memories, "flip": flip or None}
                place = "-".join(f"{key}_{value}" for key, value in told.items() if value is not None) or "all"
                yield replace(
                    base,
                    systems=study.systems,
                    out=base.out / name / place,
                    history=base.history if history is None else history,
                    recall_k=base.recall_k if memories is None else memories,
                    flip=flip,
                    turn=study.turn,
                    cache=base.cache or base.out / "answers.sqlite",
                )


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
