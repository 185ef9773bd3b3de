"""What becomes of an interaction that gets feedback."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from personaagent.errors import InvalidLabel
from personaagent.feedback import Feedback
from personaagent.types import Interaction

ACCEPTED = 4  # a rating from here up makes the response the ground truth


def applied(past: Interaction, given: Feedback, now: datetime) -> Interaction:
    """The interaction with that feedback; ``labelled_at`` is when a truth or a comment last changed.

    As it was where nothing is new, or implicit truth comes after explicit. Raises InvalidLabel for a truth that is not
    among the interaction's choices.
    """
    after = past if given.rating is None else _rated(past, given.rating, now)
    if given.ground_truth is not None:
        after = _labelled(after, given, now)
    if given.comment is not None and given.comment != past.comment:
        after = replace(after, comment=given.comment, labelled_at=now)
    return after


def _labelled(past: Interaction, given: Feedback, now: datetime) -> Interaction:
    truth = _among(given.ground_truth or "", past.choices)
    if given.source == "implicit" and past.truth_source not in {None, "implicit"}:
        return past
    after = replace(
        past,
        ground_truth=truth,
        truth_source=given.source,
        truth_confidence=given.confidence,
        rejected=given.rejected,
    )
    return past if after == past else replace(after, labelled_at=now)  # a retry is not a new label


def _rated(past: Interaction, rating: int, now: datetime) -> Interaction:
    """From 4 up the response is the ground truth where there is no explicit one; a lower rating takes that back."""
    after = replace(past, rating=rating)
    if rating >= ACCEPTED and past.truth_source in {None, "implicit", "rating"} and past.response:
        try:
            return _labelled(after, Feedback(ground_truth=past.response, source="rating"), now)
        except InvalidLabel:
            return after  # an answer outside of the choices pleased, yet it is no truth
    if rating < ACCEPTED and past.truth_source == "rating":
        told = past.labelled_at if past.comment else None
        return replace(after, ground_truth=None, truth_source=None, truth_confidence=None, labelled_at=told)
    return after


def _among(truth: str, choices: Sequence[str]) -> str:
    """The truth, or the choice that it names; raises InvalidLabel."""
    if not choices:
        return truth
    for choice in choices:
        if choice.strip().casefold() == truth.casefold():
            return choice
    raise InvalidLabel(f"{truth[:60]!r} is not among this interaction's choices: {', '.join(choices)[:300]}")
