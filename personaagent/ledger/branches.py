"""A thread is a tree: an edited message, an answer made anew and a fork leave branches, and one of them is in sight.

The path of a turn are the messages before it in the conversation that its answer was made in. What else the thread has
since the first of them is abandoned, and all else where the turn began at a checkpoint: it is kept, and comes back with
its branch, but is neither recalled nor labelled, by the turn that leaves it neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from personaagent.ledger.tables import interaction_row, interactions
from personaagent.types import Interaction, Path

_NAMED = select(interactions.c.id, interactions.c.thread_id, interactions.c.created_at).where(
    interactions.c.user_id == bindparam("user"), interactions.c.id.in_(bindparam("ids", expanding=True))
)
_SINCE = select(interactions.c.id, interactions.c.metadata).where(
    interactions.c.user_id == bindparam("user"),
    interactions.c.thread_id == bindparam("thread"),
    interactions.c.created_at > bindparam("since"),
    interactions.c.id.not_in(bindparam("ids", expanding=True)),
    interactions.c.abandoned.is_(None),
)


def left(
    connection: Connection, user_id: str, turn_id: str, thread_id: str | None, path: Path | None
) -> frozenset[str]:
    """Which interactions in sight a turn takes the place of, inside a transaction: its own, and those it leaves."""
    known, gone = _left(connection, user_id, turn_id, thread_id, path or Path())
    return frozenset(gone | known & {turn_id})


def _left(
    connection: Connection, user_id: str, turn_id: str, thread_id: str | None, path: Path
) -> tuple[set[str], set[str]]:
    """Which of the path and of the turn's own id there are, and which of the thread in sight are on other branches."""
    mine = {"user": user_id, "ids": [*path.before, turn_id]}
    named = [row for row in connection.execute(_NAMED, mine) if row.id == turn_id or row.thread_id == thread_id]
    since = 0 if path.forked else min((row.created_at for row in named if row.id != turn_id), default=None)
    known = {row.id for row in named}
    if since is None or thread_id is None:
        return known, set()
    rows = connection.execute(_SINCE, {**mine, "thread": thread_id, "since": since})
    return known, {row.id for row in rows if row.metadata.get("statement") is not True}


def settle(connection: Connection, tip: Interaction, path: Path) -> bool:
    """Note which of the tip's thread are in sight, inside a transaction; False where the path names none of them.

    What the user said implicitly of an answer, in a message that is abandoned now, is taken back with it.
    """
    table = interactions.c
    known, gone = _left(connection, tip.user_id, tip.id, tip.thread_id, path)
    before = [key for key in path.before if key in known and key != tip.id]
    if not before and not path.forked:
        return False  # the conversation begins here, as far as anybody knows
    mine = table.user_id == tip.user_id, table.thread_id == tip.thread_id
    _set(connection, mine, sorted(gone), abandoned=1)
    _set(connection, (*mine, table.abandoned.is_not(None)), [*before, tip.id], abandoned=None)
    if gone and before:
        implicit = *mine, table.truth_source == "implicit"
        _set(connection, implicit, before[-1:], ground_truth=None, truth_source=None, truth_confidence=None)
    return True


def renewed(connection: Connection, past: Interaction, turn: Interaction) -> Interaction:
    """The interaction with the answer that was made anew in place of its own, inside a transaction.

    What was said of the former answer goes with it; what the user wanted, in so many words, stays.
    """
    about_it = past.truth_source in {"rating", "implicit"}
    after = replace(
        past,
        response=turn.response,
        tools=turn.tools,
        persona_version=turn.persona_version,
        metadata={**turn.metadata},
        rating=None,
        comment=None,
        rejected=None,
        abandoned=False,
        ground_truth=None if about_it else past.ground_truth,
        truth_source=None if about_it else "correction" if past.truth_source == "edit" else past.truth_source,
        truth_confidence=None if about_it else past.truth_confidence,
        labelled_at=None if about_it or past.ground_truth is None else past.labelled_at,
    )
    if after != past:
        mine = interactions.c.user_id == past.user_id, interactions.c.id == past.id
        connection.execute(update(interactions).where(*mine).values(interaction_row(after)))
    return after


def _set(connection: Connection, mine: Sequence[Any], ids: Sequence[str], **values: Any) -> None:
    for start in range(0, len(ids), 500):
        chunk = interactions.c.id.in_(ids[start : start + 500])
        connection.execute(update(interactions).where(*mine, chunk).values(**values))
