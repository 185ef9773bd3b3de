"""Take in what the user says of an answer: a truth, an edit, a pick, a rating, a comment."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Protocol

from langgraph.runtime import Runtime

from personaagent.context import Context
from personaagent.errors import InvalidLabel
from personaagent.inputs import feedback_of, understood, user_of
from personaagent.ports import EpisodicMemory
from personaagent.state import FeedbackState
from personaagent.types import Interaction


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
    """Return the interaction with the feedback, which is reported, what was understood, and whether to align.

    Takes a ground truth (with its source), a pick of two answers, a rating or thumb, a comment. A truth and a comment
    count as labels. The same feedback again, in a run that is replayed or carried out anew after a crash, writes and
    counts nothing. Raises UnknownInteraction, InvalidLabel.
    """
    began = datetime.now(UTC)
    user_id, key = user_of(runtime), state.get("interaction_id", "")
    if not isinstance(key, str):
        raise InvalidLabel(f"interaction_id is {type(key).__name__}: give the id that came with the answer")
    given = feedback_of(state)
    interaction = await episodic.feedback(user_id, key, given)
    report(interaction)
    told = {"interaction": interaction, "understood": understood(interaction, given)}
    if interaction.ground_truth is None and given.comment is None:
        return {**told, "due": False}
    new = interaction.labelled_at is not None and interaction.labelled_at >= began
    return {**told, "due": await note_label(user_id, runtime.context, new=new)}
