"""How much one user may ask: counted by the minute and at once, by a clock that the test sets."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from pydantic import TypeAdapter

from personaagent.context import Context
from personaagent.errors import (
    AlignmentRunning,
    InvalidContext,
    ModelUnreachable,
    TooManyCrons,
    TooManyRuns,
    TooManyTurns,
    TooMuchFeedback,
)
from personaagent.foreground import Foreground
from personaagent.graph.watch import Watch
from personaagent.inputs import check_context
from personaagent.limits import ALIGNMENT_S, MAKING_S, WAITING_S, Limiter, Rate, SharedRate
from personaagent.settings import Settings


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_rate_allows_so_many_within_any_minute_and_says_how_long_to_wait(clock: Clock) -> None:
    rate = Rate(2, clock)
    assert (rate.wait("ann"), rate.wait("ann")) == (0, 0)
    clock.now += 20
    assert rate.wait("ann") == 40
    assert rate.wait("bob") == 0
    clock.now += 40
    assert rate.wait("ann") == 0, "the refused one was not counted"


def test_a_rate_of_0_allows_any_number(clock: Clock) -> None:
    rate = Rate(0, clock)
    assert {rate.wait("ann") for _ in range(1_000)} == {0}


def test_a_rate_forgets_users_who_stay_away(clock: Clock) -> None:
    rate = Rate(5, clock)
    for number in range(100):
        rate.wait(f"user-{number}")
    clock.now += 200
    rate.wait("ann")
    assert set(rate._times) == {"ann"}


def test_processes_that_share_a_folder_count_together(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from personaagent.limits import SharedRate\n"
        "rate = SharedRate(50, Path(sys.argv[1])); print(sum(rate.wait('ann') == 0 for _ in range(40)))"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert sum(int(process.communicate()[0]) for process in started) == 50
    assert SharedRate(50, tmp_path).wait("ann") > 0
    assert SharedRate(50, tmp_path).wait("bob") == 0


def test_a_shared_rate_lets_go_after_a_minute_and_passes_over_what_was_cut_off(tmp_path: Path, clock: Clock) -> None:
    rate = SharedRate(1, tmp_path, clock)
    assert rate.wait("ann") == 0
    assert rate.wait("ann") == 60
    with next(tmp_path.iterdir()).open("ab") as file:
        file.write(b"cut")
    clock.now += 60
    assert rate.wait("ann") == 0
    clock.now = 1.0  # the machine was started anew
    assert rate.wait("ann") == 0


def test_turns_a_minute_are_limited_by_user(clock: Clock) -> None:
    limiter = Limiter(Settings(turns_per_minute=2), clock)
    for turn in ("a", "b"):
        limiter.begin_turn("ann", turn)
        limiter.end_turn("ann", turn)
    with pytest.raises(TooManyTurns, match="PERSONAAGENT_TURNS_PER_MINUTE") as refused:
        limiter.begin_turn("ann", "c")
    assert refused.value.retry_after_s == 60
    limiter.begin_turn("bob", "c")


def test_turns_at_once_are_limited_until_one_ends(clock: Clock) -> None:
    limiter = Limiter(Settings(concurrent_turns=2, turns_per_minute=0), clock)
    limiter.begin_turn("ann", "a")
    limiter.begin_turn("ann", "b")
    limiter.begin_turn("ann", "b")  # a retry of the same turn
    with pytest.raises(TooManyTurns, match="PERSONAAGENT_CONCURRENT_TURNS"):
        limiter.begin_turn("ann", "c")
    limiter.begin_turn("bob", "c")
    limiter.end_turn("ann", "a")
    limiter.end_turn("ann", "a")
    limiter.begin_turn("ann", "c")


def test_a_turn_that_never_ended_is_given_up_in_time(clock: Clock) -> None:
    settings = Settings(concurrent_turns=1, turns_per_minute=0, model_timeout_s=10, max_steps=2)
    limiter = Limiter(settings, clock)
    limiter.begin_turn("ann", "lost")
    clock.now += 21
    limiter.begin_turn("ann", "next")


def test_feedback_a_minute_is_limited(clock: Clock) -> None:
    limiter = Limiter(Settings(feedback_per_minute=1), clock)
    limiter.admit_feedback("ann")
    with pytest.raises(TooMuchFeedback, match="PERSONAAGENT_FEEDBACK_PER_MINUTE"):
        limiter.admit_feedback("ann")
    limiter.admit_feedback("bob")


def test_runs_that_wait_are_limited_before_they_are_in_the_queue(clock: Clock) -> None:
    limiter = Limiter(Settings(pending_runs=2), clock)
    limiter.queue_run("ann", "a")
    limiter.queue_run("ann", "b")
    with pytest.raises(TooManyRuns, match="PERSONAAGENT_PENDING_RUNS"):
        limiter.queue_run("ann", "c")
    limiter.queue_run("bob", "c")
    limiter.run_began("ann", "a")
    limiter.run_began("ann", "a")
    limiter.run_began("carl", "a")
    limiter.queue_run("ann", "c")
    clock.now += WAITING_S
    limiter.queue_run("ann", "d")


def test_runs_asked_for_within_a_minute_are_limited(clock: Clock) -> None:
    limiter = Limiter(Settings(pending_runs=0, turns_per_minute=2, feedback_per_minute=1), clock)
    for run in "abc":
        limiter.queue_run("ann", run)
        limiter.run_began("ann", run)
    with pytest.raises(TooManyRuns, match="3 runs of this user within a minute"):
        limiter.queue_run("ann", "d")
    unlimited = Limiter(Settings(pending_runs=0, turns_per_minute=0), clock)
    for run in range(1_000):
        unlimited.queue_run("ann", str(run))


def test_crons_of_a_user_are_limited_also_those_that_are_being_made(clock: Clock) -> None:
    limiter = Limiter(Settings(crons_per_user=3), clock)
    limiter.make_cron("ann", "c", ["a", "b"])
    with pytest.raises(TooManyCrons, match="PERSONAAGENT_CRONS_PER_USER"):
        limiter.make_cron("ann", "d", ["a", "b"])
    limiter.make_cron("bob", "d", [])
    clock.now += MAKING_S
    limiter.make_cron("ann", "d", ["b", "c"])
    Limiter(Settings(crons_per_user=0), clock).make_cron("ann", "d", [str(n) for n in range(1_000)])


def test_one_alignment_of_a_user_at_a_time_and_one_that_fell_silent_holds_nobody_for_ever(clock: Clock) -> None:
    limiter = Limiter(Settings(), clock)
    limiter.begin_alignment("ann")
    limiter.begin_alignment("bob")
    with pytest.raises(AlignmentRunning):
        limiter.begin_alignment("ann")
    clock.now += ALIGNMENT_S - 1
    limiter.go_on_aligning("ann")
    clock.now += ALIGNMENT_S - 1
    assert limiter.aligning("ann") and not limiter.aligning("bob")
    clock.now += 1
    limiter.begin_alignment("ann")
    limiter.end_alignment("ann")
    assert not limiter.aligning("ann")


def test_an_alignment_that_is_taken_up_in_its_middle_is_one_of_the_user_too(clock: Clock) -> None:
    limiter = Limiter(Settings(), clock)
    limiter.go_on_aligning("ann", "one")
    with pytest.raises(AlignmentRunning):
        limiter.go_on_aligning("ann", "two")
    with pytest.raises(AlignmentRunning):
        limiter.begin_alignment("ann", "three")
    limiter.end_alignment("ann", "two")
    assert limiter.aligning("ann"), "what was refused ends nobody else's"
    limiter.end_alignment("ann", "one")
    limiter.go_on_aligning("ann", "two")


def test_runs_that_are_put_off_wait_until_they_may_begin(clock: Clock) -> None:
    limiter = Limiter(Settings(pending_runs=2), clock)
    limiter.queue_run("ann", "a", after_s=7_200)
    limiter.queue_run("ann", "b", after_s=7_200)
    clock.now += WAITING_S + 60
    with pytest.raises(TooManyRuns):
        limiter.queue_run("ann", "c", after_s=6_840)
    clock.now += 7_200
    limiter.queue_run("ann", "c")


@pytest.mark.parametrize(
    "told",
    [
        {"instructions": "x" * 8_001},
        {"task": "x" * 257},
        {"choices": ["x"] * 1_001},
        {"choices": ["x" * 257]},
        {"choices": [f"{number:0250}" for number in range(200)]},
        {"choices": "jazz"},
        {"tools": ["x" * 257]},
        {"recall_k": 65},
        {"recall_k": -1},
        {"recall_k": "many"},
        {"align": "always"},
        {"align_epochs": 21},
        {"align_epochs": 0},
        {"align_candidates": 17},
        {"align_batch": 65},
        {"align_judge": 10**6},
        {"personalize": "perhaps"},
    ],
    ids=lambda told: next(iter(told)),
)
def test_every_field_of_a_runs_context_is_bounded(told: dict[str, Any]) -> None:
    with pytest.raises(InvalidContext, match=f"context.{next(iter(told))}"):
        Context(user_id="ann", **told)
    with pytest.raises(InvalidContext):
        check_context(told | {"unknown": "is the server's own"})


def test_a_context_that_is_used_as_it_is_meant_stays_as_it_is() -> None:
    told = {"task": "music", "choices": ["jazz", "rock"], "tools": [], "align": "now", "align_batch": 64, "recall_k": 0}
    context = Context(user_id="ann", **told)
    assert {name: getattr(context, name) for name in told} == told
    check_context(told | {"langgraph_auth_user": {"identity": "ann"}, "thread_id": "x" * 100_000})


def test_no_field_of_the_context_is_without_a_bound() -> None:
    """A field that somebody adds says how much it takes."""
    schema = TypeAdapter(Context).json_schema()["properties"]
    for name, field in schema.items():
        kinds = [kind for kind in field.get("anyOf", [field]) if kind.get("type") != "null"]
        for kind in kinds:
            bounds = {"string": "maxLength", "array": "maxItems", "integer": "maximum"}
            bounded = name == "user_id" or "enum" in kind or kind["type"] == "boolean" or bounds[kind["type"]] in kind
            assert bounded, name


class Run:
    server_info = None
    context = Context(user_id="ann")


async def _node(state: Any, runtime: Any) -> dict[str, Any]:
    return {}


async def _failing(state: Any, runtime: Any) -> dict[str, Any]:
    raise ModelUnreachable("down")


def _state(name: str) -> dict[str, Any]:
    return {"messages": [HumanMessage("hello", id=name)]}


async def test_on_a_server_the_first_node_of_a_turn_asks_and_its_last_or_its_failure_frees(clock: Clock) -> None:
    watch = Watch("agent", Limiter(Settings(concurrent_turns=1), clock), lambda: True, Foreground())
    first, fails, last = watch("load_persona", _node), watch("reason", _failing), watch("write_memory", _node)
    await first(_state("a"), runtime=Run(), config={})
    with pytest.raises(TooManyTurns):
        await first(_state("b"), runtime=Run(), config={})
    await last(_state("a"), runtime=Run(), config={})
    await first(_state("b"), runtime=Run(), config={})
    with pytest.raises(ModelUnreachable):
        await fails(_state("b"), runtime=Run(), config={})
    await first(_state("c"), runtime=Run(), config={})


async def test_elsewhere_nobody_is_held_back(clock: Clock) -> None:
    settings = Settings(concurrent_turns=1, turns_per_minute=1, feedback_per_minute=1)
    agent = Watch("agent", Limiter(settings, clock), lambda: False, Foreground())("load_persona", _node)
    feedback = Watch("feedback", Limiter(settings, clock), lambda: False, Foreground())("record_feedback", _node)
    for name in "abc":
        await agent(_state(name), runtime=Run(), config={})
        await feedback({}, runtime=Run(), config={})


async def test_feedback_over_the_limit_is_refused_before_it_is_recorded(clock: Clock) -> None:
    watch = Watch("feedback", Limiter(Settings(feedback_per_minute=1), clock), lambda: True, Foreground())
    node = watch("record_feedback", _node)
    await node({}, runtime=Run(), config={})
    with pytest.raises(TooMuchFeedback):
        await node({}, runtime=Run(), config={})
