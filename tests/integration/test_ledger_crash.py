"""A writer that is killed at any moment leaves a ledger in which every acknowledged write is whole and there once."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from personaagent.ledger.database import Database, sqlite_url
from personaagent.ledger.interactions import Interactions
from personaagent.ledger.queues import Outbox
from personaagent.types import Interaction

BATCH = 7
WRITER = """
import asyncio, sys
from datetime import UTC, datetime, timedelta
from personaagent.ledger.database import Database, sqlite_url
from personaagent.ledger.interactions import Interactions
from personaagent.types import Interaction
from pathlib import Path

async def main():
    interactions = Interactions(Database(sqlite_url(Path(sys.argv[1]))))
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for batch in range(100_000):
        new = [
            Interaction(id=f"{batch}-{n}", user_id="ann", query="q" * 2000, created_at=start + timedelta(seconds=batch))
            for n in range(int(sys.argv[2]))
        ]
        await interactions.append_many("ann", new)
        print(batch, flush=True)

asyncio.run(main())
"""


def _write_and_die(home: Path, acknowledged: int) -> int:
    """Kill a writer after so many acknowledged batches; returns the last one that it acknowledged."""
    command = [sys.executable, "-c", WRITER, str(home), str(BATCH)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for _ in range(acknowledged + 1):
            last = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        return max([last, *(int(line) for line in writer.stdout if line.endswith("\n"))])


@pytest.mark.parametrize("acknowledged", [0, 3, 40])
async def test_a_killed_writer_loses_no_acknowledged_write_and_leaves_no_half_one(
    tmp_path: Path, acknowledged: int
) -> None:
    home = tmp_path / "home"
    last = await asyncio.to_thread(_write_and_die, home, acknowledged)
    database = Database(sqlite_url(home))
    interactions = Interactions(database)
    stored = [i.id for i in await interactions.newest("ann", 1_000_000)]
    batches = {int(key.split("-")[0]) for key in stored}
    assert batches >= set(range(last + 1))
    assert sorted(stored) == sorted(f"{batch}-{n}" for batch in batches for n in range(BATCH))
    assert await Outbox(database).depth() == len(stored)  # the index hears of each of them
    again = [Interaction(id=key, user_id="ann", query="q", created_at=datetime.now(UTC)) for key in stored]
    assert await interactions.append_many("ann", again) == 0
    later = datetime(2027, 1, 1, tzinfo=UTC) + timedelta(days=1)
    assert (await interactions.append(Interaction(id="new", user_id="ann", query="q", created_at=later)))[1]
    await database.close()
    with sqlite3.connect(home / "ledger.sqlite") as plain:
        assert plain.execute("PRAGMA integrity_check").fetchone() == ("ok",)
