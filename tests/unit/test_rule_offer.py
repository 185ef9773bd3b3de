"""Several edits alike are offered as a rule, once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from personaagent.persona.proposers.edits import rule_of_edits
from personaagent.types import Clause, Interaction


def edit(number: int, written: str, result: str) -> Interaction:
    return Interaction(
        id=str(number), user_id="ann", query=f"Question {number}?", response=written, ground_truth=result,
        truth_source="edit", created_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=number),
    )  # fmt: skip


def test_three_edits_alike_offer_their_rule_once_and_none_that_is_stated() -> None:
    long = "It takes a while but is worth it. Prepare all of it first. Then take your time and taste now and then."
    history = [edit(n, long, short) for n, short in enumerate(("Go slowly.", "Taste it often.", "Prepare all first."))]
    assert rule_of_edits(history[:2], [], [], set()) is None
    found = rule_of_edits(history, [], [], set())
    assert found is not None and "one sentence" in found[1]
    assert rule_of_edits(history, [], [], {found[0]}) is None
    assert rule_of_edits(history, [], [found[1]], set()) is None
    assert rule_of_edits(history, [Clause(text=found[1])], [], set()) is None
