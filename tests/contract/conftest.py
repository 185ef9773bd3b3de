"""A ledger on SQLite and on a real Postgres, which the session starts itself where its binaries are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from personaagent.ledger.database import Database, sqlite_url
from personaagent.ledger.tables import metadata

BINARIES = [Path("/usr/lib/postgresql"), Path("/usr/local/pgsql"), Path("/opt/homebrew/opt")]
MakeUrl = Callable[[], Awaitable[str]]


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a Postgres on a socket in a temporary folder, without fsync; skips where there are no binaries."""
    initdb = _binary("initdb")
    if initdb is None:
        pytest.skip("Postgres is not installed here (no initdb): the ledger is tested on SQLite only")
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # a socket's path must be short
    prefix: list[str] = []
    if os.geteuid() == 0:  # Postgres refuses to run as root
        prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        os.chown(folder, 65534, 65534)
    control = [*prefix, str(initdb.with_name("pg_ctl")), "-D", str(folder / "data"), "-w"]
    options = (
        f"-k {folder} -c listen_addresses='' -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
        " -c max_connections=80"
    )
    initialise = ["-D", str(folder / "data"), "-U", "tester", "-A", "trust", "-E", "UTF8", "--no-sync", "--no-locale"]
    try:
        _run([*prefix, str(initdb), *initialise])
        _run([*control, "-l", str(folder / "log"), "-o", options, "start"])
        try:
            yield f"postgresql://tester@/postgres?host={folder}"
        finally:
            _run([*control, "-m", "immediate", "stop"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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


def _binary(name: str) -> Path | None:
    versions = [path for folder in BINARIES for path in folder.glob(f"*/bin/{name}")]
    if versions:
        return max(versions, key=lambda path: path.parents[1].name.zfill(12))
    found = shutil.which(name)
    return Path(found).resolve() if found else None


def _run(command: list[str]) -> None:
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
