"""How forgotten words leave SQLite's files.

``secure_delete`` overwrites a deleted row where it stands. That is not all of it: where a page was split or merged,
rows were moved, and SQLite leaves their old copies in the unused part of the page, which a later delete does not reach;
and the write-ahead log keeps pages as they were. So the file is written anew (VACUUM), and the log is folded in and
emptied, which a reader on an older state holds up. The mark of what is owed is in the ledger itself: it is set in the
transaction that forgets, so a crash loses nothing of it.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from sqlalchemy import delete, insert

from personaagent.ledger.tables import meta
from personaagent.ledger.threaded import set_up

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

KEY = "scrub"
BUSY_S = 0.25  # how long a forgetting waits for another connection; then it is left to the background
LONG_S = 1.0  # writing anew keeps writers waiting: where it takes longer, it takes a tenth of the time at most
REST = 9.0

AGAIN_S = (0.5, 2.0, 5.0, 15.0, 60.0)  # when it is tried again, while something holds it up

logger = logging.getLogger(__name__)

_FILE, _LOG = "file:", "log:"  # what is still to be done


async def owe(connection: AsyncConnection) -> None:
    """Note, inside the transaction that forgets, that the files are to be cleaned."""
    await connection.execute(delete(meta).where(meta.c.key == KEY))
    await connection.execute(insert(meta).values(key=KEY, value=f"{_FILE}{uuid4()}"))


async def until_done(clean: Callable[[], Awaitable[str | None]]) -> None:
    """Call ``clean`` until it returns None, which means that nothing has to wait any more."""
    for attempt in count():
        await asyncio.sleep(AGAIN_S[min(attempt, len(AGAIN_S) - 1)])
        try:
            waits = await clean()
        except (sqlite3.Error, OSError) as error:
            waits = str(error)
        if waits is None:
            return
        logger.info("forgotten words are still in the ledger's files (attempt %d): %s", attempt + 1, waits)


class Scrubber:
    """Cleans the files of one SQLite ledger; every method blocks. Raises sqlite3.Error where it cannot be opened."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._one = threading.Lock()
        self._rests_until = 0.0  # on the monotonic clock
        self.waits = False  # whether a cleaning is known to be owed

    def owed(self) -> bool:
        """Whether an earlier process has left words in the files; then they wait for this one."""
        with closing(self._connect()) as connection:
            self.waits = self.waits or _mark(connection) is not None
        return self.waits

    def run(self, *, last: bool = False) -> str | None:
        """Clean the files; returns None, or in words why some of it has to wait. ``last``: without a rest."""
        with self._one, closing(self._connect()) as connection:
            self.waits = True
            why = self._clean(connection, last)
            self.waits = why is not None
        return why

    def _clean(self, connection: sqlite3.Connection, last: bool) -> str | None:
        mark = _mark(connection)
        try:
            if mark is None or mark.startswith(_FILE):
                if not last and (rest := self._rests_until - time.monotonic()) > 0:
                    return f"the ledger's file was written anew just now, the next time is in {rest:.0f} s"
                started = time.monotonic()
                connection.execute("VACUUM")
                took = time.monotonic() - started
                self._rests_until = time.monotonic() + (REST * took if took > LONG_S else 0.0)
                if mark is not None:
                    done = mark.replace(_FILE, _LOG, 1)
                    connection.execute("UPDATE meta SET value = ? WHERE key = ? AND value = ?", (done, KEY, mark))
                    mark = done
            (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if busy:
                return "another connection is reading an older state of the ledger"
            connection.execute("DELETE FROM meta WHERE key = ? AND value = ?", (KEY, mark))
        except (
            sqlite3.OperationalError
        ) as error:  # busy, no room, no folder for temporary files: what is forgotten is so
            return f"the ledger's file cannot be written anew yet ({error})"
        return None

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=BUSY_S, isolation_level=None)
        set_up(connection, None)
        return connection


def _mark(connection: sqlite3.Connection) -> str | None:
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (KEY,)).fetchone()
    return None if row is None else str(row[0])
