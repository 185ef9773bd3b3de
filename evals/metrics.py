"""Scores as the benchmark computes them: a label is right when it is exactly the truth; the unreadable is wrong."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence

from personaagent.evals.tasks import Metric
from personaagent.labels.loss import common_subsequence

Pair = tuple[str, str]  # (answer, truth)
Score = Callable[[Sequence[Pair]], float]
LEAST = 0.01  # the probability that a truth has at least: one surprise must not decide a mean
_WORD = re.compile(r"[a-z0-9]+")
_PIECE = re.compile(r"\w+|[^\w\s]|\n")


def accuracy(pairs: Sequence[Pair]) -> float:
    """The share of answers that are the truth, spaces around them aside; 0 for no answers."""
    return sum(answer.strip() == truth.strip() for answer, truth in pairs) / len(pairs) if pairs else 0.0


def macro_f1(pairs: Sequence[Pair], labels: Sequence[str]) -> float:
    """The mean F1 over all the task's labels, as LaMP computes it: one that never occurs counts 0."""
    said = Counter(answer.strip() for answer, _ in pairs)
    meant = Counter(truth.strip() for _, truth in pairs)
    hit = Counter(truth.strip() for answer, truth in pairs if answer.strip() == truth.strip())
    scores = [2 * hit[label] / (said[label] + meant[label]) if hit[label] else 0.0 for label in labels]
    return sum(scores) / len(scores) if scores else 0.0


def error(pair: Pair) -> float:
    """The distance of one score; an answer that is no number counts as whichever of 1 and 5 is further off."""
    answer, truth = pair
    gold = float(truth)
    try:
        distance = abs(float(answer) - gold)
    except ValueError:
        return max(abs(1 - gold), abs(5 - gold))
    # float() takes "nan" and "inf" too, which would swallow every other row's score
    return distance if distance < float("inf") else max(abs(1 - gold), abs(5 - gold))


def mae(pairs: Sequence[Pair]) -> float:
    """The mean absolute error; 0 for no answers."""
    return sum(map(error, pairs)) / len(pairs) if pairs else 0.0


def rmse(pairs: Sequence[Pair]) -> float:
    """The root of the mean squared error; 0 for no answers."""
    return float((sum(error(pair) ** 2 for pair in pairs) / len(pairs)) ** 0.5) if pairs else 0.0


def rouge_1(pairs: Sequence[Pair]) -> float:
    """The mean F1 of shared words (lower case, letters and digits, no stemming)."""
    return sum(_rouge(answer, truth, _shared) for answer, truth in pairs) / len(pairs) if pairs else 0.0


def rouge_l(pairs: Sequence[Pair]) -> float:
    """The mean F1 of the longest common subsequence of words."""
    return sum(_rouge(answer, truth, common_subsequence) for answer, truth in pairs) / len(pairs) if pairs else 0.0


def edit_cost(pairs: Sequence[Pair]) -> float:
    """The mean share of an answer that the user's edit changes: 1 - F1 of what both hold.

    Held against each other are words in their spelling, punctuation and line breaks, so that a list, a capital letter
    or a mark of Markdown counts too.
    """
    return (
        1 - sum(_f1(_pieces(answer), _pieces(truth), _shared) for answer, truth in pairs) / len(pairs) if pairs else 0.0
    )


def conformity(pairs: Sequence[Pair]) -> float:
    """The share of answers that the user leaves as they are (``untouched``)."""
    kept = sum(untouched(answer, truth) for answer, truth in pairs)
    return kept / len(pairs) if pairs else 0.0


def untouched(answer: str, truth: str) -> bool:
    """Whether an edit changed nothing but white space within and around lines; an empty answer is never left so."""
    return bool(answer.strip()) and _lines(answer) == _lines(truth)


def log_likelihood(probabilities: Sequence[float]) -> float:
    """The mean log of the probabilities that the truths were given, none counted below ``LEAST``; 0 for none."""
    return sum(math.log(max(p, LEAST)) for p in probabilities) / len(probabilities) if probabilities else 0.0


def words(pairs: Sequence[Pair]) -> float:
    """The mean length of the answers in words."""
    return sum(len(answer.split()) for answer, _ in pairs) / len(pairs) if pairs else 0.0


def unparsable(pairs: Sequence[Pair], choices: Sequence[str]) -> float:
    """The share of answers that are none of the choices; of free text, the share of empty ones."""
    known = {choice.strip() for choice in choices}
    bad = sum(answer.strip() not in known if known else not answer.strip() for answer, _ in pairs)
    return bad / len(pairs) if pairs else 0.0


def scores_of(metric: Metric, labels: Sequence[str]) -> dict[str, Score]:
    """The scores of a kind of task, the first of which leads; F1 only where all rows share their labels."""
    if metric == "mae":
        return {"MAE": mae, "RMSE": rmse, "accuracy": accuracy}
    if metric == "rouge":
        return {"ROUGE-1": rouge_1, "ROUGE-L": rouge_l}
    if metric == "edits":
        return {"edit cost": edit_cost, "conformity": conformity, "words": words}
    found: dict[str, Score] = {"accuracy": accuracy}
    return found | {"F1": lambda pairs: macro_f1(pairs, labels)} if labels else found


def lower_is_better(score: str) -> bool:
    """Whether the score is an error."""
    return score in ("MAE", "RMSE", "edit cost")


def _rouge(answer: str, truth: str, shared: Callable[[list[str], list[str]], int]) -> float:
    return _f1(_WORD.findall(answer.lower()), _WORD.findall(truth.lower()), shared)


def _f1(said: list[str], meant: list[str], shared: Callable[[list[str], list[str]], int]) -> float:
    return 2 * shared(said, meant) / (len(said) + len(meant)) if said and meant else 0.0


def _pieces(text: str) -> list[str]:
    return _PIECE.findall("\n".join(_lines(text)))


def _lines(text: str) -> list[str]:
    """The lines that say something, each with single spaces."""
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def _shared(said: list[str], meant: list[str]) -> int:
    return (Counter(said) & Counter(meant)).total()
