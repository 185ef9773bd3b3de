"""How far an answer is from what the user really wanted: 0 is the ground truth, 1 is wrong or unreadable."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from langchain_core.messages import HumanMessage

from personaagent.errors import ModelError
from personaagent.persona.answers import answer_from_text, bare, number
from personaagent.ports import Models
from personaagent.prompts import quote, render

__all__ = ["answer_from_text", "judged", "judged_loss", "loss", "similarity"]

MAX_TOKENS = 300  # compared of each text; the comparison is quadratic
JUDGE_SCHEMA: dict[str, Any] = {
    "title": "Comparison",
    "type": "object",
    "properties": {"score": {"type": "integer", "minimum": 0, "maximum": 10}},
    "required": ["score"],
    "additionalProperties": False,
}
_TOKEN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")


def loss(expected: str, actual: str, choices: Sequence[str] = ()) -> float:
    """Return the loss of an answer, in 0..1 (paper, ``L(r-hat, r_gt | q)``).

    Choices are exact; where all of them are numbers, the distance over their range, so that a 4 for a 5 is better
    than a 1. Numbers outside a closed space: the relative error. Free text: 1 - ``similarity``. No answer, or one
    that names no choice, is 1.
    """
    if not actual.strip():
        return 1.0
    if choices:
        return _choice_loss(expected, actual, choices)
    truth, guess = number(expected), number(actual)
    if truth is not None and guess is not None:
        return min(1.0, abs(truth - guess) / max(1.0, abs(truth)))
    return 1 - similarity(expected, actual)


async def judged_loss(
    models: Models, query: str, expected: str, actual: str, choices: Sequence[str] = (), *, weight: float = 0.5
) -> float:
    """Return ``loss``, for free text blended with a model's judgement of which ``weight`` says the share.

    A text that equals the truth and an empty one need no judge. Without a capable model, or where the judge fails,
    it is the plain loss.
    """
    plain = loss(expected, actual, choices)
    if choices or models.embedded or plain == 0 or not actual.strip() or number(expected) is not None:
        return plain
    verdict = await judged(models, query, expected, actual)
    return plain if verdict is None else (1 - weight) * plain + weight * verdict


async def judged(models: Models, query: str, expected: str, actual: str) -> float | None:
    """The loss that a model (role critic) gives a free text, 0..1; None where it fails or answers out of form."""
    asked = render(
        "judge_text",
        query=quote(query, "question"),
        expected=quote(expected, "what the user wanted"),
        actual=quote(actual, "answer"),
    )
    try:
        answer = await models.structured("critic", [HumanMessage(asked)], JUDGE_SCHEMA)
    except ModelError:
        return None
    score = answer.get("score")
    return 1 - score / 10 if type(score) is int and 0 <= score <= 10 else None


def similarity(expected: str, actual: str) -> float:
    """The mean of token F1 and ROUGE-L F1 of two texts, 0..1; 1 where they differ in case and punctuation only."""
    if bare(expected) == bare(actual):
        return 1.0
    truth, guess = _tokens(expected), _tokens(actual)
    if not truth or not guess:
        return 0.0
    shared = sum((Counter(truth) & Counter(guess)).values())
    return (2 * shared + 2 * common_subsequence(truth, guess)) / (2 * (len(truth) + len(guess)))


def _choice_loss(expected: str, actual: str, choices: Sequence[str]) -> float:
    scale = [value for value in map(number, choices) if value is not None]
    truth = number(expected)
    graded = truth is not None and len(scale) == len(choices) and max(scale) > min(scale)
    answer = answer_from_text(actual, choices) or actual
    if graded and truth is not None:
        guess = number(answer)
        if guess is None or not min(scale) <= guess <= max(scale):
            return 1.0
        return min(1.0, abs(truth - guess) / (max(scale) - min(scale)))
    return 0.0 if bare(answer) == bare(expected) else 1.0


def _tokens(text: str) -> list[str]:
    return _TOKEN.findall(text.casefold())[:MAX_TOKENS]


def common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """The length of the longest common subsequence, which ROUGE-L counts."""
    row = [0] * (len(second) + 1)
    for token in first:
        diagonal = 0
        for index, other in enumerate(second, start=1):
            above = row[index]
            row[index] = diagonal + 1 if token == other else max(above, row[index - 1])
            diagonal = above
    return row[-1]
