"""One contract for every vector index: embedded always, a Qdrant server as well when QDRANT_URL is set."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest
from blockbuster import blockbuster_ctx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from personaagent.errors import (
    EmbedderChanged,
    HomeInUse,
    HomeNotWritable,
    IndexUnavailable,
    InvalidUserId,
    InvalidVector,
)
from personaagent.memory import index_edge
from personaagent.memory.index_edge import EdgeIndex
from personaagent.memory.index_qdrant import QdrantIndex
from personaagent.ports import Point, VectorIndex, Vectors, Where

DIM = 8
START = datetime(2026, 1, 1, tzinfo=UTC)
ANY = Where()


class Wipeable(VectorIndex, Protocol):
    async def wipe(self) -> None: ...


def edge(tmp_path: Path) -> Wipeable:
    return EdgeIndex(tmp_path / "index", "test", DIM)


def server(tmp_path: Path) -> Wipeable:
    return QdrantIndex(os.environ["QDRANT_URL"], os.environ.get("QDRANT_API_KEY"), "contract-test", DIM)


MAKERS = [
    pytest.param(edge, id="edge"),
    pytest.param(server, id="server", marks=pytest.mark.skipif("QDRANT_URL" not in os.environ, reason="no server")),
]


@pytest.fixture(params=MAKERS)
async def index(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Wipeable]:
    made: Wipeable = request.param(tmp_path)
    await made.wipe()
    yield made
    await made.close()


def unit(seed: int) -> Vectors:
    vector = np.random.default_rng(seed).normal(size=DIM)
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


def point(number: int, user: str = "ann", **changes: Any) -> Point:
    made = Point(
        id=str(uuid.UUID(int=number)),
        user_id=user,
        vector=unit(number),
        text=f"memory number {number}",
        created_at=START + timedelta(days=number),
    )
    return replace(made, **changes)


def ids(*numbers: int) -> set[str]:
    return {str(uuid.UUID(int=number)) for number in numbers}


async def found(index: VectorIndex, user: str = "ann", where: Where = ANY, k: int = 50) -> set[str]:
    return {hit.id for hit in await index.search(user, unit(0), "", k, where)}


async def test_the_nearest_vector_comes_first_with_its_cosine(index: Wipeable) -> None:
    await index.upsert([point(n) for n in range(1, 20)])
    hits = await index.search("ann", unit(7), "", 3, ANY)
    assert hits[0].id == str(uuid.UUID(int=7))
    assert hits[0].dense == pytest.approx(1.0, abs=1e-5)
    assert len(hits) == 3
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


async def test_a_shared_rare_word_lifts_a_point_over_nearer_vectors(index: Wipeable) -> None:
    await index.upsert([point(n) for n in range(1, 10)])
    near, *_, far = await index.search("ann", unit(1), "", 9, ANY)
    await index.upsert([replace(point(uuid.UUID(far.id).int), text="the axolotl's tank")])
    first, *_ = await index.search("ann", unit(1), "Axolotls?", 9, ANY)
    assert first.id == far.id != near.id


async def test_words_of_any_script_are_a_signal(index: Wipeable) -> None:
    await index.upsert(
        [point(1, text="東京タワーに行きました"), point(2, text="京都のお寺"), point(3, text="café au lait")]
    )
    assert (await index.search("ann", unit(3), "タワー 東京", 1, ANY))[0].id in ids(1)
    assert (await index.search("ann", unit(3), "Cafe", 1, ANY))[0].id in ids(3)


async def test_the_rarity_of_a_word_is_of_this_user_only(index: Wipeable) -> None:
    mine = [point(1, text="alpha"), point(2, text="beta"), point(3, text="beta"), point(4, text="gamma")]
    await index.upsert(mine)
    before = await index.search("ann", unit(9), "alpha beta", 4, ANY)
    await index.upsert([point(n, "bob", text="alpha alpha alpha") for n in range(100, 160)])
    assert await index.search("ann", unit(9), "alpha beta", 4, ANY) == before


@pytest.mark.parametrize("other", ["bob", "ann ", "Ann", "ann\u0301", "*", "ann' OR 1=1", "😀/../ann", "a" * 256])
async def test_another_user_finds_counts_and_deletes_nothing(index: Wipeable, other: str) -> None:
    await index.upsert([point(1), point(2)])
    assert await found(index, other) == set()
    assert await index.count(other) == 0
    await index.delete(other, list(ids(1, 2)))
    await index.delete_user(other)
    assert await found(index) == ids(1, 2)


async def test_one_interaction_id_of_two_users_is_two_points(index: Wipeable) -> None:
    await index.upsert([point(1), point(1, "bob"), point(1, "żółć 東京 🦊")])
    assert await index.count() == 3
    await index.delete("bob", list(ids(1)))
    assert (await index.count("ann"), await index.count("bob"), await index.count("żółć 東京 🦊")) == (1, 0, 1)


@pytest.mark.parametrize("nobody", ["", None, ["ann"], "ann\ud800"])
async def test_no_user_is_an_error_and_never_everybody(index: Wipeable, nobody: Any) -> None:
    await index.upsert([point(1)])
    for call in (index.search(nobody, unit(1), "x", 5, ANY), index.delete(nobody, []), index.delete_user(nobody)):
        with pytest.raises(InvalidUserId):
            await call
    with pytest.raises(InvalidUserId):
        await index.upsert([replace(point(2), user_id=nobody)])
    assert await index.count() == 1


FILTERS: list[tuple[Where, set[str]]] = [
    (ANY, ids(1, 2, 3, 4)),
    (Where(before=START + timedelta(days=3)), ids(1, 2)),
    (Where(before=START + timedelta(days=3, microseconds=1)), ids(1, 2, 3)),
    (Where(since=START + timedelta(days=3)), ids(3, 4)),
    (Where(since=START + timedelta(days=3, microseconds=1)), ids(4)),
    (Where(since=START + timedelta(days=2), before=START + timedelta(days=4)), ids(2, 3)),
    (Where(task="news"), ids(1, 3)),
    (Where(task="nothing"), set()),
    (Where(thread_id="t1"), ids(3, 4)),
    (Where(task="news", thread_id="t1"), ids(3)),
    (Where(exclude=frozenset(ids(1, 4))), ids(2, 3)),
    (Where(exclude=frozenset(ids(9))), ids(1, 2, 3, 4)),
    (Where(labelled=True), ids(1, 2, 3, 4)),
]


@pytest.mark.parametrize(("where", "expected"), FILTERS, ids=range(len(FILTERS)))
@pytest.mark.parametrize("text", ["", "memory number"])
async def test_filters_narrow_both_signals(index: Wipeable, where: Where, expected: set[str], text: str) -> None:
    await index.upsert(
        [point(1, task="news"), point(2), point(3, task="news", thread_id="t1"), point(4, task="x", thread_id="t1")]
    )
    assert {hit.id for hit in await index.search("ann", unit(1), text, 9, where)} == expected


async def test_writing_an_id_again_replaces_the_point(index: Wipeable) -> None:
    await index.upsert([point(1, task="old", text="walrus")])
    await index.upsert([point(1, vector=unit(5), text="penguin")])
    (hit,) = await index.search("ann", unit(5), "walrus", 5, ANY)
    assert hit.dense == pytest.approx(1.0, abs=1e-5)
    assert hit.score == pytest.approx(1 / 61)  # the dense leg's first place alone: the old word is gone
    assert await found(index, where=Where(task="old")) == set()


async def test_deleting_and_asking_for_nothing(index: Wipeable) -> None:
    await index.upsert([])
    assert await index.search("ann", unit(1), "x", 0, ANY) == []
    await index.upsert([point(n) for n in range(5)])
    await index.delete("ann", [*ids(1, 2), str(uuid.uuid4()), "no uuid at all"])
    await index.delete("ann", [])
    assert await found(index) == ids(0, 3, 4)
    await index.delete_user("ann")
    assert await index.count() == 0


@pytest.mark.parametrize(
    "broken", [np.full(DIM, np.nan), np.array([np.inf] + [0] * (DIM - 1)), np.ones(DIM + 1), np.ones((1, DIM))]
)
async def test_a_broken_vector_is_refused_and_nothing_of_the_call_is_written(index: Wipeable, broken: Vectors) -> None:
    with pytest.raises(InvalidVector):
        await index.upsert([point(1), replace(point(2), vector=broken)])
    with pytest.raises(InvalidVector):
        await index.search("ann", broken, "x", 3, ANY)
    assert await index.count() == 0


async def test_closing_twice_and_going_on_loses_nothing(index: Wipeable) -> None:
    await index.upsert([point(1)])
    await index.close()
    await index.close()
    assert await found(index) == ids(1)


async def test_wiping_removes_everything_and_the_index_goes_on(index: Wipeable) -> None:
    await index.upsert([point(1), point(2, "bob")])
    await index.wipe()
    assert await index.count() == 0
    await index.upsert([point(3)])
    assert await found(index) == ids(3)


async def test_no_call_blocks_the_event_loop(index: Wipeable) -> None:
    with blockbuster_ctx():  # what the LangGraph server watches with
        await index.upsert([point(1)])
        assert await found(index) == ids(1)
        await index.delete("ann", list(ids(1)))
        await index.wipe()
        await index.close()
        assert await index.count() == 0


async def test_two_users_at_once_never_see_each_other(index: Wipeable) -> None:
    async def turn(number: int) -> None:
        user, other = ("ann", "bob") if number % 2 else ("bob", "ann")
        await index.upsert([point(number, user, text=f"shared words of {user}")])
        hits = await index.search(user, unit(number), f"shared words of {other}", 20, ANY)
        assert hits[0].dense == pytest.approx(1.0, abs=1e-5)
        assert all(uuid.UUID(hit.id).int % 2 == number % 2 for hit in hits)

    await asyncio.gather(*(turn(number) for number in range(200)))
    assert (await index.count("ann"), await index.count("bob")) == (100, 100)


USERS = st.sampled_from(["ann", "bob"])
NUMBERS = st.integers(0, 12)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("upsert"), USERS, NUMBERS),
        st.tuples(st.just("delete"), USERS, NUMBERS),
        st.tuples(st.just("forget"), USERS, st.just(0)),
        st.tuples(st.just("search"), USERS, NUMBERS),
    ),
    max_size=25,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, cut=NUMBERS)
async def test_any_sequence_of_calls_agrees_with_a_plain_model(
    index: Wipeable, steps: list[tuple[str, str, int]], cut: int
) -> None:
    await index.delete_user("ann")
    await index.delete_user("bob")
    model: dict[tuple[str, int], Point] = {}
    for verb, user, number in steps:
        if verb == "upsert":
            model[user, number] = point(number, user, task="even" if number % 2 == 0 else "odd")
            await index.upsert([model[user, number]])
        elif verb == "delete":
            model.pop((user, number), None)
            await index.delete(user, list(ids(number)))
        elif verb == "forget":
            model = {key: kept for key, kept in model.items() if key[0] != user}
            await index.delete_user(user)
        else:
            where = Where(before=START + timedelta(days=cut), task="even")
            match = [p for (u, n), p in model.items() if u == user and n < cut and n % 2 == 0]
            hits = await index.search(user, unit(number), "", 20, where)
            assert {hit.id for hit in hits} == {p.id for p in match}
            if match:
                nearest = max(float(p.vector @ unit(number)) for p in match)
                assert hits[0].dense == pytest.approx(nearest, abs=1e-5)
    for user in ("ann", "bob"):
        assert await index.count(user) == sum(key[0] == user for key in model)


# ---- what only the embedded index promises ----

CHILD = """
import asyncio, sys, uuid
from datetime import UTC, datetime
from pathlib import Path
import numpy as np
from personaagent.memory import index_edge
from personaagent.memory.index_edge import EdgeIndex
from personaagent.ports import Point

