"""The gate: a candidate must win, on interactions that taught nobody, by more than chance would give it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, comb, floor

from personaagent.persona.shape import token_count
from personaagent.types import Candidate, Simulation, Verdict

MIN_JUDGED = 2  # one interaction says nothing
TIE = 0.01  # losses this close are the same


@dataclass(frozen=True, slots=True)
class _Pair:
    before: float
    after: float
    weight: float
    implicit: bool

    @property
    def gain(self) -> float:
        return self.before - self.after


def judge(
    before: Sequence[Simulation],
    after: Sequence[Simulation],
    *,
    margin: float,
    confidence: float,
    weights: Mapping[str, float] | None = None,
    tries: int = 1,
) -> Verdict:
    """Hold a candidate's simulations (``after``) against the incumbent's, paired by interaction.

    Accepted when all of this is so:

    - at least ``MIN_JUDGED`` pairs; where the incumbent got no answer for technical reasons there is no pair, where
      the candidate got none it lost;
    - the weighted mean gain in loss is at least ``margin``;
    - more wins than losses, and ``posterior(wins, losses)`` of at least ``confidence``; of ``tries`` candidates that
      met the same interactions, over all epochs, one wins by luck more easily: the doubt allowed is divided by them;
    - explicit truth, where there is any, does not speak against it.

    ``weights`` holds the implicitly labelled interactions and how far each is to be believed (0..1); all others are
    explicit and count 1. Weighted wins are rounded down and losses up. The reason says what decided.
    """
    pairs = _pairs(before, after, weights or {})
    total = sum(pair.weight for pair in pairs)
    if len(pairs) < MIN_JUDGED or total <= 0:
        return Verdict(accepted=False, reason=f"{_count(len(pairs))} to judge by, at least {MIN_JUDGED} are needed")
    won = [pair for pair in pairs if pair.gain > TIE]
    lost = [pair for pair in pairs if pair.gain < -TIE]
    wins, losses = floor(_weight(won) + 1e-9), ceil(_weight(lost) - 1e-9)
    mean_before = sum(pair.weight * pair.before for pair in pairs) / total
    mean_after = sum(pair.weight * pair.after for pair in pairs) / total
    belief = posterior(wins, losses)
    needed = 1 - (1 - confidence) / max(1, tries)
    refusal = _refusal(
        pairs,
        gain=mean_before - mean_after,
        margin=margin,
        wins=wins,
        losses=losses,
        belief=belief,
        needed=needed,
    )
    score = f"{len(won)} won, {len(lost)} lost, {len(pairs) - len(won) - len(lost)} tied"
    return Verdict(
        accepted=refusal is None,
        reason=f"{refusal} ({score})" if refusal else f"loss {mean_before:.2f} → {mean_after:.2f} ({score})",
        wins=len(won),
        losses=len(lost),
        ties=len(pairs) - len(won) - len(lost),
        loss_before=mean_before,
        loss_after=mean_after,
        confidence=belief,
    )


def posterior(wins: int, losses: int) -> float:
    """The probability that the candidate wins more often than not, from a uniform prior and without the ties.

    With p ~ Beta(1 + w, 1 + l), P(p > 1/2) = P(Binomial(w + l + 1, 1/2) <= w): 2:0 gives .875, 1:0 gives .75.
    """
    tosses = wins + losses + 1
    return float(sum(comb(tosses, heads) for heads in range(wins + 1)) / 2**tosses)


def unbeatable(judged: Sequence[Simulation]) -> bool:
    """Whether the incumbent got every judging interaction right, so that no candidate can win."""
    return bool(judged) and all(simulation.error is None and simulation.loss <= TIE for simulation in judged)


def best(candidates: Sequence[Candidate]) -> Candidate | None:
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


def _pairs(before: Sequence[Simulation], after: Sequence[Simulation], weights: Mapping[str, float]) -> list[_Pair]:
    candidate = {simulation.interaction_id: simulation for simulation in after}
    return [
        _Pair(
            before=old.loss,
            after=candidate[old.interaction_id].loss,
            weight=min(1.0, max(0.0, weights.get(old.interaction_id, 1.0))),
            implicit=old.interaction_id in weights,
        )
        for old in before
        if old.error is None and old.interaction_id in candidate
    ]


def _refusal(
    pairs: Sequence[_Pair], *, gain: float, margin: float, wins: int, losses: int, belief: float, needed: float
) -> str | None:
    explicit = [pair for pair in pairs if not pair.implicit]
    if len(explicit) < len(pairs) and sum(pair.gain for pair in explicit) < -TIE:
        return "no change: explicit truth contradicts it"
    if gain < -TIE:
        return "no change: worse than the incumbent"
    if wins == losses == 0:
        return "no change: no difference on the judging interactions"
    if gain < margin or gain <= 0:
        return f"no change: gain {gain:.3f}, at least {margin:.3f} is needed"
    if wins <= losses:
        return "no change: not more wins than losses"
    if belief < needed:
        return f"no change: only {belief:.0%} sure, {needed:.0%} is needed"
    return None


def _weight(pairs: Sequence[_Pair]) -> float:
    return sum(pair.weight for pair in pairs)


def _count(judged: int) -> str:
    return f"no change: only {judged} interaction{'' if judged == 1 else 's'}"
