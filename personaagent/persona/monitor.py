"""The monitor: a version that alignment committed and that does worse live than its parent did, is taken back.

The gate compares two personas on the same interactions; live, every interaction was answered once, under one version,
so nothing can be paired. What is compared is the mean live loss of the answers given under each.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from personaagent import telemetry
from personaagent.errors import PersonaConflict
from personaagent.labels.loss import loss
from personaagent.ports import EpisodicMemory, PersonaStore, Where
from personaagent.types import Interaction, Persona

MIN_ANSWERS = 3  # labelled answers under each of the two; doubtful labels count less
MARGIN = 0.1  # by which the mean live loss must be higher
CONFIDENCE = 0.95  # posterior probability that it is really higher
RATINGS = 5
WATCHED = 400  # newest answers that are looked at

_GRID = (np.arange(2_000) + 0.5) / 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What the monitor thinks of a version. ``before`` and ``after`` are mean live losses: the parent's and its own."""

    worse: bool
    reason: str
    before: float | None = None
    after: float | None = None
    confidence: float | None = None  # posterior probability that the version is the worse one


def watch(current: Persona, parent: Persona, answered: Sequence[Interaction]) -> Watch:
    """Hold the version's live losses against its parent's; a version that alignment did not commit is never worse.

    Only tasks that were answered under both count, because another task may simply be a harder one. Each answer is
    an observation of its loss, weighted by how far its label is to be believed. With the mean of each side as the
    parameter of a Bernoulli variable and a uniform prior, the posterior is Beta(1 + weighted loss, 1 + weighted rest);
    for losses in between 0 and 1 that overstates the variance, so the test is cautious. Worse is a version when all
    of this is so: both sides weigh ``MIN_ANSWERS``, the mean is higher by ``MARGIN``, and
    P(loss of the version > loss of the parent) is at least ``CONFIDENCE``.
    """
    if current.origin != "aligned":
        return Watch(worse=False, reason=f"version {current.version} was not committed by alignment ({current.origin})")
    mine = [i for i in answered if i.persona_version == current.version and live_loss(i) is not None]
    theirs = [i for i in answered if i.persona_version == parent.version and live_loss(i) is not None]
    shared = {i.task for i in mine} & {i.task for i in theirs}
    after, before = (_weighed(i for i in side if i.task in shared) for side in (mine, theirs))
    if min(after.weight, before.weight) < MIN_ANSWERS:
        return Watch(
            worse=False,
            reason=f"{after.weight:g} labelled answers under version {current.version} and {before.weight:g} under "
            f"version {parent.version}, {MIN_ANSWERS} of each are needed",
        )
    belief = probability_higher(after.lost, after.weight, before.lost, before.weight)
    means = {"before": before.mean, "after": after.mean, "confidence": belief}
    score = (
        f"live loss {before.mean:.2f} under version {parent.version} ({before.weight:g} answers), "
        f"{after.mean:.2f} under version {current.version} ({after.weight:g}), {belief:.0%} sure that it is worse"
    )
    return Watch(worse=after.mean - before.mean >= MARGIN and belief >= CONFIDENCE, reason=score, **means)


def live_loss(interaction: Interaction) -> float | None:
    """How far the answer was from what the user wanted, 0..1; None where there is no answer or nobody said.

    A rating without a truth counts too (5 is 0, 1 is 1): bad ratings bring no truth, and leaving them out would make
    every version look good.
    """
    if not interaction.response:
        return None
    if interaction.ground_truth is not None:
        return loss(interaction.ground_truth, interaction.response, interaction.choices)
    return None if interaction.rating is None else (RATINGS - interaction.rating) / (RATINGS - 1)


def probability_higher(lost: float, weight: float, other_lost: float, other_weight: float) -> float:
    """P(p > q) for p ~ Beta(1 + lost, 1 + weight - lost) and q likewise of the other: 3 of 3 against 0 of 3 is .986."""
    p, q = _density(lost, weight), _density(other_lost, other_weight)
    return float(np.sum(p * (np.cumsum(q) - q / 2)))


@dataclass(frozen=True, slots=True)
class _Side:
    lost: float
    weight: float

    @property
    def mean(self) -> float:
        return self.lost / self.weight


def _weighed(answers: Iterable[Interaction]) -> _Side:
    lost = weight = 0.0
    for answer in answers:
        believed = answer.truth_confidence if answer.truth_source == "implicit" else None
        share = 1.0 if believed is None else min(1.0, max(0.0, believed))
        lost, weight = lost + share * (live_loss(answer) or 0.0), weight + share
    return _Side(lost, weight)


def _density(lost: float, weight: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The Beta posterior on a grid, summing to 1."""
    logs = lost * np.log(_GRID) + (weight - lost) * np.log1p(-_GRID)
    values = np.exp(logs - logs.max())
    return np.asarray(values / values.sum(), dtype=np.float64)


class Monitor:
    """Takes back the version in force where it does worse live than its parent."""

    def __init__(self, personas: PersonaStore, episodic: EpisodicMemory) -> None:
        self._personas, self._episodic = personas, episodic

    async def watch(self, user_id: str) -> Persona | None:
        """Roll the version in force back if it is worse; returns the new version or None."""
        current = await self._personas.current(user_id)
        if current is None or current.origin != "aligned" or current.parent is None:
            return None
        parent = await self._personas.get(user_id, current.parent)
        found = watch(current, parent, await self._episodic.newest(user_id, WATCHED, Where(since=parent.created_at)))
        if not found.worse:
            return None
        try:
            rolled_back = await self._personas.append(
                user_id,
                parent.sections,
                "rollback",
                expected_parent=current.version,
                proposer="monitor",
                reason=f"rolled back by the monitor: {found.reason}",
                loss_before=found.after,
                loss_after=found.before,
            )
        except PersonaConflict:
            return None  # another version is in force by now, and this one is no longer in question
        telemetry.alignments.labels("rolled_back").inc()
        return rolled_back
