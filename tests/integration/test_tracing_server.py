"""What LangSmith gets of a real ``langgraph dev``, and what turns are worth while it is slow or down."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from langsmith_stub import LangSmithStub, langsmith_stub
from server_house import client_of, langgraph_dev
from stub_endpoint import endpoint

pytestmark = pytest.mark.server

USER, EMAIL, KEY, PHONE = "zora-user-7", "zora@quill.org", "sk-abcdefgh1234567890abcdefgh", "+49 170 1234567"
SAID = f"I am {USER}, {EMAIL}, key {KEY}, call {PHONE}. Which song?"
CONTEXT = {"user_id": USER, "choices": ["jazz", "rock"], "task": "music", "align": "off"}


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, LangSmithStub]]:
    with (
        langsmith_stub() as stub,
        endpoint() as (base_url, _),
        langgraph_dev(
            tmp_path_factory.mktemp("home"), base_url,
            LANGSMITH_TRACING="true", LANGSMITH_ENDPOINT=stub.url, LANGSMITH_API_KEY="none",
            PERSONAAGENT_PRICES='{"default": [1, 2]}',
        ) as url,
    ):  # fmt: skip
        yield url, stub


async def turn(url: str) -> dict[str, Any]:
    message = {"messages": [{"role": "user", "content": SAID}]}
    answered = await client_of(url, USER).runs.wait(None, "agent", input=message, context=CONTEXT)
    assert isinstance(answered, dict)
    return answered


def ended(stub: LangSmithStub, wanted: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """The root runs that ended and are wanted, as soon as there are any."""
    for _ in range(80):
        found = [
            run
            for run in list(stub.runs.values())
            if not run.get("parent_run_id") and run.get("end_time") and wanted(run)
        ]
        if found:
            return found
        time.sleep(0.25)
    raise AssertionError(f"no such run arrived: {[run.get('name') for run in stub.runs.values()]}")


async def test_turns_labels_and_alignments_arrive_redacted_counted_and_linked(
    traced: tuple[str, LangSmithStub],
) -> None:
    url, stub = traced
    client = client_of(url, USER)
    turns = [await turn(url) for _ in range(9)]
    for one in turns:
        label = {"interaction_id": one["interaction_id"], "ground_truth": "rock", "source": "choice"}
        await client.runs.wait(None, "feedback", input=label, context=CONTEXT)
    rated = turns[0]["interaction_id"]
    await client.runs.wait(None, "feedback", input={"interaction_id": rated, "rating": 4}, context=CONTEXT)
    await client.runs.wait(None, "alignment", input={}, context=CONTEXT | {"align_epochs": 1})

    def of(run: dict[str, Any]) -> dict[str, Any]:
        return dict(run["extra"]["metadata"])

    (alignment,) = ended(stub, lambda run: run["name"] == "alignment")
    (answered,) = ended(stub, lambda run: run["name"] == "agent" and of(run).get("interaction_id") == rated)
    metadata = of(answered)
    assert metadata["persona_version"] == 0
    assert metadata["user"].startswith("user:")
    assert metadata["agent_calls"] == 2  # for log-probabilities, which this endpoint does not give, then for a choice
    assert metadata["agent_cost"] == pytest.approx(
        (metadata["agent_input_tokens"] + 2 * metadata["agent_output_tokens"]) / 1e6
    )
    assert {"graph:agent", "persona:v0", metadata["user"]} <= set(answered["tags"])
    caused = of(alignment)
    assert set(caused["interaction_ids"]) == {one["interaction_id"] for one in turns}
    traces = {of(run)["interaction_id"]: run["id"] for run in ended(stub, lambda run: run["name"] == "agent")}
    assert set(caused["caused_by_runs"]) == set(traces.values())
    assert caused["simulator_calls"] > 0
    for _ in range(40):
        ratings = {f["run_id"] for f in stub.feedback if f["key"] == "rating"}
        if ratings:
            break
        await asyncio.sleep(0.25)
    assert ratings == {answered["id"]}
    for canary in (USER, EMAIL, KEY, PHONE, "170 1234567"):
        assert canary not in stub.sent()


async def test_a_turn_is_answered_at_once_while_langsmith_is_slow_or_down(traced: tuple[str, LangSmithStub]) -> None:
    url, stub = traced
    try:
        stub.seconds = 8.0
        before = time.monotonic()
        assert (await turn(url))["answer"]
        assert time.monotonic() - before < stub.seconds
        stub.seconds, stub.down = 0.0, True
        assert (await turn(url))["answer"]
    finally:
        stub.seconds, stub.down = 0.0, False
