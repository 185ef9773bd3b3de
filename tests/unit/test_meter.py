"""Calls and tokens are counted for every meter that is on, wherever the call is made."""

from __future__ import annotations

import asyncio
from typing import TypedDict

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import END, START, StateGraph

from personaagent.errors import ModelUnreachable
from personaagent.models.meter import counting, metering
from personaagent.models.tokens import count_tokens
from personaagent.types import Usage
from scripted import ScriptedModels


async def ask(models: ScriptedModels, text: str = "two words") -> None:
    await (await models.chat("critic")).ainvoke(text)


async def test_a_call_is_counted_on_its_role() -> None:
    models = ScriptedModels(critic="four")
    with metering() as meter:
        await ask(models)
        await models.choose("agent", [HumanMessage("word")], ["a", "b"])
    assert meter.by_role == {
        "critic": Usage(calls=1, input_tokens=2, output_tokens=1),
        "agent": Usage(calls=1, input_tokens=1, output_tokens=1),
    }
    assert meter.total == Usage(calls=2, input_tokens=3, output_tokens=2)


async def test_an_outer_meter_counts_what_an_inner_one_counts() -> None:
    models = ScriptedModels()
    with metering() as outer:
        await ask(models)
        with metering() as inner:
            await ask(models)
        await ask(models)
    await ask(models)
    assert (outer.total.calls, inner.total.calls) == (3, 1)


async def test_concurrent_meters_count_only_their_own_calls() -> None:
    models = ScriptedModels(latency=0.01)

    async def several(times: int) -> int:
        with metering() as meter:
            await asyncio.gather(*(ask(models) for _ in range(times)))
        return meter.total.calls

    with metering() as all_of_it:
        assert list(await asyncio.gather(several(1), several(2), several(3))) == [1, 2, 3]
    assert all_of_it.total.calls == 6


async def test_calls_inside_a_nested_graph_are_counted() -> None:
    class State(TypedDict):
        text: str

    models = ScriptedModels()

    async def node(state: State) -> State:
        await ask(models)
        return state

    inner = StateGraph(State).add_node("node", node).add_edge(START, "node").add_edge("node", END).compile()

    async def outer_node(state: State) -> State:
        await inner.ainvoke(state)
        return {"text": "seen"}

    outer = StateGraph(State).add_node("a", outer_node).add_node("b", node).add_edge(START, "a").add_edge("a", "b")
    with metering() as meter:
        await outer.compile().ainvoke({"text": "x"})
    assert meter.total.calls == 2


async def test_a_streamed_call_is_counted_once_with_its_tokens() -> None:
    models = ScriptedModels("three word answer")
    with metering() as meter:
        chunks = [chunk.text async for chunk in (await models.chat("critic")).astream("two words")]
    assert chunks[:3] == ["three ", "word ", "answer"]
    assert meter.total == Usage(calls=1, input_tokens=2, output_tokens=3)
    assert not meter.estimated


def test_tokens_that_no_endpoint_reported_are_estimated_and_marked() -> None:
    with metering() as meter, counting("editor", [HumanMessage("x" * 40)]) as call:
        call.received(AIMessage("y" * 9))
    assert meter.total == Usage(calls=1, input_tokens=10, output_tokens=3)
    assert meter.estimated


async def test_a_failed_call_counts_as_a_call_without_tokens() -> None:
    models = ScriptedModels(critic=[ModelUnreachable("down"), "up"])
    with metering() as meter:
        with pytest.raises(ModelUnreachable):
            await ask(models)
        await ask(models)
    assert meter.total == Usage(calls=2, input_tokens=2, output_tokens=1)


def test_a_call_that_is_cancelled_counts_what_was_sent() -> None:
    with metering() as meter, pytest.raises(asyncio.CancelledError), counting("agent", [HumanMessage("x" * 40)]):
        raise asyncio.CancelledError
    assert meter.total == Usage(calls=1, input_tokens=10)
    assert meter.estimated


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("a", 1), ("four words of it", 4), ("4242", 4), ("x" * 400, 100)]
)
def test_tokens_are_words_digits_signs_and_four_characters_of_what_is_no_word(text: str, tokens: int) -> None:
    assert count_tokens(text) == tokens
