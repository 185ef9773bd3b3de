"""Bring a ledger to the newest schema; safe when several processes open it at once.

A new migration: change ``tables.py``, add ``migrations/versions/<revision>_<what>.py``, and set ``HEAD`` to it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.engine import URL

from personaagent.errors import LedgerUnavailable

HEAD = "0001"
_LOCK = 7_204_611  # any number: Postgres names advisory locks by one


def migrate(url: URL) -> None:
    """Run the migrations that are outstanding. Blocking, and runs an event loop: call it in a thread of its own."""
    asyncio.run(_migrate(url))


async def _migrate(url: URL) -> None:
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.pool import NullPool

    engine = create_async_engine(
        url, poolclass=NullPool, connect_args={"timeout": 30} if url.get_backend_name() == "sqlite" else {}
    )
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_upgrade)
    finally:
        await engine.dispose()


def _upgrade(connection: Connection) -> None:
    if _revision(connection) == HEAD:  # the usual case, spared the import of Alembic
        return
    connection.rollback()
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        connection.rollback()
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    if _revision(connection) != HEAD:
        _run(connection)
    connection.commit()


def _run(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, HEAD)
    except CommandError as error:
        raise LedgerUnavailable(
            f"the ledger was written by another version of PersonaAgent ({error}): upgrade PersonaAgent"
        ) from error


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
