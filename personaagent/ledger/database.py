"""The database: opened and migrated at first use, never at construction.

SQLite by default (WAL, one writer at a time, several processes at once); Postgres by ``DATABASE_URL``. What a driver
reports is raised in the project's own errors.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4
from weakref import WeakSet

from sqlalchemy import Connection, Engine, NullPool, create_engine, delete, event, func, insert, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from personaagent.errors import HomeNotWritable, LedgerUnavailable, SetupError
from personaagent.extras import install
from personaagent.ledger.migrate import migrate
from personaagent.ledger.tables import meta
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
        """Make forgotten words leave SQLite's files too (``Scrubber``); returns None, or in words why it waits.

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


THREADS = 2


class ThreadedSqlite:
    """Runs work on plain connections to one SQLite file, from any event loop; opens lazily, closes idempotently.

    A whole transaction is one trip to a thread, however many statements it has. Through an async driver every statement
    is several trips, and on a ledger whose statements take some tens of microseconds the trips are what is waited for.
    """

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


_SCRUB = "scrub"
BUSY_S = 0.25  # how long a forgetting waits for another connection; then it is left to the background
LONG_S = 1.0  # writing anew keeps writers waiting: where it takes longer, it takes a tenth of the time at most
REST = 9.0

AGAIN_S = (0.5, 2.0, 5.0, 15.0, 60.0)  # when it is tried again, while something holds it up

logger = logging.getLogger(__name__)

_FILE, _LOG = "file:", "log:"  # what is still to be done


async def owe(connection: AsyncConnection) -> None:
    """Note, inside the transaction that forgets, that the files are to be cleaned."""
    await connection.execute(delete(meta).where(meta.c.key == _SCRUB))
    await connection.execute(insert(meta).values(key=_SCRUB, value=f"{_FILE}{uuid4()}"))


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
    """Cleans the files of one SQLite ledger; every method blocks. Raises sqlite3.Error where it cannot be opened.

    ``secure_delete`` overwrites a deleted row where it stands, but where a page was split or merged SQLite leaves old
    copies of moved rows in its unused part, and the write-ahead log keeps pages as they were. So the file is written
    anew (VACUUM), and the log is folded in and emptied, which a reader on an older state holds up. The mark of what is
    owed is in the ledger itself: it is set in the transaction that forgets, so a crash loses nothing of it.
    """

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
                    connection.execute("UPDATE meta SET value = ? WHERE key = ? AND value = ?", (done, _SCRUB, mark))
                    mark = done
            (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if busy:
                return "another connection is reading an older state of the ledger"
            connection.execute("DELETE FROM meta WHERE key = ? AND value = ?", (_SCRUB, mark))
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
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (_SCRUB,)).fetchone()
    return None if row is None else str(row[0])


_OUTAGES = (DBAPIError, sqlite3.Error, PoolTimeout, OSError)
_OURS = (IntegrityError, ProgrammingError, DataError)  # what was asked is wrong: asking again later will not help


@contextmanager
def named_faults(url: URL) -> Iterator[None]:
    """Raise LedgerUnavailable or HomeNotWritable for every error that says: the database cannot be used now."""
    try:
        yield
    except _OURS:
        raise
    except _OUTAGES as error:
        raise _named(url, error) from error
    except Exception as error:
        # a refused login or a missing database comes from asyncpg as it is, which only a Postgres needs to import
        if url.get_backend_name() == "postgresql" and _from_asyncpg(error):
            raise _named(url, error) from error
        raise


def not_writable(folder: Path) -> HomeNotWritable:
    """The error for a data folder that cannot be written."""
    return HomeNotWritable(
        f"the data folder {folder} cannot be written: change its permissions or set PERSONAAGENT_HOME to another"
    )


def _named(url: URL, error: Exception) -> HomeNotWritable | LedgerUnavailable:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    said = (str(cause).strip() or type(cause).__name__).splitlines()[0][:200]
    if url.get_backend_name() == "sqlite":
        file = Path(url.database or "")
        if any(sign in said for sign in ("readonly", "unable to open")):
            return not_writable(file.parent)
        return LedgerUnavailable(
            f"the ledger {file} cannot be used ({said}): check the disk, or set PERSONAAGENT_HOME to another folder"
        )
    return LedgerUnavailable(
        f"the ledger {url.render_as_string(hide_password=True)} does not answer ({said}): "
        "check that it runs and that DATABASE_URL is right"
    )


def _from_asyncpg(error: Exception) -> bool:
    from asyncpg import InterfaceError, PostgresError  # type: ignore[import-untyped]

    return isinstance(error, InterfaceError | PostgresError)


class Meta:
    """Keys and values of the whole ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, key: str) -> str | None:
        """The value, or None."""
        query = select(meta.c.value).where(meta.c.key == key)
        return await self._database.run_read(lambda connection: connection.scalar(query))

    async def once(self, key: str, value: str) -> str:
        """Set the value where there is none yet; returns the one that holds, the same for every process."""
        async with self._database.write("meta") as connection:
            held = (await connection.execute(select(meta.c.value).where(meta.c.key == key))).scalar_one_or_none()
            if held is None:
                await connection.execute(insert(meta).values(key=key, value=value))
            return value if held is None else str(held)

    async def set(self, key: str, value: str) -> None:
        """Set the value."""
        async with self._database.write("meta") as connection:
            await connection.execute(delete(meta).where(meta.c.key == key))
            await connection.execute(insert(meta).values(key=key, value=value))
