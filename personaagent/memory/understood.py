"""What was understood of a user's feedback, in plain sentences to them."""

from __future__ import annotations

import re

from personaagent.feedback import Feedback
from personaagent.ledger.interactions import ACCEPTED
from personaagent.text import one_line
from personaagent.types import Interaction

SHOWN_CHARS = 120
_LIST = re.compile(r"^\s*(?:[-*•]|\d{1,2}[.)])\s+\S", re.MULTILINE)


def understood(kept: Interaction, given: Feedback | None = None) -> list[str]:
    """A sentence for each part of the feedback as it is kept now; ``given`` None: for all that was ever given."""
    says = []
    if kept.truth_source not in {None, "rating", "implicit", "imported"} and (given is None or given.ground_truth):
        says.append(_truth(kept))
    if kept.rating is not None and (given is None or given.rating is not None):
        says.append(_rating(kept))
    if kept.comment is not None and (given is None or given.comment is not None):
        says.append(f"Noted for later answers: {one_line(kept.comment, SHOWN_CHARS).rstrip('.')}.")
    return list(dict.fromkeys(says))


def changes_of(before: str, after: str) -> str:
    """What an edit did to a text, counted in words and lists."""
    if before.split() == after.split():
        return "Right as it was."
    old, new = len(before.split()), len(after.split())
    if new < old:
        said = f"You cut the answer from {old} to {new} words"
    elif new > old:
        said = f"You made the answer longer, from {old} to {new} words"
    else:
        said = f"You put the answer in other words, {new} as before"
    listed = bool(_LIST.search(before)), bool(_LIST.search(after))
    change = {(True, False): " and removed a list", (False, True): " and made a list of it"}.get(listed, "")
    return f"{said}{change}."


def _truth(kept: Interaction) -> str:
    truth = kept.ground_truth or ""
    if kept.truth_source == "edit" and kept.response:
        return changes_of(kept.response, truth)
    shown = one_line(truth, SHOWN_CHARS)
    if kept.truth_source == "pick":
        return f"Of the two you prefer: {shown}"
    return "Right as it was." if truth == kept.response else f"It should have been: {shown}"


def _rating(kept: Interaction) -> str:
    rating = kept.rating or 0
    if kept.truth_source == "rating":
        return "Right as it was."
    return f"You gave it {rating} of 5" + ("." if rating >= ACCEPTED else ", so it is not taken as right.")
