"""The contract of EpisodicMemory, on SQLite and on Postgres, with the embedded index."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from memory_house import START, House, episode, label_of, ledger_of, opened, uid
from personaagent.errors import (
    EmbedderChanged,
    IndexUnavailable,
    InvalidLabel,
    InvalidUserId,
    LedgerUnavailable,
    ModelRefused,
    ModelUnreachable,
    UnknownInteraction,
)
from personaagent.inputs import Feedback
from personaagent.ledger.database import Database
from personaagent.memory.forgetting import Selection
from personaagent.memory.spool import deliver
from personaagent.ports import Vectors, Where
from personaagent.types import ToolTrace


@pytest.fixture
async def house(tmp_path: Path, database: Database) -> AsyncIterator[House]:
    async with opened(tmp_path / "home", ledger_of(database)) as made:
        yield made


async def test_what_was_appended_is_found_first_by_its_own_words(house: House) -> None:
    for number, query in enumerate(
        ["the price of tea in China", "a recipe for pancakes", "who won the football match"]
    ):
        await house.episodic.append("ann", episode(number, query=query))
    best, *_ = await house.episodic.search("ann", "pancakes recipe", 3)
    assert best.interaction.query == "a recipe for pancakes"
    assert best.interaction == await house.episodic.get("ann", uid(1))


async def test_the_same_id_again_changes_nothing(house: House) -> None:
    first = await house.episodic.append("ann", episode(1))
    again = await house.episodic.append("ann", replace(episode(1), query="something else"))
    assert again == first
    assert await house.episodic.count("ann") == 1
    assert await house.index.count("ann") == 1


async def test_two_at_the_same_moment_are_moved_apart_in_order(house: House) -> None:
    for number in range(3):
        await house.episodic.append("ann", episode(number, created_at=START))
    times = [i.created_at for i in await house.episodic.newest("ann", 9)]
    assert times == [START + timedelta(microseconds=n) for n in range(3)]


async def test_append_many_counts_the_new_ones(house: House) -> None:
    assert await house.episodic.append_many("ann", [episode(n) for n in range(3)]) == 3
    assert await house.episodic.append_many("ann", [episode(n) for n in range(5)]) == 2
    assert await house.index.count("ann") == 5


async def test_an_interaction_of_somebody_else_is_refused(house: House) -> None:
    with pytest.raises(ValueError, match="another user"):
        await house.episodic.append("ann", episode(1, "bob"))
    assert await house.episodic.count("bob") == 0


async def test_another_user_finds_reads_labels_and_counts_nothing(house: House) -> None:
    await house.episodic.append("ann", episode(1, query="my secret plan"))
    assert await house.episodic.search("bob", "my secret plan", 5) == []
    assert await house.episodic.newest("bob", 5) == []
    assert await house.episodic.count("bob") == 0
    for call in (
        house.episodic.get("bob", uid(1)),
        house.episodic.feedback("bob", uid(1), label_of("x")),
        house.episodic.feedback("bob", uid(1), Feedback(rating=5)),
    ):
        with pytest.raises(UnknownInteraction):
            await call


@pytest.mark.parametrize("nobody", ["", " ", None, "a\nb", "x" * 257])
async def test_nobody_is_an_error(house: House, nobody: Any) -> None:
    for call in (house.episodic.search(nobody, "x", 1), house.episodic.newest(nobody, 1), house.episodic.count(nobody)):
        with pytest.raises(InvalidUserId):
            await call


@pytest.mark.parametrize(("query", "k"), [("", 5), ("  \n", 5), ("question", 0)])
async def test_nothing_fits_an_empty_query_or_no_place(house: House, query: str, k: int) -> None:
    await house.episodic.append("ann", episode(1))
    assert await house.episodic.search("ann", query, k) == []


async def test_filters_narrow_and_labelled_digs_as_deep_as_it_must(house: House) -> None:
    many = [episode(n, query=f"same topic number {n}", task="a" if n % 2 else "b") for n in range(120)]
    await house.episodic.append_many("ann", many)
    await house.episodic.feedback("ann", uid(3), label_of("yes", "choice"))
    topic = "same topic number"
    assert await house.found("ann", topic, 5, Where(labelled=True)) == [uid(3)]
    assert set(await house.found("ann", topic, 99, Where(task="a", since=many[110].created_at))) == {
        uid(n) for n in (111, 113, 115, 117, 119)
    }
    assert uid(3) not in await house.found("ann", topic, 120, Where(exclude=frozenset([uid(3)])))
    assert len(await house.found("ann", topic, 120, Where(labelled=False))) == 119


async def test_before_hides_that_moment_and_everything_after(house: House) -> None:
    canary = "the canary sings zyxwv"
    await house.episodic.append("ann", episode(1, query="an old song"))
    await house.episodic.append("ann", episode(5, query=canary, ground_truth="zyxwv", truth_source="choice"))
    await house.episodic.append("ann", episode(9, query=canary + " again"))
    for cut in (START + timedelta(days=5), START + timedelta(days=2)):
        assert await house.found("ann", canary, 9, Where(before=cut)) == [uid(1)]
        assert [i.id for i in await house.episodic.newest("ann", 9, Where(before=cut))] == [uid(1)]
    after = START + timedelta(days=5, microseconds=1)
    assert await house.found("ann", canary, 9, Where(before=after)) == [uid(5), uid(1)]


async def test_a_past_search_ranks_as_it_did_then(house: House) -> None:
    queries = ["red wine with fish", "white wine with fish", "beer with fish and chips", "wine glasses"]
    for number, query in enumerate(queries):
        await house.episodic.append("ann", episode(40 * number, query=query))
    then = await house.episodic.search("ann", "wine with fish", 4)
    await house.episodic.append_many("ann", [episode(900 + n, query=f"wine with fish {n}") for n in range(30)])
    assert await house.episodic.search("ann", "wine with fish", 4, Where(before=START + timedelta(days=500))) == then


async def test_of_equally_good_ones_the_newer_comes_first(house: House) -> None:
    await house.episodic.append("ann", episode(1, query="the weather in Rome today"))
    await house.episodic.append("ann", episode(700, query="today the weather in Rome"))
    assert await house.found("ann", "weather Rome", 2) == [uid(700), uid(1)]


async def test_near_duplicates_share_one_place_and_a_labelled_one_stands_for_them(house: House) -> None:
    await house.episodic.append("ann", episode(1, query="What is the capital of France?"))
    await house.episodic.append("ann", episode(2, query="what is the capital of france"))
    await house.episodic.append("ann", episode(3, query="What is the capital of Peru?"))
    await house.episodic.feedback("ann", uid(1), label_of("Paris"))
    assert await house.found("ann", "what is the capital of France", 2) == [uid(1), uid(3)]


async def test_k_places_hold_k_pieces_of_evidence_however_often_one_is_repeated(house: House) -> None:
    await house.episodic.append_many("ann", [episode(n, query="good morning") for n in range(100)])
    await house.episodic.append_many("ann", [episode(100 + n, query=f"good {w}") for n, w in enumerate("abc")])
    assert len(await house.found("ann", "good morning", 4)) == 4


async def test_words_of_the_label_are_found_but_never_those_of_the_agent(house: House) -> None:
    await house.episodic.append_many("ann", [episode(n, query="which one", thread_id=str(n)) for n in range(2)])
    await house.episodic.append("ann", episode(2, query="another thing", response="xylophone xylophone"))
    await house.episodic.feedback("ann", uid(0), label_of("xylophone"))
    assert (await house.found("ann", "xylophone", 1)) == [uid(0)]
    assert "xylophone xylophone" not in house.embedder.texts


async def test_secrets_are_masked_in_every_text_before_they_are_stored(house: House) -> None:
    card, key = "4111 1111 1111 1111", "sk-" + "a1" * 20
    trace = ToolTrace(name="t", arguments={"password": "hunter2x", "deep": [card]}, outcome="ok", brief=f"got {key}")
    stored = await house.episodic.append(
        "ann", episode(1, query=f"pay with {card}", response=key, tools=(trace,), metadata={"note": card})
    )
    labelled = await house.episodic.feedback("ann", uid(1), label_of(f"use {card}"))
    for text in (str(stored), str(labelled), *house.embedder.texts):
        assert "4111" not in text
        assert key not in text
        assert "hunter2x" not in text
    await house.close()
    files = b"".join(path.read_bytes() for path in house.home.rglob("*") if path.is_file())
    assert b"4111 1111" not in files
    assert key.encode() not in files


@pytest.mark.parametrize(
    "text", ["nul \x00 inside", "half \ud83d pair", "\u202e", "x" * 200_000, "' OR 1=1 --", "🦊" * 99]
)
async def test_any_text_can_be_stored_and_searched(house: House, text: str) -> None:
    await house.episodic.append("ann", episode(1, query=text, response=text))
    assert await house.found("ann", text, 1) == [uid(1)]


async def test_labels_follow_their_rules(house: House) -> None:
    await house.episodic.append("ann", episode(1, choices=("yes", "no")))
    guessed = await house.episodic.feedback("ann", uid(1), label_of("no", "implicit", 0.4))
    assert guessed.truth_confidence == 0.4
    told = await house.episodic.feedback("ann", uid(1), label_of("YES", "choice"))
    assert (told.ground_truth, told.truth_source) == ("yes", "choice")
    assert (await house.episodic.feedback("ann", uid(1), label_of("no", "implicit"))).ground_truth == "yes"
    for wrong in ("", "  ", "perhaps"):
        with pytest.raises(InvalidLabel):
            await house.episodic.feedback("ann", uid(1), label_of(wrong, "choice"))
    with pytest.raises(InvalidLabel):
        await house.episodic.feedback("ann", uid(1), Feedback(rating=6))


async def test_a_good_rating_makes_the_response_the_truth(house: House) -> None:
    await house.episodic.append("ann", episode(1))
    assert (await house.episodic.feedback("ann", uid(1), Feedback(rating=3))).ground_truth is None
    assert (await house.episodic.feedback("ann", uid(1), Feedback(rating=5))).ground_truth == episode(1).response


# ---- faults ----


async def settled(house: House) -> None:
    while house.indexer.retrying:  # noqa: ASYNC110
        await asyncio.sleep(0.005)


async def test_an_index_that_is_down_loses_nothing_and_catches_up_in_order(house: House) -> None:
    house.index_down()
    for number in range(6):
        await house.episodic.append("ann", episode(number))
    await house.episodic.feedback("ann", uid(2), label_of("truth"))
    assert (await house.episodic.count("ann"), await house.indexer.depth("ann")) == (6, 7)
    with pytest.raises(IndexUnavailable):
        await house.episodic.search("ann", "question", 3)
    assert house.indexer.retrying
    refused = house.index.refused
    while house.index.refused < refused + 2:  # noqa: ASYNC110  # an attempt may be older than the label
        await asyncio.sleep(0.01)
    house.index_up()
    await settled(house)
    assert await house.indexer.depth() == 0
    assert house.index.written == [uid(n) for n in range(6)]
    assert len(await house.found("ann", "question")) == 6


async def test_what_is_appended_while_a_retry_succeeds_is_left_to_it_and_indexed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.index_down()
    await house.episodic.append("ann", episode(0))
    await house.indexer.try_flush("ann")
    upsert, begun, go_on = house.index.upsert, asyncio.Event(), asyncio.Event()

    async def slow(points: Any) -> None:
        begun.set()
        await go_on.wait()
        await upsert(points)

    monkeypatch.setattr(house.index, "upsert", slow)
    house.index_up()
    async with asyncio.timeout(10):
        await begun.wait()
    await house.interactions.append(episode(1))
    assert not await house.indexer.try_flush("ann")  # the retry is under way
    go_on.set()
    await settled(house)
    assert (await house.indexer.depth(), house.index.written) == (0, [uid(0), uid(1)])


@pytest.mark.parametrize("error", [EmbedderChanged("another model"), ModelUnreachable("no endpoint")])
async def test_any_named_failure_of_indexing_leaves_the_append_standing(house: House, error: Any) -> None:
    house.index_down(error)
    assert await house.episodic.append("ann", episode(1)) == episode(1)
    assert await house.indexer.depth("ann") == 1


async def test_a_search_first_indexes_what_another_process_left_waiting(house: House) -> None:
    await house.interactions.append(episode(1))  # the ledger only
    assert await house.found("ann", "question") == [uid(1)]
    assert await house.indexer.depth() == 0


async def test_a_point_without_its_interaction_is_never_a_result(house: House) -> None:
    await house.episodic.append_many("ann", [episode(n) for n in range(3)])
    house.index_down()
    await house.interactions.delete("ann", [uid(1)])
    house.index_up()
    assert sorted(await house.found("ann", "question")) == sorted([uid(0), uid(2)])


async def test_an_embedder_that_fails_is_named_and_degrades_the_search(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.episodic.append("ann", episode(1))

    async def fail(texts: Any) -> Any:
        raise ModelUnreachable("no endpoint")

    monkeypatch.setattr(house.embedder, "embed", fail)
    with pytest.raises(IndexUnavailable, match="no endpoint"):
        await house.episodic.search("ann", "question", 1)


async def test_a_text_that_cannot_be_embedded_does_not_hold_up_the_others(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed = house.embedder.embed

    async def poisoned(texts: Any) -> Any:
        vectors = await embed(texts)
        for place, text in enumerate(texts):
            if "poison" in text:
                vectors[place] = float("nan")
        return vectors

    monkeypatch.setattr(house.embedder, "embed", poisoned)
    await house.episodic.append_many("ann", [episode(1), episode(2, query="poison"), episode(3)])
    assert sorted(await house.found("ann", "question")) == sorted([uid(1), uid(3)])
    assert (await house.indexer.depth(), await house.episodic.count("ann")) == (0, 3)


async def test_while_the_ledger_is_down_interactions_wait_on_disk_and_go_in_in_order(house: House) -> None:
    house.ledger_down()
    for number in range(4):
        await house.episodic.append("ann", episode(number, created_at=START))
    assert await house.spool.depth() == 4
    await house.close()
    again = House(house.home, ledger_of(house.database))
    await again.episodic.append("ann", episode(4, created_at=START))
    assert [i.id for i in await again.episodic.newest("ann", 9)] == [uid(n) for n in range(5)]
    assert await again.spool.depth() == 0
    assert len(await again.found("ann", "question")) == 5
    await again.close()


async def test_feedback_given_while_the_ledger_is_down_waits_behind_its_interaction_and_goes_in_in_order(
    house: House,
) -> None:
    await house.episodic.append("ann", episode(0))
    house.ledger_down()
    await house.episodic.append("ann", episode(1))
    for call in (
        house.episodic.feedback("ann", uid(1), label_of("first")),
        house.episodic.feedback("ann", uid(1), label_of("second")),
        house.episodic.feedback("ann", uid(0), Feedback(rating=5)),
        house.episodic.feedback("ann", uid(9), label_of("of nothing")),
    ):
        with pytest.raises(LedgerUnavailable, match="is kept"):
            await call
    assert await house.spool.depth() == 5
    waiting = {path: path.read_bytes() for path in (house.home / "spool").iterdir()}
    house.ledger_up()
    await house.episodic.feedback("ann", uid(1), Feedback(rating=2))  # any feedback brings in what waits before it
    after = await house.episodic.newest("ann", 9)
    assert [(i.ground_truth, i.rating) for i in after] == [(episode(0).response, 5), ("second", 2)]
    assert await house.spool.depth() == 0
    for path, content in waiting.items():  # a crash before the files were removed
        path.write_bytes(content)
    assert await house.spool.drain(partial(deliver, house.interactions)) == 5
    assert await house.episodic.newest("ann", 9) == after


async def test_a_comment_and_a_pick_wait_masked_and_go_in_when_the_ledger_answers(house: House) -> None:
    await house.episodic.append("ann", episode(0))
    house.ledger_down()
    given = Feedback(ground_truth="a", source="pick", rejected="b", comment="my password: hunter22 is in it", rating=2)
    with pytest.raises(LedgerUnavailable, match="is kept"):
        await house.episodic.feedback("ann", uid(0), given)
    assert all(b"hunter22" not in path.read_bytes() for path in (house.home / "spool").iterdir())
    house.ledger_up()
    (kept,) = await house.episodic.newest("ann", 9)
    assert (kept.ground_truth, kept.rejected, kept.rating) == ("a", "b", 2)
    assert kept.comment == "my password: [masked: password] is in it"
    assert await house.episodic.feedback("ann", uid(0), given) == kept


async def test_feedback_that_waits_is_forgotten_with_what_it_is_about(house: House) -> None:
    await house.episodic.append("ann", episode(0))
    await house.episodic.append("bob", episode(1, "bob"))
    house.ledger_down()
    for user, key in (("ann", uid(0)), ("bob", uid(1))):
        with pytest.raises(LedgerUnavailable):
            await house.episodic.feedback(user, key, label_of("xylophone"))
    assert (oldest := await house.spool.oldest()) is not None
    assert oldest <= datetime.now(UTC)
    house.ledger_up()
    await house.forgetter.forget("ann", Selection(ids=(uid(0),)))
    assert await house.spool.depth() == 0
    assert await house.episodic.newest("ann", 9) == []
    assert (await house.episodic.get("bob", uid(1))).ground_truth == "xylophone"


async def test_a_damaged_waiting_file_is_kept_and_the_others_go_in(house: House) -> None:
    house.ledger_down()
    await house.episodic.append("ann", episode(1))
    (house.home / "spool" / "0-damaged.json").write_text('{"id": ')
    house.ledger_up()
    assert await house.episodic.drain_spool() == 1
    assert await house.episodic.count("ann") == 1
    assert await house.spool.depth() == 1


# ---- many at once ----


async def test_twenty_users_at_once_never_see_each_other(house: House) -> None:
    users = [f"user {n}" for n in range(20)]

    async def live(number: int, user: str) -> None:
        for turn in range(8):
            key = 100 * number + turn
            await house.episodic.append(user, episode(key, user, query=f"shared words of {user} turn {turn}"))
            if turn % 3 == 0:
                await house.episodic.feedback(user, uid(key), label_of(f"truth of {user}"))
            recalls = await house.episodic.search(user, f"shared words of user {19 - number}", 20)
            assert {recall.interaction.user_id for recall in recalls} == {user}
            assert len(recalls) == turn + 1

    await asyncio.gather(*(live(number, user) for number, user in enumerate(users)))
    assert [await house.index.count(user) for user in users] == [8] * 20
    assert await house.indexer.depth() == 0


async def test_one_text_that_the_embedder_refuses_holds_up_no_other(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = house.embedder.embed

    async def embed(texts: Sequence[str]) -> Vectors:
        if any("poison" in text for text in texts):
            raise ModelRefused("these cannot be embedded")
        return await real(texts)

    monkeypatch.setattr(house.embedder, "embed", embed)
    queries = ["the price of tea", "poison for the queue", "a recipe for pancakes", "the football match"]
    await house.episodic.append_many("ann", [episode(n, query=q) for n, q in enumerate(queries, start=1)])
    await house.indexer.flush()
    assert await house.indexer.depth() == 0
    assert await house.index.count("ann") == 3
    assert (await house.found("ann", "recipe for pancakes"))[0] == uid(3)
    assert await house.interactions.count("ann") == 4


async def test_an_embedder_that_refuses_everything_loses_no_work(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def embed(texts: Sequence[str]) -> Vectors:
        raise ModelRefused("no such model")

    monkeypatch.setattr(house.embedder, "embed", embed)
    await house.episodic.append_many("ann", [episode(1), episode(2)])
    with pytest.raises(ModelRefused):
        await house.indexer.flush()
    assert await house.indexer.depth() == 2
