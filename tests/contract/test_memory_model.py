"""Property-based: any sequence of calls of EpisodicMemory, faults and forgets agrees with a plain model."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import Coroutine
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text

from memory_house import START, House, episode, label_of, uid
from personaagent.errors import IndexUnavailable, InvalidLabel, UnknownInteraction
from personaagent.inputs import Feedback
from personaagent.ledger.tables import metadata
from personaagent.memory.forgetting import Selection
from personaagent.memory.portability import export_user, import_user
from personaagent.ports import Where
from personaagent.types import Interaction

USERS = st.sampled_from(["ann", "bob"])
NUMBERS = st.integers(0, 14)
TASKS = st.sampled_from(["news", "movies", None])
THREADS = st.sampled_from(["one", "two", None])
CUTS = st.one_of(st.none(), st.integers(0, 15))


class Memory(RuleBasedStateMachine):
    """The memory on the left, a dictionary on the right."""

    ledger: str | None = None  # the URL of a Postgres; None: SQLite in a folder of its own

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.home = Path(tempfile.mkdtemp(dir=os.environ.get("PYTEST_DEBUG_TEMPROOT")))
        self.house = House(self.home, self.ledger)
        if self.ledger is not None:
            self.run(self.emptied())
        self.model: dict[tuple[str, int], Interaction] = {}
        self.down = False

    async def emptied(self) -> None:
        async with self.house.database.write() as connection:
            await connection.execute(text(f"TRUNCATE {', '.join(metadata.tables)}"))

    def run(self, call: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(call)

    @rule(user=USERS, number=NUMBERS, task=TASKS, thread=THREADS)
    def append(self, user: str, number: int, task: str | None, thread: str | None) -> None:
        new = episode(number, user, task=task, thread_id=thread)
        kept = self.model.setdefault((user, number), new)
        assert self.run(self.house.episodic.append(user, new)) == kept

    @rule(user=USERS, numbers=st.lists(NUMBERS, max_size=6, unique=True), task=TASKS)
    def append_many(self, user: str, numbers: list[int], task: str | None) -> None:
        new = [n for n in numbers if (user, n) not in self.model]
        rows = [episode(n, user, task=task) for n in numbers]
        assert self.run(self.house.episodic.append_many(user, rows)) == len(new)
        for n in new:
            self.model[user, n] = episode(n, user, task=task)

    @rule(user=USERS, number=NUMBERS, truth=st.sampled_from(["yes", "no"]), explicit=st.booleans())
    def label(self, user: str, number: int, truth: str, explicit: bool) -> None:
        known = self.model.get((user, number))
        call = self.house.episodic.feedback(
            user, uid(number), label_of(truth, "correction" if explicit else "implicit")
        )
        if known is None:
            try:
                self.run(call)
            except UnknownInteraction:
                return
            raise AssertionError("a label of an unknown interaction was taken")
        labelled = self.run(call)
        if explicit or known.truth_source in {None, "implicit"}:
            assert labelled.ground_truth == truth
            self.model[user, number] = labelled
        else:
            assert labelled == known

    @rule(user=USERS, number=NUMBERS, rating=st.integers(0, 6))
    def rate(self, user: str, number: int, rating: int) -> None:
        """From 4 up the answer becomes the truth where none is explicit; a lower rating takes such a truth back."""
        known = self.model.get((user, number))
        if known is None or not 1 <= rating <= 5:
            try:
                self.run(self.house.episodic.feedback(user, uid(number), Feedback(rating=rating)))
            except (UnknownInteraction, InvalidLabel):
                return
            raise AssertionError("a rating that cannot be was taken")
        rated = self.run(self.house.episodic.feedback(user, uid(number), Feedback(rating=rating)))
        truth, source = known.ground_truth, known.truth_source
        if rating >= 4 and source in {None, "implicit", "rating"}:
            truth, source = known.response, "rating"
        elif rating < 4 and source == "rating":
            truth, source = None, None
        assert (rated.rating, rated.ground_truth, rated.truth_source) == (rating, truth, source)
        unlabelled = {"ground_truth": None, "truth_source": None, "truth_confidence": None, "labelled_at": None}
        assert replace(rated, **unlabelled) == replace(known, rating=rating, **unlabelled)
        self.model[user, number] = rated

    @rule(user=USERS)
    def carry_elsewhere(self, user: str) -> None:
        """An export, imported into the emptied user, gives back what was there."""
        document = json.loads(json.dumps(self.run(export_user(self.house.database, user))))
        self.run(self.house.forgetter.forget(user, Selection(everything=True)))
        self.run(import_user(self.house.database, self.house.indexer, user, document))
        again = self.run(export_user(self.house.database, user))
        assert {**again, "exported_at": None} == {**document, "exported_at": None}

    @rule(user=USERS, cut=st.integers(0, 15), width=st.integers(1, 4))
    def forget_range(self, user: str, cut: int, width: int) -> None:
        where = Where(since=START + timedelta(days=cut), before=START + timedelta(days=cut + width))
        self.run(self.house.forgetter.forget(user, Selection(where=where)))
        self.model = {
            (owner, n): i for (owner, n), i in self.model.items() if owner != user or not cut <= n < cut + width
        }

    @rule(user=USERS, numbers=st.lists(NUMBERS, min_size=1, max_size=4, unique=True))
    def forget_ids(self, user: str, numbers: list[int]) -> None:
        report = self.run(self.house.forgetter.forget(user, Selection(ids=tuple(uid(n) for n in numbers))))
        gone = {n for n in numbers if self.model.pop((user, n), None) is not None}
        assert set(report.interactions) == {uid(n) for n in gone}

    @rule(user=USERS, task=st.sampled_from(["news", "movies"]))
    def forget_task(self, user: str, task: str) -> None:
        self.run(self.house.forgetter.forget(user, Selection(where=Where(task=task))))
        self.model = {key: i for key, i in self.model.items() if not (key[0] == user and i.task == task)}

    @rule(user=USERS)
    def forget_user(self, user: str) -> None:
        self.run(self.house.forgetter.forget(user, Selection(everything=True)))
        self.model = {key: i for key, i in self.model.items() if key[0] != user}

    @rule(user=USERS, cut=CUTS, since=CUTS, task=TASKS, thread=THREADS, labelled=st.sampled_from([None, True, False]))
    def search(
        self,
        user: str,
        cut: int | None,
        since: int | None,
        task: str | None,
        thread: str | None,
        labelled: bool | None,
    ) -> None:
        where = Where(
            before=None if cut is None else START + timedelta(days=cut),
            since=None if since is None else START + timedelta(days=since),
            task=task,
            thread_id=thread,
            labelled=labelled,
        )
        expected = {
            i.id: i
            for (owner, n), i in self.model.items()
            if owner == user
            and (cut is None or n < cut)
            and (since is None or n >= since)
            and (task is None or i.task == task)
            and (thread is None or i.thread_id == thread)
            and (labelled is None or (i.ground_truth is not None) == labelled)
        }
        try:
            recalls = self.run(self.house.episodic.search(user, "question aaabbb", 50, where))
        except IndexUnavailable:
            assert self.down
            return
        assert not self.down
        assert {r.interaction.id: r.interaction for r in recalls} == expected
        assert [r.score for r in recalls] == sorted((r.score for r in recalls), reverse=True)
        newest = self.run(self.house.episodic.newest(user, 50, where))
        assert newest == sorted(expected.values(), key=lambda i: i.created_at)

    @rule(down=st.booleans())
    def index(self, down: bool) -> None:
        self.down = down
        self.house.index.error = IndexUnavailable("down") if down else None

    @precondition(lambda self: not self.down)
    @rule()
    def reopen(self) -> None:
        self.run(self.house.close())
        self.house = House(self.home, self.ledger)

    @invariant()
    def counts_agree(self) -> None:
        for user in ("ann", "bob"):
            mine = [i for (owner, _), i in self.model.items() if owner == user]
            assert self.run(self.house.episodic.count(user)) == len(mine)
            labelled = sum(i.ground_truth is not None for i in mine)
            assert self.run(self.house.episodic.count(user, Where(labelled=True))) == labelled

    def teardown(self) -> None:
        self.house.index_up()
        self.run(self.house.indexer.close())
        self.run(self.house.indexer.flush())
        for user in ("ann", "bob"):
            assert self.run(self.house.index.count(user)) == sum(owner == user for owner, _ in self.model)
        self.run(self.house.close())
        self.loop.close()
        shutil.rmtree(self.home)


SIZE = settings(max_examples=12, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck))


def test_any_sequence_of_calls_agrees_with_the_model() -> None:
    run_state_machine_as_test(Memory, settings=SIZE)  # type: ignore[no-untyped-call]


def test_any_sequence_of_calls_agrees_with_the_model_on_postgres(postgres: str) -> None:
    class OnPostgres(Memory):
        ledger = postgres

    run_state_machine_as_test(OnPostgres, settings=settings(SIZE, max_examples=6))  # type: ignore[no-untyped-call]


def test_the_model_itself_tells_interactions_apart() -> None:
    assert replace(episode(1), task="x") != episode(1)
    assert len({episode(n).query for n in range(15)}) == 15
