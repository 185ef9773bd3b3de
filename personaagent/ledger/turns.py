"""All that a turn needs to know of its user, in one trip: a trip costs about as much CPU as what is read there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from time import monotonic

from sqlalchemy import BindParameter, Connection, bindparam, select

from personaagent.ledger.database import Database
from personaagent.ledger.facts import read_known
from personaagent.ledger.interactions import left
from personaagent.ledger.tables import persona_of, personas, pin_of, pins, users
from personaagent.ledger.users import Grants, read_grants
from personaagent.types import Fact, Path, Persona, Pin

_USER: BindParameter[str] = bindparam("user")
_WANTED = select(users.c.personalize).where(users.c.user_id == _USER)
_PERSONA = select(personas).where(personas.c.user_id == _USER).order_by(personas.c.version.desc()).limit(1)
_PINS = select(pins).where(pins.c.user_id == _USER).order_by(pins.c.created_at, pins.c.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of a user. Facts are those that hold, oldest first, read up to the interaction of ``through``.

    ``left`` are interactions in sight that the turn takes the place of (``branches.left``).
    """

    personalize: bool
    persona: Persona | None
    pins: list[Pin]
    facts: list[Fact]
    through: datetime | None
    left: frozenset[str] = frozenset()


class Turns:
    """The ledger as a turn sees it at its beginning."""

    def __init__(self, database: Database, grants: Grants) -> None:
        self._database = database
        self._grants = grants

    async def begin(
        self, user_id: str, turn_id: str = "", thread_id: str | None = None, path: Path | None = None
    ) -> Known:
        """All that a turn of the user needs to know before it looks for memories; grants are noted for its tools."""
        began, mine = monotonic(), {"user": user_id}

        def work(connection: Connection) -> Known:
            wanted = connection.scalar(_WANTED, mine)
            row = connection.execute(_PERSONA, mine).mappings().first()
            self._grants.note(user_id, read_grants(connection, user_id), began)
            facts, through = read_known(connection, user_id)
            return Known(
                personalize=wanted is None or bool(wanted),
                persona=None if row is None else persona_of(dict(row)),
                pins=[pin_of(found) for found in connection.execute(_PINS, mine).mappings()],
                facts=facts,
                through=through,
                left=left(connection, user_id, turn_id, thread_id, path),
            )

        return await self._database.run_read(work)
