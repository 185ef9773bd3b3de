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
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL

THREADS = 2
WRITE = "personaagent_write"  # the execution option of a connection that will write

T = TypeVar("T")


class ThreadedSqlite:
    """Runs work on plain connections to one SQLite file, from any event loop; opens lazily, closes idempotently."""

    def __init__(self, url: URL) -> None:
        self._url = url.set(drivername="sqlite+pysqlite")
        self._threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="ledger")
        self._opening = threading.Lock()
        self._engines: tuple[Engine, Engine] | None = None  # to read, to write; both on one pool

    async def run(self, work: Callable[[Connection], T], *, write: bool, busy_s: float) -> T:
        """What ``work`` returns; a transaction that commits at its end, where it writes, or changes nothing."""

        def transaction() -> T:
            with self._engine(write, busy_s).begin() as connection:
                return work(connection)

        return await asyncio.get_running_loop().run_in_executor(self._threads, transaction)

    async def close(self) -> None:
        """Close the connections that are idle; the next use opens others."""
        engines, self._engines = self._engines, None
        if engines is not None:
            await asyncio.get_running_loop().run_in_executor(self._threads, engines[0].dispose)

    def _engine(self, write: bool, busy_s: float) -> Engine:
        with self._opening:
            if self._engines is None:
                engine = create_engine(
                    self._url,
                    connect_args={"timeout": busy_s},
                    pool_size=THREADS,
                    max_overflow=0,
                    pool_reset_on_return=None,  # every use is a transaction that has ended
                    json_deserializer=_json,
                )
                event.listen(engine, "connect", set_up)
                event.listen(engine, "begin", _begin)
                self._engines = engine, engine.execution_options(**{WRITE: True})
            return self._engines[write]


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


def begin_statement(connection: Connection) -> str | None:
    """How the transaction of a connection begins; None where every statement stands alone."""
    options = connection.get_execution_options()
    if options.get("isolation_level") == "AUTOCOMMIT":
        return None
    return "BEGIN IMMEDIATE" if options.get(WRITE) else "BEGIN"


def _begin(connection: Connection) -> None:
    statement, driver = begin_statement(connection), connection.connection.dbapi_connection
    if statement is not None and driver is not None:
        driver.cursor().execute(statement)