async def main():
    index = EdgeIndex(Path(sys.argv[1]), "test", 8)
    vector = np.eye(8, dtype=np.float32)[0]
    for n in range(int(sys.argv[2])):
        key, now = str(uuid.UUID(int=n + int(sys.argv[3]))), datetime.now(UTC)
        await index.upsert([Point(id=key, user_id="ann", vector=vector, text="x", created_at=now)])
        print(n, flush=True)
    await index.close()

asyncio.run(main())
"""


@pytest.fixture
def second_process() -> Callable[..., subprocess.Popen[str]]:
    def start(folder: Path, points: int, first: int = 0) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", CHILD, str(folder), str(points), str(first)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


async def test_a_killed_process_leaves_every_acknowledged_point(
    tmp_path: Path, second_process: Callable[..., subprocess.Popen[str]]
) -> None:
    child = second_process(tmp_path, 100_000)
    assert child.stdout is not None
    while int(await asyncio.to_thread(child.stdout.readline)) < 100:
        pass
    child.send_signal(signal.SIGKILL)
    rest = await asyncio.to_thread(child.stdout.read)
    await asyncio.to_thread(child.wait)
    last = int(rest.split()[-1]) if rest.split() else 100
    index = EdgeIndex(tmp_path, "test", DIM)
    assert await index.count("ann") in {last, last + 1, last + 2}
    assert len(await index.search("ann", unit(1), "x", 10, ANY)) == 10
    await index.close()


async def test_processes_take_turns_and_each_finds_what_the_others_wrote(
    tmp_path: Path, second_process: Callable[..., subprocess.Popen[str]]
) -> None:
    index = EdgeIndex(tmp_path, "test", DIM)
    await index.upsert([point(1)])
    children = [second_process(tmp_path, 40, 1_000), second_process(tmp_path, 40, 2_000)]
    running = [asyncio.to_thread(child.communicate) for child in children]
    ended = asyncio.gather(*running)
    turns = 0
    while not ended.done():
        assert ids(1) <= await found(index, k=100)
        turns += 1
        await asyncio.sleep(0.05)
    assert [errors for _, errors in await ended] == ["", ""]
    assert turns > 3
    assert await index.count("ann") == 81
    await index.close()


async def test_an_idle_process_gives_the_folder_away_also_for_a_wipe(tmp_path: Path) -> None:
    index, other = EdgeIndex(tmp_path, "test", DIM), EdgeIndex(tmp_path, "test", DIM)
    await index.upsert([point(1)])
    assert await found(other) == ids(1)
    await index.upsert([point(2)])
    await other.wipe()
    assert await found(index) == set()
    await index.close()
    await other.close()


async def test_a_process_that_does_not_give_the_folder_away_is_named(
    tmp_path: Path, second_process: Callable[..., subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_edge, "WAIT_S", 0.5)
    child = second_process(tmp_path, 100_000)
    assert child.stdout is not None
    while int(await asyncio.to_thread(child.stdout.readline)) < 3:
        pass
    child.send_signal(signal.SIGSTOP)
    index = EdgeIndex(tmp_path, "test", DIM)
    with pytest.raises(HomeInUse, match="end that one"):
        await index.count("ann")
    with pytest.raises(HomeInUse):
        await index.wipe()
    child.kill()
    await asyncio.to_thread(child.wait)
    assert await index.count("ann") >= 3
    await index.close()


@pytest.mark.parametrize(("name", "dim"), [("other", DIM), ("test", DIM + 1)])
async def test_another_embedding_model_is_refused_until_the_index_is_wiped(tmp_path: Path, name: str, dim: int) -> None:
    first = EdgeIndex(tmp_path, "test", DIM)
    await first.upsert([point(1)])
    await first.close()
    second = EdgeIndex(tmp_path, name, dim)
    with pytest.raises(EmbedderChanged, match="personaagent memory reindex"):
        await second.count()
    await second.wipe()
    assert await second.count() == 0
    await second.close()
    with pytest.raises(EmbedderChanged):
        await first.count()


@pytest.mark.parametrize("pattern", ["index.json", "*/edge_config.json", "*/segments/*/segment.json"])
async def test_a_damaged_folder_names_the_command_that_rebuilds_it(tmp_path: Path, pattern: str) -> None:
    index = EdgeIndex(tmp_path, "test", DIM)
    await index.upsert([point(1)])
    await index.close()
    (damaged,) = tmp_path.glob(pattern)  # noqa: ASYNC240
    damaged.write_bytes(b"\x00garbage")
    with pytest.raises(IndexUnavailable, match="personaagent memory reindex"):
        await index.count()
    await index.wipe()
    await index.upsert([point(2)])
    assert await found(index) == ids(2)
    await index.close()


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(HomeNotWritable, match="PERSONAAGENT_HOME"):
        await EdgeIndex(tmp_path / "file" / "index", "test", DIM).count()


async def test_nothing_the_user_said_is_in_the_payload_on_disk(tmp_path: Path) -> None:
    index = EdgeIndex(tmp_path, "test", DIM)
    await index.upsert([point(1, text="xylophone confession")])
    await index.close()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]  # noqa: ASYNC240
    assert len(files) > 5
    assert not [path for path in files if b"confession" in path.read_bytes()]


async def test_a_forgotten_users_points_are_not_found_after_reopening(tmp_path: Path) -> None:
    index = EdgeIndex(tmp_path, "test", DIM)
    await index.upsert([point(n, user) for n in range(50) for user in ("ann", "bob")])
    await index.delete_user("ann")
    await index.close()
    again = EdgeIndex(tmp_path, "test", DIM)
    assert (await again.count("ann"), await again.count("bob"), await again.count()) == (0, 50, 50)
    await again.close()


def test_one_index_serves_several_event_loops(tmp_path: Path) -> None:
    index = EdgeIndex(tmp_path, "test", DIM)
    asyncio.run(index.upsert([point(1)]))
    assert asyncio.run(found(index)) == ids(1)
    asyncio.run(index.close())
