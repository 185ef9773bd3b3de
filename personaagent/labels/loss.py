"""How far an answer is from what the user really wanted: 0 is the ground truth, 1 is wrong or unreadable."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from math import log

from personaagent.form import differences, distance, features, sentences
from personaagent.labels.answers import answer_from_text, bare, number
from personaagent.ports import Embedder
from personaagent.text import CJK
from personaagent.types import Interaction

__all__ = ["TextLoss", "answer_from_text", "expected_loss", "loss", "similarity"]

MAX_TOKENS = 300  # compared of each text; the comparison is quadratic
MEANING, FORM, WORDING, FACTS = 0.9, 0.7, 0.05, 0.5  # chosen on the tuning half of evals/data/text_triples.jsonl
MOVED = 0.05  # distance of form from which an edit changed the form; less is the words alone
CLEAR = 0.3  # a distance that is smaller counts as a part of this one
ON_FORM = 0.85  # of the loss of another answer to an edited question
LEFT, KEPT = 0.05, 0.25  # a part of the form that an edit moved by less was kept, and counts that much
OWN_LINES = 0.6  # of the likeness that is lost with the lines which the user puts around an answer
LEAST = 0.01  # probability of the truth at which a choice is as wrong as can be
FAR = 0.9  # the distance of cosine from which two texts have nothing to do with each other
_NAME = re.compile(r"(?<=[\w,;:] )[A-Z][^\W\d_]{2,}")  # a capital letter where no sentence starts
_NUMBERS = {
    word: str(value)
    for value, word in enumerate(
        re.findall(r"\w+", "one two three four five six seven eight nine ten eleven twelve"), 1
    )
}
_NUMERAL = re.compile(rf"\d+(?:[.,]\d+)*|\b(?:{'|'.join(_NUMBERS)})\b")
_VERDICTS = {
    **dict.fromkeys(("yes", "ja", "oui", "sí", "sì", "sim", "true"), "yes"),
    **dict.fromkeys(("no", "nein", "non", "não", "nee", "false"), "no"),
}
_TOKEN = re.compile(rf"[{CJK}]|[^\W_{CJK}]+")


def loss(expected: str, actual: str, choices: Sequence[str] = ()) -> float:
    """Return the loss of an answer, in 0..1 (paper, ``L(r-hat, r_gt | q)``).

    Choices are exact; where all of them are numbers, the distance over their range, so that a 4 for a 5 is better
    than a 1. Numbers outside a closed space: the relative error. Free text: ``similarity`` in wording, less what the
    form differs; what it means is for ``TextLoss``. No answer, or one that names no choice, is 1.
    """
    if not actual.strip():
        return 1.0
    if choices:
        return _choice_loss(expected, actual, choices)
    truth, guess = number(expected), number(actual)
    if truth is not None and guess is not None:
        return min(1.0, abs(truth - guess) / max(1.0, abs(truth)))
    return 1 - similarity(expected, actual) * (1 - FORM * distance(features(expected), features(actual)))


def expected_loss(expected: str, probabilities: Mapping[str, float]) -> float:
    """Return the loss of a distribution over closed choices, in 0..1: -log p(truth), 1 from ``LEAST`` down.

    Where all choices are numbers: the mean distance to the truth over their range.
    """
    scale = {choice: value for choice in probabilities if (value := number(choice)) is not None}
    truth = number(expected)
    if truth is not None and len(scale) == len(probabilities) and max(scale.values()) > min(scale.values()):
        spread = max(scale.values()) - min(scale.values())
        return min(1.0, sum(p * abs(scale[choice] - truth) for choice, p in probabilities.items()) / spread)
    return min(1.0, log(max(LEAST, probabilities.get(expected, 0.0))) / log(LEAST))


class TextLoss:
    """``loss``, for free text with its meaning: how far two texts are apart in what they say and how they say it."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    async def __call__(
        self,
        query: str,  # noqa: ARG002  # the signature of a simulation's loss
        expected: str,
        actual: str,
        choices: Sequence[str] = (),
    ) -> float:
        """Return the loss in 0..1; of a closed choice, a number, an empty or an equal text it is ``loss``.

        The question is not looked at: it is the truth that says what was wanted.
        """
        plain = loss(expected, actual, choices)
        if choices or plain == 0 or not actual.strip() or number(expected) is not None:
            return plain
        one, other = await self._embedder.embed([expected, actual])
        meaning = min(1.0, max(0.0, 1 - float(one @ other)) / FAR)
        return combined(meaning, expected, actual)

    async def of_answered(self, past: Interaction, actual: str) -> float:
        """Return the loss of another answer to a question whose answer the user edited or left as it was, in 0..1.

        What the user made of one answer says little of the words of another one, and much of its form: that is held
        against how far the user moved the form (1: as far off as the answer was that the user edited). What it says
        counts a little, so that it has to be on the matter. Of an edit that put other words in, and kept the form, it
        is these words that count; one that took words out alone is a text like any other.
        """
        response, expected = past.response or "", past.ground_truth or ""
        if not actual.strip():
            return 1.0
        moved = _form_apart(response, expected, response) if past.truth_source == "edit" else 1.0
        if moved >= MOVED:
            apart = min(1.0, _form_apart(response, expected, actual) / max(moved, CLEAR))
        elif (reworded := _words_apart(response, expected, actual)) is not None:
            apart = reworded
        else:
            return await self(past.query, expected, actual)
        one, other = await self._embedder.embed([expected, actual])
        meaning = min(1.0, max(0.0, 1 - float(one @ other)) / FAR)
        return ON_FORM * apart + (1 - ON_FORM) * meaning


