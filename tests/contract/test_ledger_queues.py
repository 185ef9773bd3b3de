"""The queue of background work and the index's outbox: durable, one at a time a user, nothing lost in a crash."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from personaagent.ledger.database import Database
from personaagent.ledger.interactions import Interactions
from personaagent.ledger.queues import MAX_ATTEMPTS, Jobs, Outbox
from personaagent.types import Interaction

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(second: float) -> datetime:
    return START + timedelta(seconds=second)


@pytest.fixture
def jobs(database: Database) -> Jobs:
    return Jobs(database)


async def test_a_job_is_given_when_it_is_due_and_once(jobs: Jobs) -> None:
    await jobs.enqueue("ann", "align", {"a": 1}, at(10))
    assert await jobs.lease(at(9), 60) is None
    job = await jobs.lease(at(10), 60)
    assert job is not None
    assert (job.user_id, job.kind, job.payload, job.attempts) == ("ann", "align", {"a": 1}, 1)
    assert await jobs.lease(at(11), 60) is None
    assert await jobs.depth() == 1
    await jobs.done(job)
    assert await jobs.depth() == 0


async def test_a_second_request_puts_the_waiting_job_off_and_merges(jobs: Jobs) -> None:
    await jobs.enqueue("ann", "align", {"a": 1, "b": 1}, at(10))
    await jobs.enqueue("ann", "align", {"b": 2}, at(15))
    assert await jobs.lease(at(12), 60) is None
    (waiting,) = await jobs.pending("ann")
    assert (waiting.payload, waiting.due_at) == ({"a": 1, "b": 2}, at(15))


async def test_a_user_has_one_job_at_work_at_a_time(jobs: Jobs) -> None:
    for kind in ("align", "refresh"):
        await jobs.enqueue("ann", kind, {}, at(0))
    await jobs.enqueue("bob", "align", {}, at(1))
    leased = await asyncio.gather(*(jobs.lease(at(2), 60) for _ in range(6)))
    assert sorted((job.user_id, job.kind) for job in leased if job) == [("ann", "align"), ("bob", "align")]
    first = next(job for job in leased if job and job.user_id == "ann")
    await jobs.done(first)
    second = await jobs.lease(at(3), 60)
    assert second is not None
    assert second.kind == "refresh"


async def test_a_worker_that_died_loses_no_job_and_cannot_end_anothers(jobs: Jobs) -> None:
    await jobs.enqueue("ann", "align", {}, at(0))
    dead = await jobs.lease(at(0), 30)
    assert dead is not None
    assert await jobs.lease(at(29), 30) is None
    alive = await jobs.lease(at(31), 30)
    assert alive is not None
    assert alive.attempts == 2
    await jobs.done(dead)
    await jobs.failed(dead, "late", at(32))
    assert await jobs.lease(at(40), 30) is None
    assert await jobs.depth() == 1
    await jobs.done(alive)
    assert await jobs.depth() == 0


async def test_what_is_asked_for_while_the_job_runs_runs_after_it(jobs: Jobs) -> None:
    await jobs.enqueue("ann", "align", {"n": 1}, at(0))
    running = await jobs.lease(at(0), 60)
    assert running is not None
    await jobs.enqueue("ann", "align", {"n": 2}, at(5))
    await jobs.done(running)
    again = await jobs.lease(at(5), 60)
    assert again is not None
    assert (again.payload, again.attempts) == ({"n": 2}, 1)


async def test_a_failed_job_is_tried_again_then_given_up_then_tried_when_asked_anew(jobs: Jobs) -> None:
    await jobs.enqueue("ann", "align", {}, at(0))
    for attempt in range(MAX_ATTEMPTS):
        job = await jobs.lease(at(100 * attempt), 10)
        assert job is not None
        await jobs.failed(job, f"reason {attempt}", at(100 * attempt + 50))
        assert await jobs.lease(at(100 * attempt + 49), 10) is None
    assert await jobs.lease(at(9_000), 10) is None
    (given_up,) = await jobs.pending("ann")
    assert given_up.error == f"reason {MAX_ATTEMPTS - 1}"
    await jobs.enqueue("ann", "align", {}, at(9_000))
    assert await jobs.lease(at(9_000), 10) is not None


async def test_many_workers_share_the_jobs_without_doing_one_twice(jobs: Jobs) -> None:
    users = [f"user{n}" for n in range(12)]
    await asyncio.gather(*(jobs.enqueue(user, "align", {}, at(0)) for user in users))

    async def work() -> list[str]:
        mine = []
        while (job := await jobs.lease(at(1), 600)) is not None:
            mine.append(job.user_id)
            await jobs.done(job)
        return mine

    shares = await asyncio.gather(*(work() for _ in range(4)))
    assert sorted(user for share in shares for user in share) == sorted(users)


async def test_a_second_user_sees_and_drops_no_job(jobs: Jobs) -> None:
    await jobs.enqueue("ann", "align", {}, at(0))
    assert await jobs.pending("bob") == []
    assert await jobs.depth("bob") == 0
    assert await jobs.delete_user("bob") == 0
    assert await jobs.delete_user("ann") == 1


async def test_the_outbox_gives_work_in_order_until_it_is_done(database: Database) -> None:
    outbox, interactions = Outbox(database), Interactions(database)
    for n in range(4):
        user = "bob" if n == 2 else "ann"
        await interactions.append(Interaction(id=f"i{n}", user_id=user, query="q", created_at=at(n)))
    work = await outbox.pending(3)
    assert [w.interaction_id for w in work] == ["i0", "i1", "i2"]
    assert [w.interaction_id for w in await outbox.pending(9, "bob")] == ["i2"]
    await outbox.done([work[0], work[2]])
    assert [w.interaction_id for w in await outbox.pending(9)] == ["i1", "i3"]
    assert (await outbox.depth(), await outbox.depth("ann"), await outbox.depth("bob")) == (2, 2, 0)


async def test_a_number_of_the_outbox_is_never_given_twice(database: Database) -> None:
    outbox, interactions = Outbox(database), Interactions(database)
    await interactions.append(Interaction(id="a", user_id="ann", query="q", created_at=at(0)))
    (first,) = await outbox.pending(9)
    await outbox.done([first])
    await interactions.append(Interaction(id="b", user_id="ann", query="q", created_at=at(1)))
    (second,) = await outbox.pending(9)
    assert second.seq > first.seq


async def test_a_refill_asks_for_every_interaction_once(database: Database) -> None:
    outbox, interactions = Outbox(database), Interactions(database)
    for user in ("ann", "bob"):
        new = [Interaction(id=f"i{n}", user_id=user, query="q", created_at=at(n)) for n in range(3)]
        await interactions.append_many(user, new)
    assert await outbox.refill() == 6
    assert [(w.user_id, w.interaction_id) for w in await outbox.pending(99, "bob")] == [
        ("bob", "i0"),
        ("bob", "i1"),
        ("bob", "i2"),
    ]
    assert await outbox.depth() == 6


async def test_a_lease_is_renewed_by_who_holds_it_only(jobs: Jobs) -> None:
    await jobs.enqueue("ann", "align", {}, at(0))
    first = await jobs.lease(at(0), 60)
    assert first is not None
    assert await jobs.renew(first, at(50), 60)
    assert await jobs.lease(at(100), 60) is None, "it was held until 110"
    second = await jobs.lease(at(111), 60)
    assert second is not None
    assert not await jobs.renew(first, at(112), 60)
    await jobs.done(second)
    assert not await jobs.renew(second, at(113), 60)
