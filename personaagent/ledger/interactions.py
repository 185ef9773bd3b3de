"""The user's interactions, each stored exactly once, each change with its work for the vector index.

A thread is a tree: an edited message, an answer made anew and a fork leave branches, and one of them is in sight. The
path of a turn are the messages before it in the conversation that its answer was made in. What else the thread has
since the first of them is abandoned, and all else where the turn began at a checkpoint: it is kept, and comes back with
its branch, but is neither recalled nor labelled, by the turn that leaves it neither.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, exists, func, insert, or_, select, update

from personaagent.errors import InvalidLabel, UnknownInteraction
from personaagent.inputs import ACCEPTED, Feedback
from personaagent.ledger.database import Database
from personaagent.ledger.tables import interaction_of, interaction_row, interactions, matching, outbox, to_micros
from personaagent.ports import Where
from personaagent.types import Interaction, Kept, Path

EARLIER = 4  # of a thread's newest interactions, among which an earlier attempt of a run is
DAY = 86_400_000_000  # microseconds by which a clock is believed to have been set back
_CHUNK = 500
_WAITING = interactions.c.read_at.is_(None), interactions.c.abandoned.is_(None)

# made once: putting a statement together costs more than SQLite takes for it
_MANY = select(interactions).where(
    interactions.c.user_id == bindparam("user"), interactions.c.id.in_(bindparam("ids", expanding=True))
)
_THREAD = (
    select(interactions)
    .where(
        interactions.c.user_id == bindparam("user"),
        interactions.c.thread_id == bindparam("thread"),
        interactions.c.abandoned.is_(None),
    )
    .order_by(interactions.c.created_at.desc())
    .limit(EARLIER)
)
_UNREAD = (
    select(func.count())
    .select_from(interactions)
    .where(
        interactions.c.user_id == bindparam("user"),
        interactions.c.read_at.is_(None),
        interactions.c.abandoned.is_(None),
    )
)
_SAME = select(interactions).where(
    interactions.c.user_id == bindparam("user"),
    or_(interactions.c.id == bindparam("key"), interactions.c.created_at == bindparam("at")),
)
_INSERT = insert(interactions)
_WORK = insert(outbox)
_KNOWN = select(interactions.c.id).where(
    interactions.c.user_id == bindparam("user"), interactions.c.id.in_(bindparam("ids", expanding=True))
)
_AHEAD = select(func.max(interactions.c.created_at)).where(
    interactions.c.user_id == bindparam("user"),
    interactions.c.created_at > bindparam("at"),
    interactions.c.created_at < bindparam("most"),
)
_WAITS = select(exists().where(outbox.c.user_id == bindparam("user")))


class Interactions:
    """Episodes in the ledger. An id belongs to one user; another user's interaction does not exist."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, interaction: Interaction) -> tuple[Interaction, bool]:
        """Store it if its id is new; returns it as stored, and whether it was new."""
        row = interaction_row(interaction)
        return await self._database.run_write(lambda connection: put(connection, row), interaction.user_id)

    async def keep(
        self, turn: Interaction, again: Callable[[Interaction], bool] = lambda _: False, path: Path | None = None
    ) -> Kept:
        """Store a turn like ``append``, unless one of its thread's newest is this one ``again``; tells what it ended.

        The same id with another answer is an answer made anew; other branches than the ``path`` are abandoned. A turn
        comes after all that the user has, and one with a path last in its thread, whatever the clock says. One
        transaction for all of it.
        """
        row, mine = interaction_row(turn), {"user": turn.user_id}

        def work(connection: Connection) -> Kept:
            newest: list[Interaction] = []
            if turn.thread_id is not None:
                found = connection.execute(_THREAD, {**mine, "thread": row["thread_id"]}).mappings().all()
                newest = [interaction_of(past) for past in found]
            stored, new = next((past for past in newest if again(past)), None), False
            if stored is None:
                stored, new = put(connection, _coming_last(connection, row, newest if path else ()))
                if not new and stored.response != turn.response:
                    stored = renewed(connection, stored, turn)
                newest = sorted([stored, *newest], key=lambda i: i.created_at, reverse=True) if new else newest
            newest = _in_sight(connection, stored, newest, path, new=new)
            before = newest[1] if len(newest) > 1 and newest[0].id == stored.id else None
            return Kept(turn=stored, new=new, before=before, unread=int(connection.scalar(_UNREAD, mine) or 0))

        return await self._database.run_write(work, turn.user_id)

    async def append_many(self, user_id: str, new: Sequence[Interaction]) -> int:
        """Store those whose ids are new, all or none; returns how many. Equal times are moved on by microseconds."""
        if any(interaction.user_id != user_id for interaction in new):
            raise ValueError("an interaction of another user was given")
        unique = list({interaction.id: interaction for interaction in reversed(new)}.values())[::-1]

        def work(connection: Connection) -> int:
            known = known_ids(connection, user_id, [i.id for i in unique])
            rows = [interaction_row(i) for i in unique if i.id not in known]
            spread(connection, user_id, rows)
            for start in range(0, len(rows), _CHUNK):
                chunk = rows[start : start + _CHUNK]
                connection.execute(insert(interactions), chunk)
                connection.execute(insert(outbox), [_work(user_id, "upsert", row["id"]) for row in chunk])
            return len(rows)

        return await self._database.run_write(work, user_id)

    async def get(self, user_id: str, interaction_id: str) -> Interaction:
        """The interaction; raises UnknownInteraction."""
        found = await self.get_many(user_id, [interaction_id])
        if interaction_id not in found:
            raise _unknown(interaction_id)
        return found[interaction_id]

    async def get_many(self, user_id: str, ids: Sequence[str]) -> dict[str, Interaction]:
        """Those of the ids that are this user's."""
        return await self._database.run_read(lambda connection: read_many(connection, user_id, ids))

    async def recall(self, user_id: str, ids: Sequence[str]) -> tuple[dict[str, Interaction], bool]:
        """Those of the ids that are this user's, and whether work of the user waits for the index, read together."""

        def work(connection: Connection) -> tuple[dict[str, Interaction], bool]:
            return read_many(connection, user_id, ids), bool(connection.scalar(_WAITS, {"user": user_id}))

        return await self._database.run_read(work)

    async def newest(self, user_id: str, limit: int, where: Where = Where()) -> list[Interaction]:
        """The newest ``limit``, oldest first."""
        query = (
            select(interactions).where(matching(user_id, where)).order_by(interactions.c.created_at.desc()).limit(limit)
        )
        return (await self._listed(query))[::-1]

    async def mark(self, user_id: str, limit: int, where: Where) -> tuple[int | None, ...]:
        """What tells the newest ``limit`` from what they were: it changes with each label, and when one is gone."""
        newest = (
            select(interactions.c.created_at, interactions.c.labelled_at)
            .where(matching(user_id, where))
            .order_by(interactions.c.created_at.desc())
            .limit(limit)
            .subquery()
        )
        at, labelled = newest.c.created_at, newest.c.labelled_at
        query = select(func.count(), func.min(at), func.max(at), func.max(labelled), func.count(labelled))
        return tuple(await self._database.run_read(lambda c: c.execute(query.select_from(newest)).one()))

    async def page(self, user_id: str, after: datetime | None, limit: int) -> list[Interaction]:
        """The next ``limit`` after that moment, oldest first."""
        since = None if after is None else after + timedelta(microseconds=1)
        query = (
            select(interactions)
            .where(matching(user_id, Where(since=since, abandoned=None)))
            .order_by(interactions.c.created_at)
            .limit(limit)
        )
        return await self._listed(query)

    async def unread(self, user_id: str, limit: int) -> list[Interaction]:
        """The newest ``limit`` that semantic memory has not read, oldest first; what was imported or back-dated too."""
        query = (
            select(interactions)
            .where(interactions.c.user_id == user_id, *_WAITING)
            .order_by(interactions.c.created_at.desc())
            .limit(limit)
        )
        return (await self._listed(query))[::-1]

    async def mark_read(self, user_id: str, ids: Sequence[str]) -> None:
        """Note that semantic memory has read these of the user."""
        now = to_micros(datetime.now(UTC))
        async with self._database.write(user_id) as connection:
            for start in range(0, len(ids), _CHUNK):
                chunk = interactions.c.id.in_(ids[start : start + _CHUNK])
                mine = interactions.c.user_id == user_id, chunk
                await connection.execute(update(interactions).where(*mine).values(read_at=now))

    async def waiting(self, user_id: str | None = None) -> int:
        """How many semantic memory has not read, of one user or in all."""
        query = select(func.count()).select_from(interactions).where(*_WAITING)
        if user_id is not None:
            query = query.where(interactions.c.user_id == user_id)
        return int(await self._database.run_read(lambda connection: connection.execute(query).scalar_one()))

    async def total(self) -> int:
        """How many there are, of all users."""
        query = select(func.count()).select_from(interactions)
        return int(await self._database.run_read(lambda c: c.execute(query).scalar_one()))

    async def count(self, user_id: str, where: Where = Where()) -> int:
        """How many match."""
        query = select(func.count()).select_from(interactions).where(matching(user_id, where))
        return int(await self._database.run_read(lambda connection: connection.execute(query).scalar_one()))

    async def users(self) -> list[str]:
        """Every user who has an interaction."""
        query = select(interactions.c.user_id).distinct().order_by(interactions.c.user_id)
        return await self._database.run_read(lambda connection: list(connection.scalars(query)))

    async def feedback(
        self, user_id: str, interaction_id: str, given: Feedback, *, given_at: datetime | None = None
    ) -> Interaction:
        """Take in feedback (``applied``); ``given_at`` None is now. Raises UnknownInteraction, InvalidLabel."""
        now = given_at or datetime.now(UTC)
        return await self._change(user_id, interaction_id, lambda past: applied(past, given, now))

    async def delete(self, user_id: str, ids: Sequence[str]) -> int:
        """Remove these of the user and ask the index to; returns how many there were."""
        gone = 0
        async with self._database.write(user_id) as connection:
            for start in range(0, len(ids), _CHUNK):
                chunk = list(ids[start : start + _CHUNK])
                mine = interactions.c.user_id == user_id
                gone += (
                    await connection.execute(delete(interactions).where(mine, interactions.c.id.in_(chunk)))
                ).rowcount
                pending = outbox.c.user_id == user_id, outbox.c.interaction_id.in_(chunk)
                await connection.execute(delete(outbox).where(*pending))
                await connection.execute(insert(outbox), [_work(user_id, "delete", key) for key in chunk])
        return gone

    async def delete_user(self, user_id: str) -> int:
        """Remove all of the user and ask the index to; returns how many there were."""
        async with self._database.write(user_id) as connection:
            gone = (await connection.execute(delete(interactions).where(interactions.c.user_id == user_id))).rowcount
            await connection.execute(delete(outbox).where(outbox.c.user_id == user_id))
            await connection.execute(insert(outbox), [_work(user_id, "delete_user", None)])
        return gone

    async def _change(
        self, user_id: str, interaction_id: str, change: Callable[[Interaction], Interaction]
    ) -> Interaction:
        """Change an interaction in one transaction, with its work for the index where something changed."""
        mine = interactions.c.user_id == user_id, interactions.c.id == interaction_id

        def work(connection: Connection) -> Interaction:
            row = connection.execute(select(interactions).where(*mine)).mappings().first()
            if row is None:
                raise _unknown(interaction_id)
            past = interaction_of(row)
            changed = change(past)
            if changed != past:
                connection.execute(update(interactions).where(*mine).values(interaction_row(changed)))
                connection.execute(insert(outbox), [_work(user_id, "upsert", interaction_id)])
            return changed

        return await self._database.run_write(work, user_id)

    async def _listed(self, query: Select[Any]) -> list[Interaction]:
        return await self._database.run_read(
            lambda connection: [interaction_of(row) for row in connection.execute(query).mappings()]
        )


