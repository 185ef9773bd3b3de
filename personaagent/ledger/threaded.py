"""SQLite in threads: a whole transaction is one trip to a thread, however many statements it has.

Through an async driver every statement is several trips (cursor, execute, fetch, close), and on a ledger whose
statements take some tens of microseconds the trips are what is waited for.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, NullPool, create_engine, event
from sqlalchemy.engine import URL

THREADS = 2

T = TypeVar("T")


class ThreadedSqlite:
    """Runs work on plain connections to one SQLite file, from any event loop; opens lazily, closes idempotently."""

    def __init__(self, url: URL) -> None:
        self._url = url.set(drivername="sqlite+pysqlite")
        self._threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="ledger")
        self._opening = threading.Lock()
        self._engine: Engine | None = None
        self._idle: list[Connection] = []  # a thread takes one for a transaction: a pool asks more of each

    async def run(self, work: Callable[[Connection], T], *, write: bool, busy_s: float) -> T:
        """What ``work`` returns; a transaction that commits at its end, where it writes, or changes nothing."""

        def transaction() -> T:
            connection = self._taken(busy_s)
            try:
                with connection.begin():
                    # straight to the driver: an engine with a listener for it asks listeners at every statement
                    driver: Any = connection.connection.dbapi_connection
                    driver.execute("BEGIN IMMEDIATE" if write else "BEGIN")
                    return work(connection)
            finally:
                self._idle.append(connection)

        return await asyncio.get_running_loop().run_in_executor(self._threads, transaction)

    async def close(self) -> None:
        """Close the connections that are idle; the next use opens others."""
        if self._idle:
            await asyncio.get_running_loop().run_in_executor(self._threads, self._close)

    def _taken(self, busy_s: float) -> Connection:
        with suppress(IndexError):
            return self._idle.pop()
        with self._opening:
            if self._engine is None:
                self._engine = create_engine(
                    self._url, poolclass=NullPool, connect_args={"timeout": busy_s}, json_deserializer=_json
                )
                event.listen(self._engine, "connect", set_up)
        return self._engine.connect()

    def _close(self) -> None:
        with suppress(IndexError):
            while True:
                self._idle.pop().close()


def set_up(connection: Any, _record: Any) -> None:
    """Make a new SQLite connection as the ledger wants it."""
    connection.isolation_level = None  # the driver's own transactions begin too late to be a lock
    cursor = connection.cursor()
    # secure_delete: what is forgotten is overwritten; FULL: what is acknowledged survives a power cut
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _json(text: str) -> Any:
    """The value of a JSON text; most columns of most rows are empty, and reading those is a third of a row's cost."""
    match text:
        case "[]":
            return []
        case "{}":
            return {}
        case _:
            return json.loads(text)
