"""A thread is a tree: an edited message, an answer made anew and a fork leave branches, and one of them is in sight.

The path of a turn are the messages before it in the conversation that its answer was made in. What else the thread has
since the first of them is abandoned, and all else where the turn began at a checkpoint: it is kept, and comes back with
its branch, but is neither recalled nor labelled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, select, update

from personaagent.ledger.tables import interaction_row, interactions
from personaagent.types import Interaction, Path


def settle(connection: Connection, tip: Interaction, path: Path) -> bool:
    """Note which of the tip's thread are in sight, inside a transaction; False where the path names none of them.

    What the user said implicitly of an answer, in a message that is abandoned now, is taken back with it.
    """
    table, before = interactions.c, frozenset(path.before) - {tip.id}
    mine = table.user_id == tip.user_id, table.thread_id == tip.thread_id
    columns = table.id, table.created_at, table.abandoned, table.metadata, table.truth_source
    rows = connection.execute(select(*columns).where(*mine)).mappings().all()
    known = {row["id"]: row for row in rows if row["id"] in before}
    if not known and not path.forked:
        return False  # the conversation begins here, as far as anybody knows
    since = 0 if path.forked else min(row["created_at"] for row in known.values())
    later = {row["id"]: row["metadata"] for row in rows if row["created_at"] > since}
    gone = [key for key in later.keys() - before - {tip.id} if later[key].get("statement") is not True]
    _set(connection, mine, gone, abandoned=1)
    _set(connection, mine, [key for key, row in known.items() if row["abandoned"]] + [tip.id], abandoned=None)
    last = next(filter(known.__contains__, reversed(path.before)), None)
    if gone and last is not None:
        implicit = *mine, table.truth_source == "implicit"
        _set(connection, implicit, [last], ground_truth=None, truth_source=None, truth_confidence=None)
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
