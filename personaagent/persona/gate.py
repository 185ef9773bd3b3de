"""The gate: a candidate must win, on interactions that taught nobody, by more than chance would give it.

The test is a bet. A candidate's wealth starts at 1 and is multiplied, label by label, by 1 + stake x weight x gain.
Where it is no better than the incumbent, gains and losses of a size are equally likely, the wealth cannot be expected
to grow, and the chance that it ever reaches 1/alpha is at most alpha (Ville), however often one looks. So judging may
go on with every label that comes. Several stakes run side by side: nobody knows the size of a gain beforehand.

``alpha`` of all attempts on one version is 1 - ``gate_confidence``, split over the candidates in order of being tried
(``share``). With the defaults (.05), where every gain is whole:

| candidate tried as number | alpha | wealth needed | judging labels at best |
|---|---|---|---|
| 1 | .0300 | 33 | 6 |
| 2 | .0122 | 82 | 8 |
| 3 | .0030 | 329 | 10 |
| 4 | .0014 | 740 | 11 |
| 6 | .0005 | 2056 | 13 |
| 10 | .0002 | 6662 | 15 |
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import exp, log, pi
from typing import Any, Literal

from personaagent.labels.answers import bare
from personaagent.persona.shape import token_count
from personaagent.types import Candidate, Simulation, Verdict

TIE = 0.01  # losses this close are the same
SCALE = 0.25  # a gain in loss from which it counts whole
STAKES = ((0.1, 0.1), (0.4, 0.2), (0.9, 0.7))  # stake and its share of the wealth at the start
FIRST_SHARE = 0.6  # of alpha, for the candidate that is tried first
FUTILE = 0.1  # wealth at which a candidate is given up
PATIENCE = 6  # labels after which one that is behind is given up
MOST_LABELS = 60  # that judge one candidate
NEAR = 0.2  # loss of a text that is as good as right
FLIPS = 0.1  # share of the answers that were right which a candidate may break, but one at least
MANY = 10  # pairs from which it may not break more than it repairs
AHEAD = 10.0  # wealth, in the bet of one candidate against another, at which the other is out

Standing = Literal["proven", "open", "dropped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The state of one candidate's test, as plain values: ``asdict`` is JSON, and ``Evidence(**json)`` goes on with it.

    ``gain`` is in loss (0..1), weighted; ``before`` and ``after`` are weighted sums of losses.
    """

    alpha: float
    logs: tuple[float, ...] = tuple(0.0 for _ in STAKES)  # log-wealth of each stake
    pairs: int = 0
    wins: int = 0
    losses: int = 0
    weight: float = 0.0
    before: float = 0.0
    after: float = 0.0
    implicit: int = 0  # pairs whose label was only inferred
    explicit_gain: float = 0.0
    right: int = 0  # answers of the incumbent that were right
    broken: int = 0  # of them wrong now
    repaired: int = 0  # wrong ones that are right now
    since: str | None = None  # ISO time; from here on no interaction taught the candidate

    @property
    def wealth(self) -> float:
        """What the bets made of 1."""
        return sum(share * exp(at) for (_, share), at in zip(STAKES, self.logs, strict=True))

    @property
    def gain(self) -> float:
        """The weighted mean gain in loss; 0 before the first pair."""
        return (self.before - self.after) / self.weight if self.weight else 0.0

    def observe(self, old: Simulation, new: Simulation, belief: float | None = None) -> Evidence:
        """The state after one more pair of one interaction; ``belief`` (0..1) is that in an implicit label.

        Where the incumbent got no answer for technical reasons there is no pair; where the candidate got none it lost.
        """
        if old.error is not None:
            return self
        weight = 1.0 if belief is None else min(1.0, max(0.0, belief))
        difference = old.loss - new.loss
        bet = weight * _counted(difference)
        was, now = _right(old), _right(new)
        # a choice flips or does not; of texts the difference must count whole
        flipped = was != now and (abs(difference) >= SCALE or old.p_truth is not None)
        return replace(
            self,
            logs=tuple(at + log(1 + stake * bet) for (stake, _), at in zip(STAKES, self.logs, strict=True)),
            pairs=self.pairs + 1,
            wins=self.wins + (difference > TIE),
            losses=self.losses + (difference < -TIE),
            weight=self.weight + weight,
            before=self.before + weight * old.loss,
            after=self.after + weight * new.loss,
            implicit=self.implicit + (belief is not None),
            explicit_gain=self.explicit_gain + (difference if belief is None else 0.0),
            right=self.right + was,
            broken=self.broken + (flipped and was),
            repaired=self.repaired + (flipped and now),
        )

    def judge(self, margin: float) -> tuple[Standing, str]:
        """Where the candidate stands and why; ``margin`` is the mean gain in loss that a proven one must have."""
        refusal = self._refusal()
        if refusal:
            return "dropped", refusal
        flips = self.pairs > MANY and self.broken > self.repaired
        if self.wealth >= 1 / self.alpha and self.gain >= margin and self.gain > 0 and not flips:
            return "proven", f"loss {self.before / self.weight:.2f} → {self.after / self.weight:.2f}"
        if self.pairs >= MOST_LABELS:
            return "dropped", f"no proof after {self.pairs} labels"
        if flips:
            return "open", f"it breaks {self.broken} right answers and repairs {self.repaired}"
        return "open", f"not proven: evidence {self.wealth:.1f} of {1 / self.alpha:.0f}, gain {self.gain:.3f}"

    def _refusal(self) -> str | None:
        if self.implicit and self.explicit_gain < -TIE:
            return "explicit truth contradicts it"
        if self.broken > max(1.0, FLIPS * self.right):
            return f"it breaks {self.broken} of {self.right} answers that were right"
        if self.pairs >= PATIENCE and self.gain < -TIE:
            return "worse than the incumbent"
        if self.wealth < FUTILE:
            return "it loses too often"
        if self.pairs >= PATIENCE and not self.wins + self.losses:
            return "no difference on the judging interactions"
        return None

    def verdict(self, margin: float) -> Verdict:
        """The decision as it is kept with a candidate."""
        standing, reason = self.judge(margin)
        ties = self.pairs - self.wins - self.losses
        return Verdict(
            accepted=standing == "proven",
            reason=f"{reason} ({self.wins} won, {self.losses} lost, {ties} tied)",
            wins=self.wins,
            losses=self.losses,
            ties=ties,
            loss_before=self.before / self.weight if self.weight else None,
            loss_after=self.after / self.weight if self.weight else None,
            confidence=max(0.0, 1 - 1 / max(1.0, self.wealth)),
        )

    @property
    def ahead(self) -> bool:
        """Whether it is worth more labels: better so far, or not judged yet."""
        return not self.pairs or (self.wealth > 1 and self.gain > 0)