def _form_apart(response: str, expected: str, actual: str) -> float:
    """How far a text's form is from what the user made of the response, 0..1, above all in what the user changed.

    The lines that the user put around it count too: a line is the user's own where few of its words stand in the
    response.
    """
    lines = [line.strip() for line in expected.splitlines() if line.strip()]
    said = set(_tokens(response))
    own = {line for line in (lines[:1] + lines[-1:]) if len(said & set(words := _tokens(line))) < 0.5 * len(set(words))}
    missing = sum(bare(line) not in bare(actual) for line in own) / len(own) if own else 0.0
    changed = differences(features(expected), features(response))
    alike = 1 - OWN_LINES * missing
    for (weight, before), (_, apart) in zip(changed, differences(features(expected), features(actual)), strict=True):
        alike *= 1 - weight * apart * (1.0 if before > LEFT else KEPT)
    return 1 - alike


def _words_apart(response: str, expected: str, actual: str) -> float | None:
    """How far a text is from the words that the user put in and away from those they took out, 0..1; None: none put in.

    A text with about half of either is as far off as the response: another wording of it proves nothing.
    """
    said, wanted, now = (set(_tokens(text)) for text in (response, expected, actual))
    added, removed = wanted - said, said - wanted
    if not added:
        return None
    held = len(added & now) / len(added)
    left = len(removed & now) / len(removed) if removed else 0.0
    return 1 - max(0.0, 2 * (held - left) - 1)


def combined(meaning: float, expected: str, actual: str) -> float:
    """The loss of a free text of which the distance in meaning is known, in 0..1.

    Each part takes its share of what is left of likeness. What an answer says weighs most, so that a wrong one in the
    right form loses against a right one in a wrong form.
    """
    form = distance(features(expected), features(actual))
    wording = 1 - similarity(expected, actual)
    alike = 1.0
    for weight, apart in (
        (MEANING, meaning),
        (FORM, form),
        (WORDING, wording),
        (FACTS, contradiction(expected, actual)),
    ):
        alike *= 1 - weight * apart
    return 1 - alike


def contradiction(expected: str, actual: str) -> float:
    """How far the facts of two texts exclude each other, 0..1: another verdict, other numbers, other names.

    Only what both texts have can do so: an answer with more facts than the truth, or without any, does not.
    """
    one, other = _facts(expected), _facts(actual)
    pairs = [(one[kind], other[kind]) for kind in one if one[kind] and other[kind]]
    return max((len(mine - theirs) / len(mine) for mine, theirs in pairs if theirs - mine), default=0.0)


def similarity(expected: str, actual: str) -> float:
    """The mean of token F1 and ROUGE-L F1 of two texts, 0..1; 1 where they differ in case and punctuation only."""
    if bare(expected) == bare(actual):
        return 1.0
    truth, guess = _tokens(expected), _tokens(actual)
    if not truth or not guess:
        return 0.0
    shared = sum((Counter(truth) & Counter(guess)).values())
    return (2 * shared + 2 * common_subsequence(truth, guess)) / (2 * (len(truth) + len(guess)))


def _facts(text: str) -> dict[str, set[str]]:
    """The verdict at the start, the numbers and the names of a text."""
    told = sentences(text)
    words = [word for sentence in told for word in _NAME.findall(sentence)]
    german = features(text).language == "German"  # which writes every noun like a name
    first = _TOKEN.match(text.strip().casefold())
    return {
        "verdict": {_VERDICTS[first[0]]} if first and first[0] in _VERDICTS else set(),
        "numbers": {_NUMBERS.get(word, word) for word in _NUMERAL.findall(text.casefold())},
        "names": set() if german else {word.casefold() for word in words},
    }


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
