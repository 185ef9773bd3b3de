"""The project's own memory under evaluation: real services in a folder of their own, and rows as interactions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from personaagent.evals.systems import Bench
from personaagent.evals.tasks import Row, Task
from personaagent.graph.services import Services
from personaagent.types import Interaction

PAGES = Path(__file__).parents[1] / "data" / "wikipedia"


def open_services(bench: Bench) -> Services:
    """Services on the bench's models, with all data in the bench's folder whatever the environment says."""
    local: dict[str, Any] = {"home": bench.home, "database_url": None, "qdrant_url": None, "qdrant_api_key": None}
    if bench.settings.wikipedia_pages is None:
        local["wikipedia_pages"] = PAGES  # the live one answers otherwise every day
    # an evaluation must not stop half way because a day's budget is spent
    budget = {"align_daily_calls": 10**9, "align_daily_tokens": 10**12, "align_seconds": 0, "align_calls": 0}
    if bench.task.edited:
        # the form of answers is at stake, not what the user asks about
        budget |= {"align_readings": 0, "align_answer_tokens": bench.task.max_answer_tokens or 512}
    settings = bench.settings.model_copy(update=local | budget)
    return Services(settings, models=bench.models, embedder=bench.embedder)


def key_of(row: Row) -> str:
    """The interaction id of a row."""
    return str(uuid5(NAMESPACE_URL, f"personaagent/evals/{row.id}"))


def interaction(task: Task, row: Row, created_at: datetime) -> Interaction:
    """The row as an interaction of the user, labelled where its truth is known."""
    return Interaction(
        id=key_of(row),
        user_id=row.user_id,
        query=row.query,
        created_at=created_at,
        task=task.name if row.truth else None,
        response=row.response or None,
        choices=task.answers(row) if row.truth else (),
        ground_truth=row.truth or None,
        truth_source="imported" if row.truth else None,
        truth_confidence=1.0 if row.truth else None,
        metadata={"instructions": task.instructions} if row.truth else {},
    )


def as_interactions(task: Task, history: Sequence[Row]) -> list[Interaction]:
    """The history as interactions that end now.

    Turns of the agent are dated now, so a history of years ago would look stale beside them: it is moved as a whole.
    """
    if not history:
        return []
    shift = datetime.now(UTC) - timedelta(minutes=1) - history[-1].created_at
    return [interaction(task, row, row.created_at + shift) for row in history]
