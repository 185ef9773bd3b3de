"""Bring a ledger to the newest schema; safe when several processes open it at once.

A new migration: change ``tables.py``, add ``migrations/versions/<revision>_<what>.py``, and set ``HEAD`` to it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import Connection, NullPool, create_engine, inspect, text
from sqlalchemy.engine import URL

from personaagent.errors import LedgerUnavailable

if TYPE_CHECKING:
    from alembic.script import ScriptDirectory

HEAD = "0008"
T = TypeVar("T")
_LOCK = 7_204_611  # any number: Postgres names advisory locks by one
_one_at_a_time = threading.Lock()  # alembic's operations are of the whole process, whatever ledger they are for


def migrate(url: URL) -> None:
    """Run the migrations that are outstanding. Blocking, and may run an event loop: call it in a thread of its own."""
    with _one_at_a_time:
        if _connected(url, _revision) != HEAD:
            scripts = _scripts()
            _connected(url, lambda connection: _upgrade(connection, scripts))


def _scripts() -> ScriptDirectory:
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(Path(__file__).with_name("migrations")))
    list(scripts.walk_revisions())
    return scripts


def _connected(url: URL, work: Callable[[Connection], T]) -> T:
    if url.get_backend_name() != "sqlite":
        return asyncio.run(_connected_from_afar(url, work))
    engine = create_engine(url.set(drivername="sqlite+pysqlite"), poolclass=NullPool, connect_args={"timeout": 30})
    with engine.connect() as connection:
        return work(connection)


async def _connected_from_afar(url: URL, work: Callable[[Connection], T]) -> T:
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(url, poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(work)
    finally:
        await engine.dispose()


def _upgrade(connection: Connection, scripts: ScriptDirectory) -> None:
    if _revision(connection) == HEAD:
        return
    connection.rollback()
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        connection.rollback()
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    if _revision(connection) != HEAD:
        _run(connection, scripts)
    connection.commit()


def _run(connection: Connection, scripts: ScriptDirectory) -> None:
    from alembic.migration import MigrationContext
    from alembic.operations import Operations
    from alembic.util import CommandError

    migration = MigrationContext.configure(
        connection,
        opts={"fn": lambda revision, _: scripts._upgrade_revs(HEAD, revision), "transactional_ddl": False},
    )
    try:
        with Operations.context(migration):
            migration.run_migrations()
    except CommandError as error:
        raise LedgerUnavailable(
            f"the ledger was written by another version of PersonaAgent ({error}): upgrade PersonaAgent"
        ) from error


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
