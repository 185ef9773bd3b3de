"""What comes in from outside: times of every form, and errors that whoever asked can read on a server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personaagent.app.server.page.house import refusal_of
from personaagent.context import Context
from personaagent.errors import FeedbackWaits, InvalidContext, LedgerUnavailable, QueryTooLong, TooManyTurns
from personaagent.inputs import moment_of

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["2026-01-31T12:00:00Z", "2026-01-31t12:00:00z", "2026-01-31 12:00:00Z", "2026-01-31T12:00:00.000000000Z",
     "2026-01-31T13:00:00+01:00", "2026-01-31T12:00:00-00:00", "2026-01-31T12:00:00", "2026-01-31T12:00Z",
     " 2026-01-31T12:00:00Z\n"],
)  # fmt: skip
def test_a_time_is_read_in_every_form_of_the_standard(text: str) -> None:
    assert moment_of(text) == NOON


def test_decimals_beyond_microseconds_and_leap_seconds_are_read() -> None:
    assert moment_of("2026-01-31T12:00:00.123456789Z") == NOON + timedelta(microseconds=123456)
    assert moment_of("2016-12-31T23:59:60Z") == datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)


@given(st.datetimes(min_value=datetime(1900, 1, 1)), st.integers(0, 9), st.sampled_from(["T", "t", " "]))
def test_any_rfc_3339_time_is_the_moment_that_it_says(moment: datetime, places: int, separator: str) -> None:
    decimals = f"{moment.microsecond:06}000"[:places]
    text = f"{moment:%Y-%m-%d}{separator}{moment:%H:%M:%S}" + (f".{decimals}" if places else "") + "z"
    kept = int(decimals.ljust(6, "0")[:6]) if places else 0
    assert moment_of(text) == moment.replace(microsecond=kept, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01T00:00:00Z", "12:00", "0001-01-01T00:00:00+23:00"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        moment_of(text)


@pytest.mark.parametrize(
    "told",
    [{"personalize": "false"}, {"personalize": 0}, {"choices": [1, 2]}, {"task": 5}, {"recall_k": "4"},
     {"recall_k": True}, {"align_gate": "no"}, {"instructions": ["a"]}],
)  # fmt: skip
def test_a_field_of_another_kind_is_refused_by_its_name(told: dict[str, Any]) -> None:
    (name,) = told
    with pytest.raises(InvalidContext, match=f"context.{name} "):
        Context(user_id="ann", **told)


def test_a_client_of_a_server_reads_what_to_do_and_nothing_of_the_operators() -> None:
    from langgraph_api.serde import default  # what LangGraph server sends of an error

    assert default(QueryTooLong("32000 at most"))["message"] == "32000 at most"
    assert default(TooManyTurns("again in 12 s", 12)) == {"error": "TooManyTurns", "message": "again in 12 s"}
    assert "host" not in default(LedgerUnavailable("host db.internal"))["message"]


def test_feedback_that_waits_is_told_as_kept_at_both_doors() -> None:
    default = pytest.importorskip("langgraph_api.serde").default
    error = FeedbackWaits("memory does not answer now: the feedback is kept")
    assert "is kept" in default(error)["message"]
    assert (refusal_of(error).status, "is kept" in refusal_of(error).text) == (503, True)
