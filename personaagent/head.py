"""The answer head of closed choices: what the model thinks and what the user's nearest labelled memories say, weighed.

Both are distributions over the choices. They are combined as ``p ∝ model^a · vote^b``; how much each counts is learnt
for this user from their own past, each label foretold before it was known, and drawn towards ``PRIOR`` while there is
little of it. Where the endpoint gives no log-probabilities the model's one answer stands for its distribution, believed
as often as such answers were right, so that the vote decides where the model is known to be doubtful.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import exp, log
from typing import TYPE_CHECKING

from personaagent.inputs import check_user_id
from personaagent.labels.answers import number
from personaagent.ledger.interactions import Interactions
from personaagent.ports import Where
from personaagent.types import Interaction, Recall

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


Distribution = Mapping[str, float]

VOTERS = 16  # nearest labelled memories that vote
TEMPERATURE = 0.1  # of the similarity: a memory that is closer by this much counts e times as much
LEFT_OPEN = 0.05  # of a full vote that is shared by all choices; with fewer voters more
FLOOR = 1e-4  # of the model's probability of a choice
LEAST = 1e-3  # probabilities below are not kept
REMEMBERED = 60  # newest foretold labels that the weights are learnt from
PREDICTED_KEY = "predicted"  # in an interaction's metadata: what was foretold, before the label

_MODEL_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
_VOTE_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5)
_PULL = 4.0  # nats for a weight that is 1 away from the prior
_RIGHT, _WRONG = 3.0, 2.0  # answers imagined before the first one, for the belief in bare answers


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """How much the model and the vote count, and how often a bare answer of the model was right."""

    model: float
    vote: float
    belief: float = _RIGHT / (_RIGHT + _WRONG)


PRIOR = Weights(model=0.5, vote=1.0)


def vote(recalled: Sequence[Recall], choices: Sequence[str]) -> dict[str, float]:
    """The distance-weighted vote of the nearest labelled memories, summing to 1; empty where none of them votes."""
    voters = [(r.similarity, str(r.interaction.ground_truth)) for r in recalled if r.similarity is not None]
    voters = sorted((v for v in voters if v[1] in choices), reverse=True)[:VOTERS]
    if not voters:
        return {}
    nearest = voters[0][0]
    found = dict.fromkeys(choices, LEFT_OPEN * VOTERS / len(voters) / len(choices))
    weighed = [(label, exp((similarity - nearest) / TEMPERATURE)) for similarity, label in voters]
    total = sum(weight for _, weight in weighed)
    for label, weight in weighed:
        found[label] += weight / total
    return _normal(found)


def combine(model: Distribution, votes: Distribution, choices: Sequence[str], weights: Weights) -> dict[str, float]:
    """The distribution that is answered from, over all of ``choices``; the model's own where nothing votes."""
    believed = _believed(model, choices, weights.belief)
    if not votes:
        return _normal({choice: max(FLOOR, believed.get(choice, 0.0)) for choice in choices})
    scores = {
        choice: weights.model * log(max(FLOOR, believed.get(choice, 0.0)))
        + weights.vote * log(max(FLOOR, votes.get(choice, 0.0)))
        for choice in choices
    }
    highest = max(scores.values())
    return _normal({choice: exp(score - highest) for choice, score in scores.items()})


def answer_of(probabilities: Distribution) -> str:
    """The likeliest choice; where all choices are numbers their median, which is least far off."""
    scale = {choice: value for choice in probabilities if (value := number(choice)) is not None}
    if len(scale) < len(probabilities):
        return max(probabilities, key=lambda choice: probabilities[choice])
    left = 0.5 * sum(probabilities.values())
    for choice in sorted(scale, key=lambda choice: scale[choice]):
        left -= probabilities[choice]
        if left <= 0:
            break
    return choice


