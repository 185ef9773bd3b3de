"""What makes a ground truth or a rating valid, and what becomes of an interaction that gets one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from personaagent.errors import InvalidLabel
from personaagent.types import Interaction, TruthSource

MAX_LABEL_CHARS = 32_000
ACCEPTED = 4  # a rating from here up makes the response the ground truth


def labelled(past: Interaction, truth: str, source: TruthSource, confidence: float, now: datetime) -> Interaction:
    """The interaction with its ground truth; as it was where implicit truth comes after explicit, or nothing is new.

    Raises InvalidLabel.
    """
    truth = checked_truth(truth, past.choices)
    if not 0 <= confidence <= 1:
        raise InvalidLabel(f"the confidence is {confidence}: give 0 to 1")
    if source == "implicit" and past.truth_source not in {None, "implicit"}:
        return past
    if (truth, source, confidence) == (past.ground_truth, past.truth_source, past.truth_confidence):
        return past  # a retry is not a new label
    return replace(past, ground_truth=truth, truth_source=source, truth_confidence=confidence, labelled_at=now)


def rated(past: Interaction, rating: int, now: datetime) -> Interaction:
    """The interaction with its rating; from 4 up its response is the ground truth where there is no explicit one.

    A lower rating takes back the truth that a higher one gave. Raises InvalidLabel.
    """
    if not 1 <= rating <= 5:
        raise InvalidLabel(f"the rating is {rating}: give 1 to 5")
    after = replace(past, rating=rating)
    if rating >= ACCEPTED and past.truth_source in {None, "implicit", "rating"} and past.response:
        try:
            return labelled(after, past.response, "rating", 1.0, now)
        except InvalidLabel:
            return after  # an answer outside of the choices pleased, yet it is no truth
    if rating < ACCEPTED and past.truth_source == "rating":
        return replace(after, ground_truth=None, truth_source=None, truth_confidence=None, labelled_at=None)
    return after


def checked_truth(ground_truth: str, choices: Sequence[str]) -> str:
    """The ground truth without white space around it, or the choice that it names; raises InvalidLabel."""
    truth = ground_truth.strip()
    if not truth:
        raise InvalidLabel("the ground truth is empty: give what the user really wanted")
    if len(truth) > MAX_LABEL_CHARS:
        raise InvalidLabel(f"the ground truth has {len(truth)} characters, {MAX_LABEL_CHARS} at most are kept: cut it")
    if not choices:
        return truth
    for choice in choices:
        if choice.strip().casefold() == truth.casefold():
            return choice
    raise InvalidLabel(f"{truth[:60]!r} is not among this interaction's choices: {', '.join(choices)[:300]}")
