"""When an alignment is due, and which interactions teach and which judge."""

from __future__ import annotations

from collections.abc import Sequence

from personaagent.types import Interaction


def due(new_labels: int, align_after: int) -> bool:
    """Whether enough labels came after the persona's ``aligned_through``.

    Count the labels after that cursor, not all of them, or every turn realigns.
    """
    return new_labels >= max(1, align_after)


def split(labelled: Sequence[Interaction], batch: int, judge: int) -> tuple[list[Interaction], list[Interaction]]:
    """Return (teach, judge), both oldest first: the newest judge, the ones before them teach.

    ``labelled`` comes oldest first. With fewer than ``batch + judge`` they share in the same proportion, at least
    one each; with fewer than two both are empty.
    """
    batch, judge = max(1, batch), max(1, judge)
    if len(labelled) < 2:
        return [], []
    wanted = len(labelled) * judge / (batch + judge)
    judging = min(judge, len(labelled) - 1, max(1, round(wanted)))
    if len(labelled) >= batch + judge:
        judging = judge
    older, newer = labelled[: len(labelled) - judging], labelled[len(labelled) - judging :]
    return list(older[-batch:]), list(newer)
