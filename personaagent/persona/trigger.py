"""When an alignment is due, and which interactions teach and which judge."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from personaagent.types import Interaction

WITNESSES = 3  # one in so many judging interactions is explicit, where no other is


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


def with_witnesses(
    teach: Sequence[Interaction], judge: Sequence[Interaction], labelled: Sequence[Interaction]
) -> tuple[list[Interaction], list[Interaction]]:
    """Return (teach, judge) with explicit truth among the judging ones where there is any at all.

    Where every judging interaction is labelled implicitly, the newest explicit ones of ``labelled`` (oldest first)
    judge too, a third as many and at least one, and no longer teach: what the user said may be older than what was
    inferred, and must be heard before that is committed. One interaction is always left to teach.
    """
    if not judge or any(i.truth_source != "implicit" for i in judge):
        return list(teach), list(judge)
    explicit = [i for i in labelled if i.truth_source != "implicit" and (len(teach) > 1 or i not in teach)]
    called = explicit[-max(1, len(judge) // WITNESSES) :]
    left = [i for i in teach if i not in called] or list(teach[:1])
    called = [i for i in called if i not in left]
    return left, sorted([*called, *judge], key=lambda i: i.created_at)


def taught_until(teach: Sequence[Interaction], judge: Sequence[Interaction]) -> datetime:
    """The moment before which a proposer may read: that of the first judging interaction after the teaching ones."""
    return min(i.created_at for i in judge if i.created_at > teach[-1].created_at)
