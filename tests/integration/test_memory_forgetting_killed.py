"""A forgetting that is killed after any of its steps has not begun, or the next start ends it without being asked."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from forgetting_house import SECRET, told
from memory_house import House, opened, uid

TESTS = Path(__file__).parents[1]

# one process that forks: imports are paid for once, and no thread is there yet when it does
CHILDREN = """
import asyncio, json, os, signal, sys
from contextlib import asynccontextmanager
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import qdrant_edge
from forgetting_house import SECRET, fill
from memory_house import House, episode, label_of, uid
from personaagent.errors import LedgerUnavailable
from personaagent.ledger.database import Database, Scrubber
from personaagent.memory.forgetting import Selection

SELECTIONS = {
    "ids": Selection(ids=(uid(3), uid(7), uid(60))),
    "everything": Selection(everything=True),
}

async def forget(home, kind, kill_after, steps):
    house = House(home)
    await fill(house, "ann", 0)
    await house.personas.unpin("ann", (await house.personas.pins("ann"))[0].id)  # it tells the secret by itself
    await house.episodic.append("bob", episode(100, "bob"))
    house.ledger_down()
    await house.episodic.append("ann", episode(60, query=f"spooled {SECRET}", task="music"))
    try:
        await house.episodic.feedback("ann", uid(60), label_of(SECRET))
    except LedgerUnavailable:
        pass
    house.ledger_up()

    def step(name):
        steps.write_text(steps.read_text() + name + "\\n" if steps.exists() else name + "\\n")
        if len(steps.read_text().splitlines()) == kill_after:
            os.kill(os.getpid(), signal.SIGKILL)

    def after(owner, name):
        call = getattr(owner, name)
        async def wrapped(*args, **kwargs):
            result = await call(*args, **kwargs)
            if kwargs.get("write", True):
                step(name)
            return result
        setattr(owner, name, wrapped)

    def managed(name):
        call = getattr(Database, name)
        @asynccontextmanager
        async def wrapped(self, key=None):
            joined = self._joined() is not None
            async with call(self, key) as connection:
                yield connection
            if not joined:
                step("transaction")
        setattr(Database, name, wrapped)

    managed("write")
    after(Database, "run_write")
    for name in ("delete", "delete_user", "upsert"):
        after(type(house.index.inner), name)
    connect = Scrubber._connect
    def watched(self):
        connection = connect(self)
        connection.set_trace_callback(lambda sql: step("before " + sql.split()[0]) if sql[0] in "VUPD" else None)
        return connection
    Scrubber._connect = watched
    await house.forgetter.forget("ann", SELECTIONS[kind])

kind, home = sys.argv[2], Path(sys.argv[3])
for kill_after in range(1, 99):
    child = os.fork()
    if not child:
        asyncio.run(forget(home / f"{kill_after}", kind, kill_after, home / f"{kill_after}.steps"))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print(json.dumps([kill_after, os.waitstatus_to_exitcode(status)]), flush=True)
    if status != signal.SIGKILL:
        break
"""


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
@pytest.mark.parametrize("kind", ["ids", "everything"])  # a task is forgotten by the ids that it has
async def test_a_forgetting_that_is_killed_has_not_begun_or_the_next_start_ends_it(tmp_path: Path, kind: str) -> None:
    command = [sys.executable, "-c", CHILDREN, str(TESTS), kind, str(tmp_path)]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    ends = [json.loads(line) for line in done.stdout.splitlines()]
    assert [code for _, code in ends] == [-9] * (len(ends) - 1) + [0], done.stderr
    whole: list[bool] = []
    for number, _ in ends:
        steps = (tmp_path / f"{number}.steps").read_text().splitlines()
        whole.append(await ended(tmp_path / f"{number}", kind, steps))
        shutil.rmtree(tmp_path / f"{number}")
    assert len(whole) > 6
    assert whole == sorted(whole)  # from some step on it is all done
    assert whole.count(False) <= 3  # before: interaction and label come in from the spool


async def ended(home: Path, kind: str, steps: list[str]) -> bool:
    """Open what a killed process left, ask for nothing but a count, and see whether all of it is gone or none."""
    async with opened(home) as house:
        left = await house.episodic.count("ann")
        await settled(house)
        try:
            text = await told(house, "ann")
            assert await house.spool.depth() == 0
            assert await house.index.count("ann") == left, steps
            assert await house.index.count("bob") == await house.episodic.count("bob") == 1
            if SECRET in text:
                assert left == 11, steps
                assert {uid(3), uid(7), uid(60)} <= set(await house.found("ann", SECRET))
                return False
            assert left == (0 if kind == "everything" else 8), steps
            assert not {uid(3), uid(7), uid(60)} & set(await house.found("ann", SECRET))
            assert not any(key in text for key in (uid(3), uid(7), uid(60)))
        finally:
            await house.close()
    assert await asyncio.to_thread(telling, home) == "", steps
    return True


def telling(home: Path) -> str:
    return subprocess.run(["grep", "-rlaF", SECRET, str(home)], capture_output=True, text=True, check=False).stdout


async def settled(house: House) -> None:
    for _ in range(500):
        if not await house.indexer.depth():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("what waits for the index is not carried out by itself")
