"""Interactions in the ledger: once, in order, one user's, and gone when they are forgotten."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError

from memory_house import label_of
from personaagent.errors import InvalidLabel, UnknownInteraction
from personaagent.inputs import Feedback
from personaagent.ledger.database import Database
from personaagent.ledger.interactions import Interactions, moved_on
from personaagent.ledger.queues import Outbox
from personaagent.ports import Where
from personaagent.types import Interaction, ToolTrace

START = datetime(2026, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def episode(number: int, user_id: str = "ann", **fields: Any) -> Interaction:
    given = {"id": f"i{number}", "query": f"query {number}", "created_at": START + timedelta(hours=number)} | fields
    return Interaction(user_id=user_id, **given)


@pytest.fixture
def interactions(database: Database) -> Interactions:
    return Interactions(database)


async def ops(database: Database) -> list[tuple[str, str, str | None]]:
    return [(work.user_id, work.op, work.interaction_id) for work in await Outbox(database).pending(100)]


async def test_every_field_comes_back_as_it_was(interactions: Interactions) -> None:
    trace = ToolTrace(name="wiki", arguments={"q": ["é", 1, None]}, outcome="ok", brief="b", used=True)
    full = episode(
        1,
        thread_id="t",
        task="tags",
        choices=("a", "b"),
        response="a",
        tools=(trace,),
        persona_version=3,
        ground_truth="b",
        truth_source="choice",
        truth_confidence=0.5,
        rating=2,
        labelled_at=START + timedelta(days=1, microseconds=7),
        metadata={"nested": {"list": [1, 2.5, True]}, "zero": "a\0b"},
        query="日本 🎉 ' \" \\ %s :x",
    )
    stored, new = await interactions.append(full)
    assert (stored, new) == (full, True)
    assert await interactions.get("ann", "i1") == full


async def test_what_no_database_can_keep_is_stored_as_near_as_can_be(interactions: Interactions) -> None:
    odd = {"nan": float("nan"), "day": date(2026, 1, 1), "set": {1}, 5: "five"}
    stored, _ = await interactions.append(episode(1, query="a\0b\ud800c", task="t" * 400, metadata=odd))
    assert stored.query == "a\ufffdb?c"
    assert stored.task == "t" * 400
    assert stored.metadata == {"nan": "nan", "day": "2026-01-01", "set": [1], "5": "five"}


async def test_the_same_id_again_changes_nothing_and_asks_nothing_of_the_index(
    interactions: Interactions, database: Database
) -> None:
    first, _ = await interactions.append(episode(1))
    again, new = await interactions.append(episode(1, query="other", created_at=START))
    assert (again, new) == (first, False)
    assert await ops(database) == [("ann", "upsert", "i1")]


async def test_fifty_appends_at_one_moment_all_get_a_time_of_their_own(interactions: Interactions) -> None:
    await asyncio.gather(*(interactions.append(episode(n, created_at=START)) for n in range(50)))
    times = [i.created_at for i in await interactions.newest("ann", 100)]
    assert times == [START + n * MICROSECOND for n in range(50)]


async def test_concurrent_appends_of_one_id_store_it_once(interactions: Interactions, database: Database) -> None:
    results = await asyncio.gather(*(interactions.append(episode(1, query=str(n))) for n in range(10)))
    assert sum(new for _, new in results) == 1
    assert len({stored.query for stored, _ in results}) == 1
    assert await ops(database) == [("ann", "upsert", "i1")]


async def test_a_collision_moves_past_a_long_run_of_taken_times(interactions: Interactions) -> None:
    await interactions.append_many("ann", [episode(n, created_at=START + n * MICROSECOND) for n in range(300)])
    stored, _ = await interactions.append(episode(999, created_at=START))
    assert stored.created_at == START + 300 * MICROSECOND


async def test_two_users_may_share_a_time_and_an_id(interactions: Interactions) -> None:
    await interactions.append(episode(1))
    stored, new = await interactions.append(episode(1, "bob", query="bob's"))
    assert new
    assert stored.created_at == episode(1).created_at
    assert (await interactions.get("ann", "i1")).query == "query 1"


async def test_append_many_counts_what_is_new_and_keeps_the_first_of_equal_ids(interactions: Interactions) -> None:
    await interactions.append(episode(1))
    batch = [episode(1, query="late"), episode(2), episode(2, query="twice"), episode(3)]
    assert await interactions.append_many("ann", batch) == 2
    assert await interactions.append_many("ann", []) == 0
    assert [i.query for i in await interactions.newest("ann", 9)] == ["query 1", "query 2", "query 3"]


async def test_append_many_stores_all_or_nothing(interactions: Interactions, database: Database) -> None:
    broken = replace(episode(700), id=None)  # type: ignore[arg-type]
    with pytest.raises(IntegrityError):
        await interactions.append_many("ann", [*(episode(n) for n in range(600)), broken])
    assert await interactions.count("ann") == 0
    assert await ops(database) == []


async def test_thousands_go_in_at_once(interactions: Interactions, database: Database) -> None:
    assert await interactions.append_many("ann", [episode(n, created_at=START) for n in range(3000)]) == 3000
    assert await interactions.count("ann") == 3000
    assert await Outbox(database).depth() == 3000
    found = await interactions.get_many("ann", [f"i{n}" for n in range(4000)])
    assert len(found) == 3000


async def test_where_narrows(interactions: Interactions) -> None:
    await interactions.append_many(
        "ann",
        [
            episode(n, task="a" if n % 2 else "b", thread_id=f"t{n // 3}", ground_truth="x" if n > 3 else None)
            for n in range(6)
        ],
    )

    async def found(**fields: Any) -> list[str]:
        where = Where(**fields)
        newest = [i.id for i in await interactions.newest("ann", 100, where)]
        assert await interactions.count("ann", where) == len(newest)
        return newest

    assert await found(before=START + timedelta(hours=2)) == ["i0", "i1"]
    assert await found(since=START + timedelta(hours=4)) == ["i4", "i5"]
    assert await found(task="a") == ["i1", "i3", "i5"]
    assert await found(thread_id="t1") == ["i3", "i4", "i5"]
    assert await found(labelled=True) == ["i4", "i5"]
    assert await found(labelled=False) == ["i0", "i1", "i2", "i3"]
    assert await found(exclude=frozenset({"i0", "i5"})) == ["i1", "i2", "i3", "i4"]
    assert await found(task="a", labelled=True, before=START + timedelta(hours=5)) == []


async def test_newest_is_bounded_and_oldest_first_and_pages_walk_everything(interactions: Interactions) -> None:
    await interactions.append_many("ann", [episode(n) for n in range(7)])
    assert [i.id for i in await interactions.newest("ann", 3)] == ["i4", "i5", "i6"]
    walked: list[str] = []
    after = None
    while page := await interactions.page("ann", after, 3):
        walked += [i.id for i in page]
        after = page[-1].created_at
    assert walked == [f"i{n}" for n in range(7)]


async def test_a_label_is_stored_in_the_choices_own_spelling(interactions: Interactions, database: Database) -> None:
    await interactions.append(episode(1, choices=("Sci-Fi", "Drama")))
    stored = await interactions.feedback("ann", "i1", label_of("  sci-FI ", "choice"))
    assert (stored.ground_truth, stored.truth_source, stored.truth_confidence) == ("Sci-Fi", "choice", 1.0)
    assert stored.labelled_at is not None
    assert await interactions.get("ann", "i1") == stored
    assert (await ops(database))[-1] == ("ann", "upsert", "i1")


@pytest.mark.parametrize("truth", ["", "  \n", "x" * 32_001, "Comedy"])
async def test_an_invalid_label_changes_nothing(interactions: Interactions, database: Database, truth: str) -> None:
    choices = ("Drama",) if truth == "Comedy" else ()
    stored, _ = await interactions.append(episode(1, choices=choices))
    with pytest.raises(InvalidLabel):
        await interactions.feedback("ann", "i1", label_of(truth))
    assert await interactions.get("ann", "i1") == stored
    assert len(await ops(database)) == 1


async def test_explicit_truth_replaces_implicit_and_never_the_reverse(interactions: Interactions) -> None:
    await interactions.append(episode(1))
    assert (await interactions.feedback("ann", "i1", label_of("guess", "implicit", 0.4))).truth_confidence == 0.4
    assert (await interactions.feedback("ann", "i1", label_of("said"))).ground_truth == "said"
    kept = await interactions.feedback("ann", "i1", label_of("guess again", "implicit", 0.9))
    assert (kept.ground_truth, kept.truth_source) == ("said", "correction")
    assert (await interactions.feedback("ann", "i1", label_of("better", "edit"))).ground_truth == "better"


async def test_a_retried_label_keeps_its_time(interactions: Interactions) -> None:
    await interactions.append(episode(1))
    first = await interactions.feedback("ann", "i1", label_of("said"))
    assert await interactions.feedback("ann", "i1", label_of("said")) == first


async def test_a_good_rating_makes_the_response_the_truth_and_a_bad_one_takes_it_back(
    interactions: Interactions,
) -> None:
    await interactions.append(episode(1, response="hello"))
    liked = await interactions.feedback("ann", "i1", Feedback(rating=4))
    assert (liked.rating, liked.ground_truth, liked.truth_source) == (4, "hello", "rating")
    disliked = await interactions.feedback("ann", "i1", Feedback(rating=3))
    assert (disliked.rating, disliked.ground_truth, disliked.labelled_at) == (3, None, None)


async def test_a_rating_never_replaces_what_the_user_said(interactions: Interactions) -> None:
    await interactions.append(episode(1, response="hello"))
    await interactions.feedback("ann", "i1", label_of("bye"))
    assert (await interactions.feedback("ann", "i1", Feedback(rating=5))).ground_truth == "bye"
    assert (await interactions.feedback("ann", "i1", Feedback(rating=1))).ground_truth == "bye"


async def test_a_rating_of_no_answer_or_of_none_of_the_choices_is_no_truth(interactions: Interactions) -> None:
    await interactions.append_many("ann", [episode(1), episode(2, response="other", choices=("a", "b"))])
    assert (await interactions.feedback("ann", "i1", Feedback(rating=5))).ground_truth is None
    assert (await interactions.feedback("ann", "i2", Feedback(rating=5))).ground_truth is None


@pytest.mark.parametrize("rating", [0, 6, -1])
async def test_a_rating_is_one_to_five(interactions: Interactions, rating: int) -> None:
    await interactions.append(episode(1))
    with pytest.raises(InvalidLabel, match="1 to 5"):
        await interactions.feedback("ann", "i1", Feedback(rating=rating))


async def test_a_label_and_a_rating_at_once_are_both_kept(interactions: Interactions) -> None:
    await interactions.append_many("ann", [episode(n, response="r") for n in range(10)])
    calls = [interactions.feedback("ann", f"i{n}", label_of("said")) for n in range(10)]
    calls += [interactions.feedback("ann", f"i{n}", Feedback(rating=2)) for n in range(10)]
    await asyncio.gather(*calls)
    assert {(i.ground_truth, i.rating) for i in await interactions.newest("ann", 10)} == {("said", 2)}


async def test_deleting_leaves_the_index_its_work_and_nothing_else(
    interactions: Interactions, database: Database
) -> None:
    await interactions.append_many("ann", [episode(n) for n in range(3)])
    await interactions.append(episode(0, "bob"))
    assert await interactions.delete("ann", ["i0", "i2", "unknown"]) == 2
    assert [i.id for i in await interactions.newest("ann", 9)] == ["i1"]
    assert set(await ops(database)) >= {("ann", "delete", "i0"), ("ann", "delete", "i2")}
    assert not {("ann", "upsert", "i0"), ("ann", "upsert", "i2")} & set(await ops(database))
    assert await interactions.delete_user("ann") == 1
    assert await ops(database) == [("bob", "upsert", "i0"), ("ann", "delete_user", None)]
    assert await interactions.users() == ["bob"]


async def test_forgotten_text_is_not_in_the_files_either(interactions: Interactions, database: Database) -> None:
    if database.dialect != "sqlite":
        pytest.skip("Postgres's files are its own matter")
    canary = "quetzal" * 20
    await interactions.append_many("ann", [episode(n, query=f"{canary} {n}") for n in range(50)])
    await database.scrub()
    await interactions.delete("ann", [f"i{n}" for n in range(50)])
    await database.scrub()
    file = str(database.url.database)

    def on_disk() -> bytes:
        from pathlib import Path

        return b"".join(path.read_bytes() for path in Path(file).parent.glob("ledger.sqlite*"))

    assert canary.encode() not in await asyncio.to_thread(on_disk)


async def test_a_second_user_finds_and_changes_nothing(interactions: Interactions) -> None:
    mine, _ = await interactions.append(episode(1, response="r"))
    with pytest.raises(UnknownInteraction):
        await interactions.get("bob", "i1")
    with pytest.raises(UnknownInteraction):
        await interactions.feedback("bob", "i1", label_of("x"))
    with pytest.raises(UnknownInteraction):
        await interactions.feedback("bob", "i1", Feedback(rating=5))
    assert await interactions.get_many("bob", ["i1"]) == {}
    assert await interactions.newest("bob", 9) == []
    assert await interactions.page("bob", None, 9) == []
    assert await interactions.count("bob") == 0
    assert await interactions.delete("bob", ["i1"]) == 0
    assert await interactions.delete_user("bob") == 0
    with pytest.raises(ValueError, match="another user"):
        await interactions.append_many("bob", [episode(1)])
    assert await interactions.get("ann", "i1") == mine


@given(
    st.lists(st.integers(0, 30), max_size=40),
    st.sets(st.integers(0, 40), max_size=30),
)
def test_moved_on_times_are_the_first_free_ones(times: list[int], taken: set[int]) -> None:
    used = set(taken)
    expected = []
    for time in times:
        while time in used:
            time += 1  # noqa: PLW2901
        used.add(time)
        expected.append(time)
    assert moved_on(times, set(taken)) == expected


class Model:
    """What the ledger promises, in plain Python."""

    def __init__(self) -> None:
        self.stored: dict[tuple[str, str], Interaction] = {}

    def of(self, user: str) -> list[Interaction]:
        return sorted((i for (who, _), i in self.stored.items() if who == user), key=lambda i: i.created_at)

    def append(self, new: Interaction) -> None:
        if (new.user_id, new.id) in self.stored:
            return
        taken, time = {i.created_at for i in self.of(new.user_id)}, new.created_at
        while time in taken:
            time += MICROSECOND
        self.stored[new.user_id, new.id] = replace(new, created_at=time)


USERS, IDS = st.sampled_from(["ann", "bob"]), st.sampled_from(["a", "b", "c", "d", "e"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), USERS, IDS, st.integers(0, 3), st.text(max_size=8)),
        st.tuples(st.just("label"), USERS, IDS, st.sampled_from(["correction", "implicit"]), st.text(max_size=8)),
        st.tuples(st.just("delete"), USERS, IDS, st.none(), st.none()),
        st.tuples(st.just("delete_user"), USERS, st.none(), st.none(), st.none()),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
async def test_the_ledger_does_what_the_model_does(interactions: Interactions, steps: list[tuple[Any, ...]]) -> None:
    model, run = Model(), uuid.uuid4().hex
    for op, name, key, extra, words in steps:
        user = f"{name}-{run}"
        if op == "append":
            new = Interaction(
                user_id=user, id=key, query=words.replace("\0", "."), created_at=START + extra * MICROSECOND
            )
            model.append(new)
            await interactions.append(new)
        elif op == "delete":
            gone = model.stored.pop((user, key), None)
            assert await interactions.delete(user, [key]) == (gone is not None)
        elif op == "delete_user":
            assert await interactions.delete_user(user) == len(model.of(user))
            model.stored = {k: i for k, i in model.stored.items() if k[0] != user}
        else:
            past, truth = model.stored.get((user, key)), words.replace("\0", ".").strip()
            if past is None or not truth:
                with pytest.raises((UnknownInteraction, InvalidLabel)):
                    await interactions.feedback(user, key, label_of(truth, extra))
            else:
                labelled = await interactions.feedback(user, key, label_of(truth, extra))
                if extra == "implicit" and past.truth_source == "correction":
                    assert labelled == past
                else:
                    assert (labelled.ground_truth, labelled.truth_source) == (truth, extra)
                model.stored[user, key] = labelled
    for name in ("ann", "bob"):
        user = f"{name}-{run}"
        assert await interactions.newest(user, 99) == model.of(user)
        assert await interactions.page(user, None, 99) == model.of(user)
        assert await interactions.newest(user, 2) == model.of(user)[-2:]
        cut = Where(before=START + 2 * MICROSECOND, labelled=False)
        left = [i for i in model.of(user) if i.created_at < START + 2 * MICROSECOND and i.ground_truth is None]
        assert await interactions.newest(user, 99, cut) == left
