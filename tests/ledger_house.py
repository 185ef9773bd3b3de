"""A data folder with an empty ledger, migrated once a process: ``test_ledger_database`` is about migrating."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from personaagent.ledger.database import Database, sqlite_url
from personaagent.ledger.migrate import migrate


def with_ledger(home: Path) -> Path:
    """The data folder; where it has no ledger it gets an empty one."""
    file = home / "ledger.sqlite"
    if not file.exists():
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.write_bytes(_empty())
    return home


@cache
def _empty() -> bytes:
    with TemporaryDirectory() as folder:
        migrate(Database(sqlite_url(Path(folder))).url)
        return (Path(folder) / "ledger.sqlite").read_bytes()
