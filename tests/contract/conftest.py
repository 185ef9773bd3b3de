"""A ledger on SQLite and on a real Postgres, which the session starts itself where its binaries are installed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from ledger_house import with_ledger
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
        opened = Database(sqlite_url(with_ledger(tmp_path)))
    else:
        opened = Database(request.getfixturevalue("postgres"))
        async with opened.write() as connection:
            await connection.execute(text(f"TRUNCATE {', '.join(metadata.tables)}"))
    yield opened
    await opened.close()


async def _create_database(server: str, name: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(server)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()
