"""A ledger on SQLite and on a real Postgres, which the session starts itself where its binaries are installed."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from personaagent.ledger.database import Database, sqlite_url
from personaagent.ledger.tables import metadata
from postgres_house import postgres  # noqa: F401  (a fixture)

MakeUrl = Callable[[], Awaitable[str]]


@pytest.fixture(params=["sqlite", "postgres"])
def fresh_url(request: pytest.FixtureRequest, tmp_path: Path) -> MakeUrl:
    """Makes the URL of a ledger that nobody has opened yet."""
    made = 0

    async def make() -> str:
        nonlocal made
        made += 1
        if request.param == "sqlite":
            return sqlite_url(tmp_path / f"home{made}")
        server = request.getfixturevalue("postgres")
        name = f"fresh_{abs(hash(str(tmp_path)))}_{made}"
        await _create_database(server, name)
        return server.replace("/postgres?", f"/{name}?")

    if request.param == "postgres":
        request.getfixturevalue("postgres")
    return make


@pytest.fixture(params=["sqlite", "postgres"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """An empty ledger."""
    if request.param == "sqlite":
        template = request.getfixturevalue("sqlite_template")
        shutil.copy(template, tmp_path / "ledger.sqlite")
        opened = Database(sqlite_url(tmp_path))
    else:
        opened = Database(request.getfixturevalue("postgres"))
        async with opened.write() as connection:
            await connection.execute(text(f"TRUNCATE {', '.join(metadata.tables)}"))
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty SQLite ledger to copy: migrating is tested elsewhere."""
    from personaagent.ledger.migrate import migrate

    home = tmp_path_factory.mktemp("template")
    with ThreadPoolExecutor(1) as thread:  # it runs an event loop of its own
        thread.submit(migrate, Database(sqlite_url(home)).url).result()
    return home / "ledger.sqlite"


async def _create_database(server: str, name: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(server)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()
