"""Studies: one thing is varied, all else is equal; the report draws the curve."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from personaagent.errors import InputError
from personaagent.evals.evaluation import Wanted

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
