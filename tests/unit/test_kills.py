"""What the kills and the noisy neighbour are held against: a promise that is broken is seen."""

from __future__ import annotations

from typing import Any

import pytest

from personaagent.evals.perf.kills_state import Kept
from personaagent.evals.perf.load import Plan, _noise
from personaagent.evals.perf.load_user import Tally


def found(*rows: tuple[str, str, str | None], **changes: Any) -> dict[str, Any]:
    told = [{"id": key, "query": query, "truth": truth} for key, query, truth in rows]
    return {"rows": told, "index": len(told), "versions": [[0, None]], "problems": []} | changes


A, B, C = ("a", "turn 1", "tea"), ("b", "turn 2", None), ("c", "row 1", "tea")


def state() -> Kept:
    made = Kept(asked={"a": "turn 1", "b": "turn 2"}, labels={"a": "tea"}, queries={"row 1"})
    assert made.against(found(A, B, C)) == []
    return made


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (found(A, C), "b was kept and is not there"),
        (found(A, B), "'row 1' was imported and is not there"),
        (found(A, B, C, ("d", "turn 2", None)), "'turn 2' is there 2 times"),
        (found(("a", "turn 1", None), B, C), "the label of a is None"),
        (found(A, B, C, index=2), "2 are indexed, 3 are in the ledger"),
        (found(A, B, C, versions=[]), "the persona's versions were [[0, None]] and are []"),
        (found(A, B, C, problems=["the ledger is damaged"]), "the ledger is damaged"),
    ],
)
def test_a_promise_that_is_broken_is_said(seen: dict[str, Any], said: str) -> None:
    assert state().against(seen) == [said]


def test_a_forgetting_that_was_cut_off_has_happened_as_a_whole_or_not_at_all() -> None:
    def cut_off() -> Kept:
        one = state()
        one.forgetting = {"a", "c"}
        return one

    assert cut_off().against(found(A, B, C)) == []
    assert cut_off().against(found(B)) == []
    assert any("half of a forgetting" in said for said in cut_off().against(found(A, B)))


def test_what_was_forgotten_stays_gone() -> None:
    one = state()
    one.forgetting = {"a"}
    one.forgotten()
    assert one.against(found(B, C)) == []
    assert one.against(found(A, B, C)) == ["a was forgotten and is there"]


@pytest.mark.parametrize(("second", "times"), [(1.0, 1.0), (3.0, 3.0)])
def test_the_noise_is_the_second_half_by_the_first(
    second: float, times: float, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = Plan(users=1, seconds=100, think_s=0, faults=False, seed=1, strict_memory=False, noisy=True)
    tally = Tally(turns=[1.0] * 20 + [second] * 20, ended=[1_020.0] * 20 + [1_080.0] * 20)
    assert _noise(tally, 1_000.0, plan) == times
    assert "p95: 1000 ms without" in capsys.readouterr().out
