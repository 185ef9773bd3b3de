"""What a driver reports, in the project's own errors."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.engine import URL
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from personaagent.errors import HomeNotWritable, LedgerUnavailable

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
