"""Forgetting leaves no word in any file of the data folder: not where rows were moved, not while somebody reads."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import update

from memory_house import episode, opened, uid
from personaagent.inputs import Feedback
from personaagent.ledger import database
from personaagent.ledger.database import Database, Scrubber
from personaagent.ledger.tables import interactions
from personaagent.memory.forgetting import Selection

SECRET = "xylophone"


def telling(home: Path, word: str) -> list[str]:
    """The files that have the word; read by another process, because closing a file here ends SQLite's locks on it."""
    found = subprocess.run(["grep", "-rlaF", word, str(home)], capture_output=True, text=True, check=False)
    return sorted(Path(line).name for line in found.stdout.splitlines())


async def gone(home: Path, word: str) -> bool:
    """Whether the word leaves the files within some seconds."""
    for _ in range(200):
        if not await asyncio.to_thread(telling, home, word):
            return True
        await asyncio.sleep(0.05)
    return False


@contextmanager
def reader(home: Path) -> Iterator[None]:
    """Another program that reads the ledger and keeps its state."""
    with closing(sqlite3.connect(home / "ledger.sqlite", isolation_level=None)) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM interactions").fetchone()
        yield


@pytest.fixture
async def home(tmp_path: Path) -> Path:
    async with opened(tmp_path / "home") as house:
        await house.episodic.append_many("ann", [episode(n) for n in range(5)])
        await house.episodic.append("ann", episode(9, query=f"the {SECRET} lesson", response=SECRET))
        await house.episodic.feedback("ann", uid(9), Feedback(ground_truth=SECRET, source="correction"))
    return tmp_path / "home"


async def connections(database: Database) -> list[tuple[int, int]]:
    """``secure_delete`` and ``synchronous`` of a connection of every kind."""
    names = ("secure_delete", "synchronous")
    found: list[tuple[int, int]] = []
    async with database.write() as connection:
        asked = [(await connection.exec_driver_sql(f"PRAGMA {name}")).scalar_one() for name in names]
        found.append((asked[0], asked[1]))
    for run in (database.run_read, database.run_write):
        asked = await run(lambda c: [c.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in names])
        found.append((asked[0], asked[1]))
    return found


async def test_every_connection_overwrites_what_it_deletes(home: Path) -> None:
    async with opened(home) as house:
        assert await connections(house.database) == [(1, 2)] * 3


async def test_copies_that_moved_rows_left_behind_are_gone_too(tmp_path: Path) -> None:
    """Rows that grow and go split and merge pages; secure_delete alone leaves some words of this plan in the file."""
    rng = random.Random(1)
    rows = [episode(n, f"user {n % 20}", query=f"secret{n:06d} " + "x" * rng.randrange(100, 600)) for n in range(4000)]
    async with opened(tmp_path / "home") as house:
        for user in {row.user_id for row in rows}:
            await house.interactions.append_many(user, [row for row in rows if row.user_id == user])
        away = rng.sample(rows, 800)
        async with house.database.write() as connection:
            for row in rng.sample(rows, 1500):
                longer = update(interactions).where(interactions.c.user_id == row.user_id, interactions.c.id == row.id)
                await connection.execute(longer.values(response="y" * rng.randrange(100, 600)))
        for user in {row.user_id for row in rows}:
            await house.interactions.delete(user, [row.id for row in away if row.user_id == user])
        assert await house.database.scrub() is None
    words = "\n".join(row.query.split()[0] for row in away)
    (tmp_path / "words").write_text(words)
    command = ["grep", "-raoFhf", str(tmp_path / "words"), str(tmp_path / "home")]
    found = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert found.stdout == ""


async def test_a_reader_holds_the_words_up_which_the_report_says_and_the_background_mends(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "AGAIN_S", (0.05,))
    async with opened(home) as house:
        with reader(home):
            report = await house.forgetter.forget("ann", Selection(ids=(uid(9),)))
            assert await house.episodic.count("ann") == 5
            assert len(report.remains) == 1
            assert "which are cleaned soon (another connection is reading" in report.remains[0]
            assert await asyncio.to_thread(telling, home, SECRET) != []
        assert await gone(home, SECRET)
        assert await house.episodic.count("ann") == 5
    assert telling(home, SECRET) == []


@pytest.mark.parametrize("used", [True, False])
async def test_words_that_were_held_up_to_the_end_go_at_the_next_opening(home: Path, used: bool) -> None:
    with reader(home):
        async with opened(home) as house:
            await house.forgetter.forget("ann", Selection(ids=(uid(9),)))
        assert telling(home, SECRET) != []
    async with opened(home) as house:
        assert await house.episodic.count("ann") == 5
        assert not used or await gone(home, SECRET)  # in the background; or when it is closed, however soon
    assert telling(home, SECRET) == []


async def test_a_process_that_only_opens_and_closes_cleans_what_a_killed_one_left(home: Path) -> None:
    async with opened(home) as house, house.database.together("ann"):
        await house.interactions.delete("ann", [uid(9)])
        await house.database.owe_scrub()  # and here it was killed
    assert Scrubber(home / "ledger.sqlite").owed()
    async with opened(home) as house:
        await house.outbox.depth()
    assert not Scrubber(home / "ledger.sqlite").owed()
    assert telling(home, SECRET) == []


async def test_a_writer_holds_the_writing_anew_up(home: Path) -> None:
    with closing(sqlite3.connect(home / "ledger.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waits = await asyncio.to_thread(Scrubber(home / "ledger.sqlite").run)
    assert waits is not None
    assert "cannot be written anew yet (database is locked)" in waits


async def test_a_forgetting_without_a_reader_is_through_when_it_returns(home: Path) -> None:
    async with opened(home) as house:
        report = await house.forgetter.forget("ann", Selection(ids=(uid(9),)))
        assert report.remains == ()
        assert await asyncio.to_thread(telling, home, SECRET) == []


async def test_a_file_that_takes_long_to_write_anew_is_given_a_rest(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "LONG_S", 0.0)
    monkeypatch.setattr(database, "REST", 1e9)
    scrubber = Scrubber(home / "ledger.sqlite")
    assert await asyncio.to_thread(scrubber.run) is None
    waits = await asyncio.to_thread(scrubber.run)
    assert waits is not None
    assert "written anew just now" in waits
    assert scrubber.waits
    assert await asyncio.to_thread(lambda: scrubber.run(last=True)) is None
    assert not scrubber.waits


async def test_what_a_killed_process_was_writing_into_the_spool_does_not_stay(home: Path) -> None:
    spool = home / "spool"
    spool.mkdir()
    old, young = time.time_ns() - 3600 * 10**9, time.time_ns()
    for begun in (old, young):
        (spool / f"{begun:020d}-000000-{os.getpid()}.part").write_text(SECRET)
    async with opened(home) as house:
        await house.episodic.count("ann")
        assert [path.name for path in spool.iterdir()] == [f"{young:020d}-000000-{os.getpid()}.part"]


async def test_a_house_that_forgot_nothing_owes_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as house:
        await house.episodic.append("ann", episode(1))
    assert not Scrubber(tmp_path / "ledger.sqlite").owed()
