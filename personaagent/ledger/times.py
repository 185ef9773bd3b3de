"""Times that are unique within a user: what collides moves on by microseconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select

from personaagent.ledger.tables import interactions


def spread(connection: Connection, user_id: str, rows: Sequence[dict[str, Any]]) -> None:
    """Give each row, in order, a ``created_at`` that no other interaction of the user has: its own or the next free.

    Inside a transaction that writes under the user's key.
    """
    times = [row["created_at"] for row in rows]
    reach = len(rows)
    while times:
        last = max(times) + reach
        near = interactions.c.created_at.between(min(times), last)
        query = select(interactions.c.created_at).where(interactions.c.user_id == user_id, near)
        given = moved_on(times, set(connection.execute(query).scalars()))
        if max(given) <= last:  # beyond it nothing was read
            for row, time in zip(rows, given, strict=True):
                row["created_at"] = time
            return
        reach *= 4


def moved_on(times: Sequence[int], taken: set[int]) -> list[int]:
    """Each time, or the next one after it that is neither taken nor given before."""
    following: dict[int, int] = {}  # of a time that is taken, one that may be free
    given = []
    for start in times:
        time, passed = start, [start]
        while time in taken:
            time = following.get(time, time + 1)
            passed.append(time)
        taken.add(time)
        following |= dict.fromkeys(passed, time + 1)
        given.append(time)
    return given
