"""What was said is read into semantic memory: each interaction once, newest first, within the budget."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from langchain_core.messages import BaseMessage, HumanMessage

from graph_house import past
from personaagent.context import Context
from personaagent.errors import ContextTooLong, ModelUnreachable
from personaagent.graph.agent import build_agent
from personaagent.graph.services import READ_AFTER, Services
from personaagent.memory.reading import MAX_READ
from personaagent.models.card import Card
from personaagent.types import Interaction
from scripted import ScriptedModels

Build = Callable[..., Services]


def reading(seen: list[list[int]], **script: Any) -> ScriptedModels:
    """Models whose summarizer notes which turns it is shown, call by call."""

    def structured(role: str, messages: list[BaseMessage], schema: dict[str, Any]) -> dict[str, Any] | Exception:
        if schema["title"] == "FactOperations":
            seen.append([int(n) for n in re.findall(r"turn (\d+) of ann", messages[-1].text)])
        return script.get("answer", {"operations": []})

    return ScriptedModels(agent="ok", structured=structured, tool_calling=False, known=script.get("known"))


def said(number: int) -> Interaction:
    row = past("ann", number, "")
    return replace(row, query=f"turn {number} of ann", ground_truth=None, truth_source=None, choices=())


async def read_all(services: Services) -> None:
    for _ in range(40):
        await services.reader.refresh("ann")
        if not await services.interactions.waiting("ann"):
            return


@pytest.mark.parametrize("rows", [1, MAX_READ, 31, 600])
async def test_every_unlabelled_turn_is_read_exactly_once_and_the_newest_first(build: Build, rows: int) -> None:
    seen: list[list[int]] = []
    services = build(reading(seen))
    await services.episodic.append_many("ann", [said(n) for n in range(rows)])
    await services.reader.refresh("ann")
    assert len(seen) <= services.settings.align_readings
    assert seen[0][-1] == rows - 1
    await read_all(services)
    assert Counter(n for call in seen for n in call) == Counter(range(rows))
    assert all(max(later) < min(sooner) for sooner, later in itertools.pairwise(seen))
    before = len(seen)
    await services.reader.refresh("ann")
    assert len(seen) == before


@pytest.mark.parametrize("context", [1_400, 2_048])
async def test_a_small_context_is_read_into_in_more_calls_and_nothing_is_passed_over(
    build: Build, context: int
) -> None:
    seen: list[list[int]] = []
    services = build(reading(seen, known=Card(context=context)))
    rows = [replace(said(n), query=f"turn {n} of ann: I like {'红酒' * 90}") for n in range(30)]
    await services.episodic.append_many("ann", rows)
    await read_all(services)
    assert Counter(n for call in seen for n in call) == Counter(range(30))
    assert 2 < len(seen) <= 30


async def test_what_an_endpoint_finds_too_much_is_read_in_halves_and_one_that_alone_is_too_much_stops_nothing(
    build: Build,
) -> None:
    seen: list[list[int]] = []

    def structured(role: str, messages: list[BaseMessage], schema: dict[str, Any]) -> dict[str, Any] | Exception:
        turns = [int(n) for n in re.findall(r"turn (\d+) of ann", messages[-1].text)]
        if len(turns) > 3 or 7 in turns:
            return ContextTooLong("too much", limit=None)
        seen.append(turns)
        return {"operations": []}

    services = build(ScriptedModels(agent="ok", structured=structured, tool_calling=False))
    await services.episodic.append_many("ann", [said(n) for n in range(10)])
    await read_all(services)
    assert await services.interactions.waiting("ann") == 0
    assert Counter(n for call in seen for n in call) == Counter(set(range(10)) - {7})


async def test_a_row_dated_before_the_newest_is_read_too(build: Build) -> None:
    seen: list[list[int]] = []
    services = build(reading(seen))
    await services.episodic.append_many("ann", [said(9)])
    await services.reader.refresh("ann")
    await services.episodic.append_many("ann", [said(3)])
    await services.reader.refresh("ann")
    assert seen == [[9], [3]]


async def test_what_no_model_could_read_waits_and_what_it_answered_badly_does_not_stop_the_rest(build: Build) -> None:
    seen: list[list[int]] = []
    services = build(reading(seen, answer=ModelUnreachable("down")))
    await services.episodic.append_many("ann", [said(n) for n in range(30)])
    await services.reader.refresh("ann")
    assert (len(seen), await services.interactions.waiting("ann")) == (1, 30)


async def test_reading_stays_within_the_days_budget(build: Build) -> None:
    seen: list[list[int]] = []
    services = build(reading(seen), align_daily_calls=2)
    await services.episodic.append_many("ann", [said(n) for n in range(200)])
    await services.reader.refresh("ann")
    assert (len(seen), await services.interactions.waiting("ann")) == (2, 200 - 2 * MAX_READ)


async def test_turns_without_a_label_ask_to_be_read_after_some(build: Build) -> None:
    services = build(reading([]), align_delay_s=0)
    agent = build_agent(services).compile()
    for number in range(READ_AFTER):
        assert await services.jobs.depth("ann") == 0
        await agent.ainvoke({"messages": [HumanMessage(f"turn {number} of ann")]}, context=Context(user_id="ann"))
    assert await services.jobs.depth("ann") == 1