def _coming_last(connection: Connection, row: dict[str, Any], thread: Sequence[Interaction]) -> dict[str, Any]:
    """The row after all of the user's, by a clock that is a day off at most; after all of its thread by any clock."""
    at = row["created_at"]
    ahead = connection.scalar(_AHEAD, {"user": row["user_id"], "at": at, "most": at + DAY})
    times = [to_micros(past.created_at) for past in thread]
    return {**row, "created_at": max(at, *(time + 1 for time in (ahead or 0, *times)))}


def _in_sight(
    connection: Connection, tip: Interaction, newest: list[Interaction], path: Path | None, *, new: bool
) -> list[Interaction]:
    """The newest of the tip's thread, newest first, when the branches that its path left are abandoned."""
    live = [past for past in newest if past.id == tip.id or not past.abandoned]
    if path is None or tip.thread_id is None:
        return live
    others = [past.id for past in live if past.id != tip.id and past.metadata.get("statement") is not True]
    if new and tuple(others[:1]) == path.before[-1:]:
        return live
    if not settle(connection, tip, path):
        return live  # a front door that keeps no messages has no path: the thread's newest is what came before
    found = read_many(connection, tip.user_id, [tip.id, *path.before[-EARLIER:]])
    return sorted((i for i in found.values() if i.thread_id == tip.thread_id), key=lambda i: i.created_at, reverse=True)


