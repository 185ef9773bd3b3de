"""The clause that says since when a user's answers in a task hold, and who reads it: recall.

It is a clause like any other: counted from labels, judged by the gate, shown to the user, undone with its version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from personaagent.labels.statistics import EVIDENCE, TURNED, task_name
from personaagent.types import Clause, Interaction, Section, Turn


def turn_clause(task: str, rows: Sequence[Interaction]) -> Clause:
    """What says that only ``rows`` (oldest first, at least one) and what follows hold in the task of that name."""
    since = rows[0].created_at.astimezone(UTC)
    return Clause(
        text=f'Taste in "{task}" turned: answers from before {since:%Y-%m-%d %H:%M} UTC no longer hold.',
        evidence=tuple(row.id for row in rows[-EVIDENCE:]),
        kind=TURNED,
        turn=Turn(task, since),
    )


def turned_since(sections: Mapping[Section, Sequence[Clause]], task: str | None) -> datetime | None:
    """The moment from which on a persona holds the answers of a task to be true, or None where it tells of no turn."""
    turns = (clause.turn for clause in sections.get(Section.WHO, ()) if tells_of(task_name(task), clause))
    return next((turn.since for turn in turns if turn), None)


def tells_of(task: str, clause: Clause) -> bool:
    """Whether a clause says since when the answers in the task of that name hold."""
    return clause.turn is not None and clause.turn.task == task
