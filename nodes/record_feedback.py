"""Take in what the user really wanted: the interaction gets its ground truth."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Protocol, cast, get_args

from langgraph.runtime import Runtime

from personaagent.context import Context
from personaagent.errors import InvalidLabel
from personaagent.inputs import user_of
from personaagent.ports import EpisodicMemory
from personaagent.state import FeedbackState
from personaagent.types import Interaction, TruthSource


class NoteLabel(Protocol):
    """Counts a label that is new, and says whether an alignment is due."""

    def __call__(self, user_id: str, context: Context, *, new: bool) -> Awaitable[bool]:
        """Ask for an alignment that is due."""


async def record_feedback(
    state: FeedbackState,
    runtime: Runtime[Context],
    *,
    episodic: EpisodicMemory,
    note_label: NoteLabel,
    report: Callable[[Interaction], object],
) -> dict[str, Any]:
    """Return the labelled interaction, which is reported, and whether an alignment is due.

    Takes a ground truth (with its source) or a rating of 1 to 5. The same feedback again, in a run that is replayed or
    carried out anew after a crash, writes and counts nothing. Raises UnknownInteraction, InvalidLabel.
    """
    began = datetime.now(UTC)
    user_id, key = user_of(runtime), state.get("interaction_id", "")
    truth, rating = state.get("ground_truth"), state.get("rating")
    source = state.get("source") or "correction"
    if source not in get_args(TruthSource):
        raise InvalidLabel(f"source is {source!r}: give one of {', '.join(get_args(TruthSource))}")
    if truth is not None:
        interaction = await episodic.label(user_id, key, truth, cast(TruthSource, source))
    elif rating is not None:
        interaction = await episodic.rate(user_id, key, rating)
    else:
        raise InvalidLabel("feedback is empty: give ground_truth or rating")
    report(interaction)
    if interaction.ground_truth is None:
        return {"interaction": interaction, "due": False}
    new = interaction.labelled_at is not None and interaction.labelled_at >= began
    due = await note_label(user_id, runtime.context, new=new)
    return {"interaction": interaction, "due": due}