def put(connection: Connection, row: dict[str, Any]) -> tuple[Interaction, bool]:
    """Store the row of ``interaction_row`` if its id is new, inside a transaction; returns it, and whether it was."""
    user_id = row["user_id"]
    near = connection.execute(_SAME, {"user": user_id, "key": row["id"], "at": row["created_at"]}).mappings().all()
    past = next((found for found in near if found["id"] == row["id"]), None)
    if past is not None:
        return interaction_of(past), False
    if near:
        spread(connection, user_id, [row])
    connection.execute(_INSERT, row)
    connection.execute(_WORK, _work(user_id, "upsert", row["id"]))
    return interaction_of(row), True


def read_many(connection: Connection, user_id: str, ids: Sequence[str]) -> dict[str, Interaction]:
    """Those of the ids that are this user's, inside a transaction."""
    found: dict[str, Interaction] = {}
    for start in range(0, len(ids), _CHUNK):
        rows = connection.execute(_MANY, {"user": user_id, "ids": ids[start : start + _CHUNK]})
        found |= {row["id"]: interaction_of(row) for row in rows.mappings().all()}
    return found


def known_ids(connection: Connection, user_id: str, ids: Sequence[str]) -> set[str]:
    """Which of the ids are this user's, inside a transaction."""
    known: set[str] = set()
    for start in range(0, len(ids), _CHUNK):
        chunk = {"user": user_id, "ids": ids[start : start + _CHUNK]}
        known |= set(connection.execute(_KNOWN, chunk).scalars())
    return known


def _work(user_id: str, op: str, interaction_id: str | None) -> dict[str, Any]:
    return {"user_id": user_id, "op": op, "interaction_id": interaction_id}


def _unknown(interaction_id: str) -> UnknownInteraction:
    return UnknownInteraction(f"this user has no interaction {interaction_id!r}: `memory list` shows the ids")


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