def evidence_json(evidence: Evidence) -> dict[str, Any]:
    """The state as JSON."""
    return asdict(evidence) | {"logs": list(evidence.logs)}


def evidence_of(value: Mapping[str, Any]) -> Evidence:
    """The state that ``evidence_json`` wrote."""
    return Evidence(**{**value, "logs": tuple(value["logs"])})


def share(confidence: float, number: int) -> float:
    """The alpha of the candidate tried as ``number`` (from 1) on a version; all of them sum to 1 - confidence."""
    doubt = 1 - confidence
    return FIRST_SHARE * doubt if number <= 1 else (1 - FIRST_SHARE) * doubt * 6 / (pi * (number - 1)) ** 2


def best_case(evidence: Evidence, gains: Sequence[float]) -> float:
    """The wealth after further labels of at most these gains (0..1 of a whole one), if all of them are won."""
    return sum(
        share * exp(at + sum(log(1 + stake * gain) for gain in gains))
        for (stake, share), at in zip(STAKES, evidence.logs, strict=True)
    )


def labels_needed(evidence: Evidence, gains: Sequence[float] = ()) -> int:
    """How many labels more than those of ``gains`` proof takes at best; 0 where those may be enough."""
    more = 0
    while more <= MOST_LABELS and best_case(evidence, [*gains, *([1.0] * more)]) < 1 / evidence.alpha:
        more += 1
    return more


def to_win(simulation: Simulation | None, belief: float | None = None) -> float:
    """The most that a label can bring a candidate, 0..1, where the incumbent's answer to it is known or not."""
    weight = 1.0 if belief is None else min(1.0, max(0.0, belief))
    if simulation is None:
        return weight
    return 0.0 if simulation.error is not None else weight * _counted(simulation.loss)


def behind(losses: Mapping[str, float], others: Mapping[str, float]) -> bool:
    """Whether the candidate of ``losses`` (by interaction) is beaten by that of ``others`` where both were judged."""
    duel = Evidence(alpha=1 / AHEAD)
    logs = duel.logs
    for one in losses.keys() & others.keys():
        bet = _counted(losses[one] - others[one])
        logs = tuple(at + log(1 + stake * bet) for (stake, _), at in zip(STAKES, logs, strict=True))
    return replace(duel, logs=logs).wealth >= AHEAD


def best(candidates: Collection[Candidate]) -> Candidate | None:
    """The accepted candidate with the lowest loss, then the surest, then the shortest; None when none is accepted."""
    accepted = [(c.verdict, c) for c in candidates if c.verdict is not None and c.verdict.accepted]
    if not accepted:
        return None
    return min(
        accepted,
        key=lambda pair: (
            pair[0].loss_after if pair[0].loss_after is not None else 1.0,
            -(pair[0].confidence or 0.0),
            token_count(pair[1].sections),
        ),
    )[1]


def _counted(difference: float) -> float:
    return 0.0 if abs(difference) <= TIE else min(1.0, max(-1.0, difference / SCALE))


def _right(simulation: Simulation) -> bool:
    """Whether the answer is the choice, or a text as good as the user's own: its form, capitals too, is in the loss."""
    if simulation.error is not None:
        return False
    if simulation.p_truth is not None:
        return bare(simulation.actual) == bare(simulation.expected)
    return simulation.loss <= NEAR
