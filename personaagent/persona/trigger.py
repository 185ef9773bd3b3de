"""When an alignment is due, and which interactions teach and which judge."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from personaagent.types import Interaction

WITNESSES = 3  # one in so many judging interactions is explicit, where no other is
TEACHING = 3  # interactions that are left to teach where there are enough
MOST_JUDGES = 48  # interactions that judge in one alignment, where the history is long


def due(new_labels: int, align_after: int) -> bool:
    """Whether enough labels came after the persona's ``aligned_through``.

    Count the labels after that cursor, not all of them, or every turn realigns.
    """
    return new_labels >= max(1, align_after)


def split(
    labelled: Sequence[Interaction], batch: int, judge: int, *, holding: int | None = None
) -> tuple[list[Interaction], list[Interaction]]:
    """Return (teach, judge), both oldest first: the newest judge, the ones before them teach.

    ``labelled`` comes oldest first. Where there are enough, ``batch`` of them teach and at least ``judge`` judge:
    half of a longer history does, up to ``MOST_JUDGES``; where the taste has turned, half of the ``holding`` labels
    since then. Of fewer, ``TEACHING`` teach first, at least one judges; fewer than two are neither.
    """
    batch, judge, count = max(1, batch), max(1, judge), len(labelled)
    if count < 2:
        return [], []
    wanted = max(judge, min(MOST_JUDGES, (count if holding is None else holding) // 2))
    judging = max(1, min(wanted, count - min(batch, TEACHING)))
    older, newer = labelled[: count - judging], labelled[count - judging :]
    return list(older[-batch:]), list(newer)


def with_witnesses(
    teach: Sequence[Interaction], judge: Sequence[Interaction], labelled: Sequence[Interaction]
) -> tuple[list[Interaction], list[Interaction]]:
    """Return (teach, judge), the judging ones in the order in which they judge: newest first, witnesses before them.

    Where every judging interaction is labelled implicitly, the newest explicit ones of ``labelled`` (oldest first)
    judge too, a third as many and at least one, and no longer teach: what the user said may be older than what was
    inferred, and must be heard before that is committed. One interaction is always left to teach.
    """
    newest_first = sorted(judge, key=lambda i: i.created_at, reverse=True)
    if not judge or any(i.truth_source != "implicit" for i in judge):
        return list(teach), newest_first
    explicit = [i for i in labelled if i.truth_source != "implicit" and (len(teach) > 1 or i not in teach)]
    called = explicit[-max(1, min(len(judge), 9) // WITNESSES) :]
    left = [i for i in teach if i not in called] or list(teach[:1])
    return left, [*(i for i in called if i not in left), *newest_first]


def rounds(first: int, judging: int) -> list[int]:
    """How many interactions have judged after each round: ``first``, then twice as many, until all have."""
    ends = [min(max(1, first), judging)]
    while ends[-1] < judging:
        ends.append(min(judging, 2 * ends[-1]))
    return ends


def taught_until(teach: Sequence[Interaction], judge: Sequence[Interaction]) -> datetime:
    """The moment before which a proposer may read: that of the first judging interaction after the teaching ones."""
    return min(i.created_at for i in judge if i.created_at > teach[-1].created_at)
