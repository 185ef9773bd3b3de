"""The database: opened and migrated at first use, never at construction.

SQLite by default (WAL, one writer at a time, several processes at once); Postgres by ``DATABASE_URL``.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from sqlalchemy import Connection, event, func, select
from sqlalchemy.engine import URL, make_url

from personaagent.errors import SetupError
from personaagent.extras import install
from personaagent.ledger.faults import named_faults, not_writable
from personaagent.ledger.migrate import migrate
from personaagent.ledger.scrub import Scrubber, owe, until_done
from personaagent.ledger.threaded import ThreadedSqlite, set_up
from personaagent.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

BUSY_SECONDS = 30
WRITE = "personaagent_write"  # the execution option of a connection that will write

T = TypeVar("T")


def database_from(settings: Settings) -> Database:
    """The ledger that the settings name: Postgres where there is a ``database_url``, else SQLite in the data folder."""
    if settings.database_url is not None:
        return Database(settings.database_url.get_secret_value())
    return Database(sqlite_url(settings.home))


def sqlite_url(home: Path) -> str:
    """The URL of the SQLite ledger in a data folder."""
    return f"sqlite:///{home.expanduser() / 'ledger.sqlite'}"


@dataclass
class _Open:
    """What one event loop has open."""

    opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    ready: bool = False
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    engine: AsyncEngine | None = None
    sqlite: WeakSet[Any] = field(default_factory=WeakSet)  # the driver's connections, each with a thread
    scrubbing: asyncio.Task[None] | None = None


# the transaction that the writes of this task are part of
_together: ContextVar[tuple[Database, AsyncConnection] | None] = ContextVar("_together", default=None)


class Database:
    """Connections to one ledger (``url``); every event loop that uses it gets connections of its own.

    ``url`` is a SQLite file or a Postgres (``postgres://`` and ``postgresql://`` alike). Every method raises
    LedgerUnavailable, and HomeNotWritable where the data folder is the cause. What a turn waits for goes through
    ``run_read`` and ``run_write``: a transaction in one trip, where ``write`` makes several a statement.
    """

    def __init__(self, url: str) -> None:
        self.url = _with_driver(make_url(url))
        self._open: dict[asyncio.AbstractEventLoop, _Open] = {}
        self._migrated = False
        self._threaded = ThreadedSqlite(self.url) if self.dialect == "sqlite" else None
        self._scrubber = Scrubber(Path(self.url.database or "")) if self.dialect == "sqlite" else None

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self.url.get_backend_name()

    @property
    def address(self) -> str:
        """Where the ledger is, without its password."""
        return self.url.render_as_string(hide_password=True)

    @asynccontextmanager
    async def write(self, key: str | None = None) -> AsyncIterator[AsyncConnection]:
        """A transaction that commits at the end or changes nothing; those with the same key run one after another.

        The key is the user whose rows are written, or the name of what is shared. So a transaction may read, decide
        and write without another one between: SQLite has one writer anyway, Postgres takes an advisory lock.
        """
        joined = self._joined()
        if joined is not None:
            await self._lock(joined, key)
            yield joined
            return
        with named_faults(self.url):
            engine = await self._engine()
            if self.dialect == "sqlite":
                # SQLite's own waiting is by polling: waiting here is fair and wakes at once
                async with self._here().writing, engine.execution_options(**{WRITE: True}).begin() as connection:
                    yield connection
                return
            async with engine.begin() as connection:
                await self._lock(connection, key)
                yield connection

    @asynccontextmanager
    async def together(self, key: str) -> AsyncIterator[AsyncConnection]:
        """A transaction like that of ``write``, which every write of this task inside it is part of.

        All of it is there at the end or nothing is. Reads inside do not see it; no other task may be begun inside.
        """
        async with self.write(key) as connection:
            token = _together.set((self, connection))
            try:
                yield connection
            finally:
                _together.reset(token)

    async def run_read(self, work: Callable[[Connection], T]) -> T:
        """What ``work`` returns, whose reads see one state of the ledger; it runs in a thread or greenlet: no await."""
        with named_faults(self.url):
            if self._threaded is not None:
                await self._ready()
                return await self._threaded.run(work, write=False, busy_s=BUSY_SECONDS)
            engine = await self._engine()
            async with engine.connect() as connection:
                return await connection.run_sync(work)

    async def run_write(self, work: Callable[[Connection], T], key: str | None = None) -> T:
        """What ``work`` returns, in a transaction like that of ``write``."""
        if self._threaded is None or self._joined() is not None:
            async with self.write(key) as connection:
                return await connection.run_sync(work)
        with named_faults(self.url):
            await self._ready()
            async with self._here().writing:
                return await self._threaded.run(work, write=True, busy_s=BUSY_SECONDS)

    async def owe_scrub(self) -> None:
        """Note, in the transaction that forgets, that ``scrub`` is to follow; after a kill the next process does it."""
        if self._scrubber is not None:
            async with self.write("meta") as connection:
                await owe(connection)

    async def scrub(self) -> str | None:
        """Make forgotten words leave SQLite's files too (``scrub.py``); returns None, or in words why it waits.

        What waits is tried again in the background, when this is closed, and by the next process that opens the ledger.
        """
        if self._scrubber is None:
            return None
        with named_faults(self.url):
            await self._ready()
            waits = await self._scrub_once(self._scrubber)
        if waits is not None:
            self._scrub_later(self._scrubber)
        return waits

    async def close(self) -> None:
        """Close the connections of this event loop; the next use opens them again."""
        here = self._open.pop(asyncio.get_running_loop(), None)
        if here is not None and here.scrubbing is not None:
            here.scrubbing.cancel()
            with suppress(asyncio.CancelledError):
                await here.scrubbing
        if here is not None and here.engine is not None:
            await here.engine.dispose()
        if self._threaded is not None:
            await self._threaded.close()
        if self._scrubber is not None and self._scrubber.waits:
            with suppress(sqlite3.Error, OSError):  # the mark is in the ledger: the next process tries again
                await asyncio.to_thread(self._scrubber.run, last=True)

    async def _scrub_once(self, scrubber: Scrubber) -> str | None:
        async with self._here().writing:
            return await asyncio.to_thread(scrubber.run)

    def _scrub_later(self, scrubber: Scrubber) -> None:
        here = self._here()
        if here.scrubbing is None or here.scrubbing.done():
            here.scrubbing = asyncio.create_task(until_done(lambda: self._scrub_once(scrubber)))

    def _joined(self) -> AsyncConnection | None:
        """The transaction that this task's writes are part of, if any."""
        joined = _together.get()
        return joined[1] if joined is not None and joined[0] is self else None

    async def _lock(self, connection: AsyncConnection, key: str | None) -> None:
        if key is not None and self.dialect != "sqlite":
            await connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(key, 0))))

    def _here(self) -> _Open:
        return self._open.setdefault(asyncio.get_running_loop(), _Open())

    async def _ready(self) -> None:
        """The ledger is there and as this version wants it."""
        here = self._here()
        if not here.ready:
            async with here.opening:
                if not here.ready:
                    self._abandon_closed_loops()
                    # in a thread: it reads files and may wait for another process's migration
                    scrub_owed = await asyncio.to_thread(self._prepare)
                    if self._scrubber is not None and scrub_owed:
                        self._scrub_later(self._scrubber)
                    here.ready = True

    async def _engine(self) -> AsyncEngine:
        await self._ready()
        here = self._here()
        if here.engine is None:
            async with here.opening:
                if here.engine is None:
                    # in a thread: it imports the driver
                    here.engine = await asyncio.to_thread(self._create, here)
        return here.engine

    def _abandon_closed_loops(self) -> None:
        for loop in [known for known in self._open if known.is_closed()]:
            left = self._open.pop(loop)
            for connection in left.sqlite:
                connection.stop()  # it can no longer be awaited, but its thread can end
            if left.engine is not None:
                left.engine.sync_engine.dispose(close=False)

    def _prepare(self) -> bool:
        """Make and migrate the ledger; returns whether an earlier process owes a scrub."""
        if not self._migrated:
            if self.dialect == "sqlite":
                folder = Path(self.url.database or "").parent
                try:
                    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                except OSError as error:
                    raise not_writable(folder) from error
            migrate(self.url)
            self._migrated = True
        return self._scrubber is not None and self._scrubber.owed()

    def _create(self, here: _Open) -> AsyncEngine:
        from sqlalchemy.ext.asyncio import create_async_engine

        if self._scrubber is None:
            return create_async_engine(self.url, pool_pre_ping=True, pool_size=10)
        engine = create_async_engine(self.url, connect_args={"timeout": BUSY_SECONDS}, pool_size=18, max_overflow=0)
        event.listen(engine.sync_engine, "connect", set_up)
        event.listen(engine.sync_engine, "connect", lambda made, _: here.sqlite.add(made.driver_connection))
        event.listen(engine.sync_engine, "begin", _begin)
        return engine


def _with_driver(url: URL) -> URL:
    """The URL with our driver, and with libpq's ``sslmode`` as that driver calls it."""
    if url.drivername.startswith("sqlite"):
        return url.set(drivername="sqlite+aiosqlite")
    if not url.drivername.startswith("postgres"):
        raise SetupError(f"DATABASE_URL names {url.drivername}: give a postgresql:// or a sqlite:// URL")
    if find_spec("asyncpg") is None:
        raise SetupError(f"a ledger on Postgres needs asyncpg: {install('postgres')}")
    query = {{"sslmode": "ssl"}.get(name, name): value for name, value in url.query.items()}
    return url.set(drivername="postgresql+asyncpg", query=query)


def _begin(connection: Any) -> None:
    options = connection.get_execution_options()
    if options.get("isolation_level") == "AUTOCOMMIT":
        return  # every statement stands alone
    statement = "BEGIN IMMEDIATE" if options.get(WRITE) else "BEGIN"
    # straight to the driver: through a cursor of SQLAlchemy it would be three more trips to its thread
    connection.connection.dbapi_connection.run_async(lambda driver: driver.execute_fetchall(statement))
