"""How much one user may ask: counted by the minute and at once, by a clock that the test sets."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from graph.watch import Watch
from personaagent.context import Context
from personaagent.errors import ModelUnreachable, TooManyTurns, TooMuchFeedback
from personaagent.foreground import Foreground
from personaagent.limits import Limiter, Rate
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
    first, fails, last = watch("load_persona", _node), watch("reason", _failing), watch("infer_feedback", _node)
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