def learnt(past: Sequence[Interaction]) -> Weights:
    """The weights that would have foretold the user's own labels best (nats), drawn towards the prior.

    ``past`` are labelled interactions of one task, with what was foretold of them (``predicted``), if anything was.
    """
    foretold = [(i, told) for i in past[-REMEMBERED:] if (told := predicted(i)) and i.ground_truth in i.choices]
    bare = [max(told[0], key=lambda c: told[0][c]) == i.ground_truth for i, told in foretold if _is_bare(told[0])]
    belief = (_RIGHT + sum(bare)) / (_RIGHT + _WRONG + len(bare))
    told_both = [(i, told) for i, told in foretold if told[1]]
    if not told_both:
        return Weights(model=PRIOR.model, vote=PRIOR.vote, belief=belief)

    import numpy as np

    tried = [(a, b) for a in _MODEL_WEIGHTS for b in _VOTE_WEIGHTS if a or b]
    model, vote = np.array(tried).T[:, :, None]  # of each pair of weights, all of which are tried at once
    nats = -_PULL * ((model - PRIOR.model) ** 2 + (vote - PRIOR.vote) ** 2)[:, 0]
    for i, (said, votes) in told_both:
        choices = list(dict.fromkeys(i.choices))
        scores = model * _logs(_believed(said, choices, belief), choices) + vote * _logs(votes, choices)
        odds = np.exp(scores - scores.max(axis=1, keepdims=True))
        nats += np.log(np.maximum(0.01, odds[:, choices.index(str(i.ground_truth))] / odds.sum(axis=1)))
    best = tried[int(nats.argmax())]
    return Weights(model=best[0], vote=best[1], belief=belief)


def predicted(interaction: Interaction) -> tuple[Distribution, Distribution] | None:
    """What model and vote foretold of an interaction, as it was kept (``to_keep``); None for nothing readable."""
    kept = interaction.metadata.get(PREDICTED_KEY)
    if not isinstance(kept, Mapping) or not (model := _read(kept.get("model"))):
        return None
    return model, _read(kept.get("vote"))


def to_keep(model: Distribution, votes: Distribution) -> dict[str, dict[str, float]]:
    """What was foretold as JSON, probabilities below ``LEAST`` left out."""
    kept = {"model": model, "vote": votes}
    return {name: {c: round(p, 4) for c, p in said.items() if p >= LEAST} for name, said in kept.items()}


def _read(kept: object) -> dict[str, float]:
    items = kept.items() if isinstance(kept, Mapping) else ()
    return {str(c): float(p) for c, p in items if isinstance(p, int | float) and 0 <= p <= 1}


def _logs(said: Distribution, choices: Sequence[str]) -> NDArray[np.float64]:
    import numpy as np

    return np.log([max(FLOOR, said.get(choice, 0.0)) for choice in choices])


def _is_bare(model: Distribution) -> bool:
    return len(model) == 1


def _believed(model: Distribution, choices: Sequence[str], belief: float) -> Distribution:
    """The model's distribution; of a bare answer one that leaves the doubt that is due to the others."""
    if not _is_bare(model):
        return model
    rest = (1 - belief) / max(1, len(choices) - 1)
    return {choice: belief if choice in model else rest for choice in choices}


def _normal(weights: Distribution) -> dict[str, float]:
    total = sum(weights.values())
    return {choice: weight / total for choice, weight in weights.items()}


PAST = 200  # newest labelled interactions among which foretold ones are looked for
KNOWN = 2_048  # weights that are at hand


class Weighing:
    """The weights of every user and task, kept with a mark of the labels that they were learnt from."""

    def __init__(self, interactions: Interactions) -> None:
        self._interactions = interactions
        self._known: dict[tuple[str, Where], tuple[tuple[int | None, ...], Weights]] = {}

    async def of(self, user_id: str, where: Where) -> Weights:
        """The weights by the user's newest labels that ``where`` leaves. Raises StoreError."""
        check_user_id(user_id)
        where = replace(where, labelled=True)
        mark = await self._interactions.mark(user_id, PAST, where)
        known = self._known.get((user_id, where))
        if known is not None and known[0] == mark:
            return known[1]
        past = await self._interactions.newest(user_id, PAST, where)
        weights = learnt(past)
        if len(self._known) >= KNOWN:
            self._known.clear()
        self._known[user_id, where] = mark, weights
        return weights
