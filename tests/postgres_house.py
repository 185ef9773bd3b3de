"""A real Postgres for tests, started where its binaries are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

BINARIES = [Path("/usr/lib/postgresql"), Path("/usr/local/pgsql"), Path("/opt/homebrew/opt")]


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a Postgres on a socket in a temporary folder, without fsync; skips where there are no binaries."""
    initdb = binary("initdb")
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
        run([*prefix, str(initdb), *initialise])
        run([*control, "-l", str(folder / "log"), "-o", options, "start"])
        try:
            yield f"postgresql://tester@/postgres?host={folder}"
        finally:
            run([*control, "-m", "immediate", "stop"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def binary(name: str) -> Path | None:
    """The newest installed binary of that name."""
    versions = [path for folder in BINARIES for path in folder.glob(f"*/bin/{name}")]
    if versions:
        return max(versions, key=lambda path: path.parents[1].name.zfill(12))
    found = shutil.which(name)
    return Path(found).resolve() if found else None


def run(command: list[str]) -> None:
    """Run a command that must succeed."""
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
