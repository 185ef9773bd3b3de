"""What holds over processes: kill -9 at any moment, another embedding model, rebuilding the index."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from memory_house import House, episode, opened, uid
from personaagent.errors import EmbedderChanged
from personaagent.ledger.database import Database, Meta, sqlite_url
from personaagent.memory.index_common import check_embedder, reindex

TESTS = Path(__file__).parents[1]

CHILD = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from memory_house import House, episode, uid
from personaagent.memory.forgetting import Selection

async def main():
    house, first = House(Path(sys.argv[2])), int(sys.argv[3])
    for n in range(first, first + 10_000):
        await house.episodic.append("ann", episode(n))
        print("kept", n, flush=True)
        if n % 5 == 4:
            await house.forgetter.forget("ann", Selection(ids=(uid(n - 2),)))
            print("forgot", n - 2, flush=True)

asyncio.run(main())
"""


async def test_a_killed_process_has_lost_nothing_it_acknowledged(tmp_path: Path) -> None:
    rng = random.Random(7)
    home = tmp_path / "home"
    kept: set[int] = set()
    begun = forgotten = frozenset[int]()
    for round_ in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(TESTS), str(home), str(1000 * round_)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        lines = [await asyncio.to_thread(child.stdout.readline) for _ in range(rng.randrange(4, 60))]
        child.send_signal(signal.SIGKILL)
        rest, _ = await asyncio.to_thread(child.communicate)
        said = [line.split() for line in [*lines, *rest.splitlines()] if line.strip()]
        now_kept = {int(n) for verb, n in said if verb == "kept"}
        now_forgotten = {int(n) for verb, n in said if verb == "forgot"}
        kept |= now_kept
        forgotten |= now_forgotten
        begun |= {max(now_kept) + 1, max(now_kept) - 2}  # its write or its forgetting may or may not have happened
        async with opened(home) as house:
            await house.indexer.flush()
            there = {i.id for i in await house.episodic.newest("ann", 99_999)}
            surely = {uid(n) for n in kept - forgotten - begun}
            possibly = {uid(n) for n in (kept - forgotten) | begun}
            assert surely <= there <= possibly
            assert not there & {uid(n) for n in forgotten - begun}
            assert await house.index.count("ann") == len(there)
            assert set(await house.found("ann", "question", 9_999)) == there


@pytest.fixture
async def filled(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    async with opened(home) as house:
        for user, first in (("ann", 0), ("bob", 100)):
            await house.episodic.append_many(user, [episode(first + n, user) for n in range(10)])
    return home


def other_model(home: Path) -> House:
    house = House(home)
    house.embedder.name = "another-model"
    house.index.inner = type(house.index.inner)(home / "index", "another-model", house.embedder.dim)
    return house


async def test_another_embedding_model_is_refused_and_a_reindex_migrates(filled: Path) -> None:
    house = other_model(filled)
    with pytest.raises(EmbedderChanged, match="memory reindex"):
        await house.episodic.search("ann", "question", 3)
    await house.episodic.append("ann", episode(50))  # kept, and waits
    steps: list[tuple[int, int]] = []
    done = await reindex(house.meta, house.indexer, house.index, house.embedder, lambda *step: steps.append(step))
    assert (done, steps) == (21, [(21, 21)])
    assert len(await house.found("ann", "question")) == 11
    assert await house.index.count() == 21
    await house.close()


async def test_the_ledger_remembers_which_model_its_index_was_made_with(filled: Path) -> None:
    database = Database(sqlite_url(filled))
    meta, house = Meta(database), House(filled)
    await check_embedder(meta, house.embedder)
    await check_embedder(meta, house.embedder)
    house.embedder.dim = 65
    with pytest.raises(EmbedderChanged, match="memory reindex"):
        await check_embedder(meta, house.embedder)
    await database.close()


async def test_a_reindex_that_was_cut_off_is_carried_on_by_the_next_start(filled: Path) -> None:
    async with opened(filled) as house:
        await house.outbox.refill()
        await house.index.wipe()  # and here it died
    async with opened(filled) as house:
        assert len(await house.found("ann", "question")) == 10
        await house.indexer.flush()
        assert (await house.index.count(), await house.indexer.depth()) == (20, 0)


async def test_two_processes_on_one_folder_lose_nothing(filled: Path) -> None:
    """The second one cannot open the embedded index: what it appends waits, and the first one finds it."""
    async with opened(filled) as house:
        assert len(await house.found("ann", "question")) == 10
        code = CHILD.replace("10_000", "3").replace('print("kept"', 'print("kept"')
        arguments = [sys.executable, "-c", code, str(TESTS), str(filled), "500"]
        done = await asyncio.to_thread(subprocess.run, arguments, capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["kept", "500", "kept", "501", "kept", "502"]
        assert len(await house.found("ann", "question")) == 13
