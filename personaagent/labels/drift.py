"""The clause that says since when a user's answers in a task hold, and who reads it: recall.

It is a clause like any other: counted from labels, judged by the gate, shown to the user, undone with its version.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from personaagent.labels.statistics import EVIDENCE, task_name
from personaagent.types import Clause, Interaction, Section

_FORM = "%Y-%m-%d %H:%M:%S"
_TURNED = re.compile(r'^Taste in "([^"]*)" turned: answers from before (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC no longer ')


def turn_clause(task: str, rows: Sequence[Interaction]) -> Clause:
    """What says that only ``rows`` (oldest first, at least one) and what follows hold in the task of that name."""
    moment = rows[0].created_at.astimezone(UTC)
    return Clause(
        text=f'Taste in "{task}" turned: answers from before {moment:{_FORM}} UTC no longer hold.',
        evidence=tuple(row.id for row in rows[-EVIDENCE:]),
    )


def turned_since(sections: Mapping[Section, Sequence[Clause]], task: str | None) -> datetime | None:
    """The moment from which on a persona holds the answers of a task to be true, or None where it tells of no turn."""
    for clause in sections.get(Section.WHO, ()):
        found = _TURNED.match(clause.text)
        if found and found[1] == task_name(task):
            try:
                return datetime.strptime(found[2], _FORM).replace(tzinfo=UTC)
            except ValueError:  # digits that are no date, in a clause that the user wrote
                return None
    return None
