"""A conversation in which the user asks to forget what they said of a matter: shown, agreed to, gone from all words."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from graph_house import Build
from personaagent.context import Context
from personaagent.graph.agent import build_agent
from personaagent.graph.services import Services
from personaagent.library.agent import PersonaAgent
from personaagent.memory.portability import export_user
from scripted import ScriptedModels

ASKED = "Please forget what I said about my divorce."
CONFIG: Any = {"configurable": {"thread_id": "t"}}


async def said(graph: Any, *texts: str | Command[Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for text in texts:
        given = text if isinstance(text, Command) else {"messages": [HumanMessage(text)]}
        out = await graph.ainvoke(given, context=Context(user_id="ann"), config=CONFIG)
    return out


async def kept(services: Services) -> str:
    return str(await export_user(services.database, "ann")).casefold()


@pytest.fixture(params=[True, False])
def models(request: pytest.FixtureRequest) -> ScriptedModels:
    """One that is offered tools and calls none, and one that is offered none."""

    def answer(messages: list[BaseMessage], _: list[dict[str, Any]]) -> str:
        return "I see, your divorce." if messages[-1].text.endswith("I am getting divorced") else "Fine."

    return ScriptedModels(agent=answer, tool_calling=request.param)


async def test_it_is_shown_then_gone_from_memory_export_and_every_later_prompt(
    build: Build, models: ScriptedModels
) -> None:
    services = build(models)
    graph = build_agent(services).compile(checkpointer=InMemorySaver())
    await said(graph, "I am getting divorced", "What helps against the grief?", "Which film tonight?")
    waits = await said(graph, ASKED)
    (request,) = waits["__interrupt__"][0].value["action_requests"]
    assert request["args"] == {"about": "my divorce"}
    assert request["preview"] == "1 interaction would be forgotten\nsaid: I am getting divorced"
    assert "said: I am getting divorced" in request["description"]
    assert await services.episodic.count("ann") == 3  # it was only shown
    out = await said(graph, Command(resume={"decisions": [{"type": "approve"}]}))
    assert out["answer"] == "Forgotten: 1 memory, 0 facts."
    assert out["interaction_id"] == ""
    await said(graph, "And which book?")
    assert [i.query for i in await services.interactions.newest("ann", 9)] == [
        "What helps against the grief?", "Which film tonight?", "And which book?",
    ]  # fmt: skip
    assert "divorc" not in await kept(services)
    assert "divorc" not in models.calls[-1].text
    assert "Which film tonight?" in models.calls[-1].text


async def test_a_no_keeps_what_was_said_and_remembers_no_word_of_the_wish(build: Build, models: ScriptedModels) -> None:
    services = build(models)
    graph = build_agent(services).compile(checkpointer=InMemorySaver())
    await said(graph, "I am getting divorced", ASKED)
    out = await said(graph, Command(resume={"decisions": [{"type": "reject"}]}))
    assert out["answer"] == "Nothing was forgotten."
    await said(graph, "Thanks, perfect!")  # which is said of this, and not of the answer before
    first, _ = await services.interactions.newest("ann", 9)
    assert (first.query, first.ground_truth) == ("I am getting divorced", None)
    assert "my divorce." not in (await kept(services)).replace("i see, your divorce.", "")
    assert await services.facts.history("ann") == []


async def test_where_nothing_has_the_words_nobody_is_asked_and_nothing_is_kept(build: Build) -> None:
    services = build(ScriptedModels("ok"))
    graph = build_agent(services).compile(checkpointer=InMemorySaver())
    out = await said(graph, "Which film tonight?", ASKED)
    assert out["answer"].startswith("Nothing that is remembered has these words")
    assert "divorce" not in await kept(services)
    alone = (
        await build_agent(services)
        .compile()
        .ainvoke({"messages": [HumanMessage("Forget what I said about that film")]}, context=Context(user_id="ann"))
    )
    assert alone["answer"] == "Nothing was forgotten."  # nobody can be asked without a thread
    assert await services.episodic.count("ann") == 1


async def test_a_model_may_find_the_wish_in_other_words_and_a_yes_for_good_does_not_hold_for_it(build: Build) -> None:
    def agent(messages: list[BaseMessage], tools: list[dict[str, Any]]) -> AIMessage | str:
        if messages[-1].text.endswith("Drop all that divorce talk, for good."):
            return AIMessage("", tool_calls=[{"name": "forget", "args": {"about": "divorce"}, "id": "1"}])
        return "Your divorce is out of my memory now." if isinstance(messages[-1], ToolMessage) else "Fine."

    models = ScriptedModels(agent=agent)
    services = build(models)
    await services.grants.put("ann", "forget", "approve")
    graph = build_agent(services).compile(checkpointer=InMemorySaver())
    waits = await said(graph, "I am getting divorced", "Drop all that divorce talk, for good.")
    assert "said: I am getting divorced" in waits["__interrupt__"][0].value["description"]
    out = await said(graph, Command(resume="accept"), "Hello")
    assert "divorc" not in await kept(services)
    assert "divorc" not in models.calls[-1].text.casefold()  # not even by the reply
    assert out["answer"]


async def test_over_the_library_other_threads_that_say_it_go_as_well(build: Build) -> None:
    models = ScriptedModels("ok")
    agent = PersonaAgent.over(build(models))
    ann = agent.user("ann")
    await ann.ask("I am getting divorced", thread="evening")
    await ann.ask("Which film?", thread="films")
    waits = await ann.ask(ASKED, thread="morning")
    assert "said: I am getting divorced" in str(waits)
    assert str(await waits.approve(always=True)) == "Forgotten: 1 memory, 0 facts."
    await ann.ask("Good evening", thread="evening")
    assert "divorce" not in models.calls[-1].text
    await ann.ask("And now?", thread="films")
    assert "Which film?" in models.calls[-1].text
    await ann.remember("My divorce is through.")
    seen = await ann.preview_forget(about="divorce")
    assert (seen.memories, seen.facts) == (1, ("My divorce is through.",))
    report = await ann.forget(about="divorce")
    assert (len(report.interactions), len(report.facts_deleted)) == (1, 1)
    assert (await ann.memories()).count == 3


@pytest.mark.parametrize(("matter", "turns"), [("the piano", 0), ("every memory", 1)])
async def test_a_call_that_the_user_did_not_wish_does_not_hide_the_turn(build: Build, matter: str, turns: int) -> None:
    call = AIMessage("", tool_calls=[{"name": "forget", "args": {"about": matter}, "id": "1"}])
    services = build(ScriptedModels(agent=[call, "Well."]))
    graph = build_agent(services).compile(checkpointer=InMemorySaver())
    out = await said(graph, "Let go of the piano, would you")
    assert out["answer"] == "Well."
    assert await services.episodic.count("ann") == turns
