"""One turn of the agent: what it costs, what it reads, what it keeps, and what happens when parts fail."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from graph_house import Build, past
from personaagent.context import Context
from personaagent.errors import (
    EmptyQuery,
    IndexUnavailable,
    InvalidUserId,
    LedgerUnavailable,
    ModelDenied,
    QueryTooLong,
)
from personaagent.graph.agent import build_agent
from personaagent.graph.services import Services
from personaagent.inputs import Feedback
from personaagent.memory.portability import export_user
from personaagent.types import FactOperation
from scripted import ScriptedModels


async def turn(services: Services, text: str, *, thread: str | None = "t", **context: Any) -> dict[str, Any]:
    agent = build_agent(services).compile()
    return await agent.ainvoke(
        {"messages": [HumanMessage(text, id=f"m-{text[:20]}")]},
        context=Context(**{"user_id": "ann", **context}),
        config={"configurable": {"thread_id": thread}},
    )


def called(name: str, **arguments: Any) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": f"call-{name}"}])


async def test_a_turn_without_tools_costs_one_model_call_and_is_remembered(build: Build) -> None:
    models = ScriptedModels(agent="Solaris")
    services = build(models)
    out = await turn(services, "Which film tonight?")
    assert out["answer"] == "Solaris"
    assert len(models.calls) == 1
    kept = await services.episodic.get("ann", out["interaction_id"])
    assert (kept.query, kept.response, kept.ground_truth) == ("Which film tonight?", "Solaris", None)
    assert kept.persona_version == out["persona_version"] == 0


async def test_recalled_memory_is_put_in_front_of_the_model_and_tools_are_bound_too(build: Build) -> None:
    models = ScriptedModels()
    services = build(models)
    await services.episodic.append_many("ann", [past("ann", 1, "slow films", query="What films do I like?")])
    await turn(services, "Which films do I like at night?")
    assert "slow films" in models.calls[0].text
    assert {"recall", "profile", "wikipedia", "calculator"} <= set(models.calls[0].tool_names)


async def test_a_tool_call_is_carried_out_and_traced(build: Build) -> None:
    models = ScriptedModels(agent=[called("calculator", expression="6*7"), "It is 42."])
    services = build(models)
    out = await turn(services, "What is six times seven?")
    assert out["answer"] == "It is 42."
    (trace,) = (await services.episodic.get("ann", out["interaction_id"])).tools
    assert (trace.name, trace.outcome) == ("calculator", "ok")
    assert "42" in trace.brief


async def test_a_tool_that_was_not_granted_is_neither_bound_nor_run(build: Build) -> None:
    models = ScriptedModels(agent=[called("calculator", expression="1+1"), "no"])
    services = build(models)
    await services.grants.put("ann", "calculator", "deny")
    out = await turn(services, "add one and one")
    assert "calculator" not in models.calls[0].tool_names
    (trace,) = (await services.episodic.get("ann", out["interaction_id"])).tools
    assert trace.outcome == "refused"


async def test_an_unknown_tool_is_answered_with_what_there_is(build: Build) -> None:
    models = ScriptedModels(agent=[called("teleport", to="Mars"), "I cannot."])
    out = await turn(build(models), "take me to Mars")
    assert out["answer"] == "I cannot."
    assert "recall" in models.calls[1].text


async def test_a_model_that_calls_tools_forever_is_made_to_answer(build: Build) -> None:
    def forever(messages: list[Any], tools: list[Any]) -> AIMessage:
        return called("calculator", expression=f"1+{len(messages)}") if tools else AIMessage("enough")

    models = ScriptedModels(agent=forever)
    out = await turn(build(models, max_steps=4), "loop")
    assert out["answer"] == "enough"
    assert len(models.calls) == 4


async def test_a_model_that_answers_nothing_leaves_a_graceful_turn(build: Build) -> None:
    services = build(ScriptedModels(agent="  "))
    out = await turn(services, "hello")
    assert out["answer"] == ""
    assert out["messages"][-1].text
    assert any("model" in why for why in out["degraded"])
    assert (await services.episodic.get("ann", out["interaction_id"])).response is None


async def test_a_closed_answer_space_is_read_from_the_text_or_asked_by_constraint(build: Build) -> None:
    said = ScriptedModels(agent="Rock, I think.")
    assert (await turn(build(said), "song", choices=["jazz", "rock"]))["answer"] == "rock"
    assert len(said.calls) == 1
    silent = ScriptedModels(agent="hard to say", choose=lambda role, messages, choices: "jazz")
    assert (await turn(build(silent), "song", choices=["jazz", "rock"]))["answer"] == "jazz"
    assert [call.kind for call in silent.calls] == ["chat", "choose"]


async def test_the_past_is_shown_as_turns_where_the_answers_are_known(build: Build) -> None:
    models = ScriptedModels(tool_calling=False)
    services = build(models)
    await services.episodic.append_many(
        "ann", [past("ann", 1, "rock", query="song one", task="music", choices=("jazz", "rock"))]
    )
    await turn(services, "song two", task="music", choices=["jazz", "rock"])
    kinds = [(m.type, m.text) for m in models.calls[0].messages]
    assert kinds[1:3] == [("human", "song one"), ("ai", "rock")]
    assert kinds[-1][0] == "human"


async def test_without_personalization_nothing_is_read_or_kept(build: Build) -> None:
    models = ScriptedModels()
    services = build(models)
    await services.episodic.append_many("ann", [past("ann", 1, "secret taste", query="What do I like?")])
    out = await turn(services, "What do I like?", personalize=False)
    assert "secret taste" not in models.calls[0].text
    assert await services.episodic.count("ann") == 1
    assert out["interaction_id"] == ""


@pytest.mark.parametrize("user_id", ["", "   ", "a\nb", "x" * 10_000])
async def test_a_user_id_that_names_nobody_is_refused(build: Build, user_id: str) -> None:
    with pytest.raises(InvalidUserId):
        await turn(build(ScriptedModels()), "hello", user_id=user_id)


async def test_a_user_id_may_have_slashes_and_emoji(build: Build) -> None:
    services = build(ScriptedModels(agent="hi"))
    out = await turn(services, "hello", user_id="../ann/🦊")
    assert (await services.episodic.get("../ann/🦊", out["interaction_id"])).response == "hi"


async def test_an_empty_and_an_endless_message_are_refused_and_cost_nothing(build: Build) -> None:
    models = ScriptedModels()
    for nothing in ("  ", "\u200b\u2060"):
        with pytest.raises(EmptyQuery):
            await turn(build(models), nothing)
    with pytest.raises(QueryTooLong, match="32000"):
        await turn(build(models), "x" * 1_000_000)
    assert models.calls == []


async def test_a_wrong_key_is_raised_by_name(build: Build) -> None:
    models = ScriptedModels()
    models.fail("agent", ModelDenied("the endpoint refuses the key"))
    with pytest.raises(ModelDenied):
        await turn(build(models), "hello")


async def test_a_turn_without_recall_keeps_facts_and_pins_and_says_so(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = ScriptedModels(agent="still here")
    services = build(models)
    await services.episodic.append_many("ann", [past("ann", 1, "no nuts")])
    told = FactOperation(kind="add", text="The user is allergic to nuts.", evidence=("ann-1",), source="user")
    await services.semantic.apply("ann", [told], through=past("ann", 1, "").created_at)
    await services.personas.pin("ann", "Suggest dishes without meat.")

    async def down(*args: Any, **kwargs: Any) -> Any:
        raise IndexUnavailable("the index does not answer")

    monkeypatch.setattr(services.episodic, "search", down)
    out = await turn(services, "hello")
    assert out["answer"] == "still here"
    assert "allergic to nuts" in models.calls[0].text
    assert "dishes without meat" in models.calls[0].text
    assert any(why.startswith("memory") for why in out["degraded"])
    assert await services.episodic.count("ann") == 2


async def test_a_retried_turn_is_written_once(build: Build) -> None:
    services = build(ScriptedModels())
    first = await turn(services, "once", thread="t1")
    again = await turn(services, "once", thread="t1")
    assert first["interaction_id"] == again["interaction_id"]
    assert await services.episodic.count("ann") == 1


async def test_the_scratch_of_a_turn_does_not_leak_into_the_next(build: Build) -> None:
    models = ScriptedModels(agent=[called("calculator", expression="1+1"), "two", "plain"])
    services = build(models)
    agent = build_agent(services).compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "t"}}
    for text in ("add", "talk"):
        out = await agent.ainvoke({"messages": [HumanMessage(text)]}, context=Context(user_id="ann"), config=config)
    assert out["answer"] == "plain"
    assert (await services.episodic.get("ann", out["interaction_id"])).tools == ()


async def test_users_never_see_each_other_under_concurrency(build: Build) -> None:
    models = ScriptedModels(agent=lambda messages, tools: AIMessage(messages[-1].text))
    services = build(models)
    users = [f"user {n}" for n in range(20)]
    for user in users:
        await services.episodic.append_many(
            user, [past(user, 1, f"secret of {user}.", query="What is my secret word?")]
        )
    outs = await asyncio.gather(
        *(turn(services, "What is my secret word?", user_id=user, thread=user) for user in users)
    )
    for user, out in zip(users, outs, strict=True):
        told = {other for other in users if f"secret of {other}." in out["answer"]}
        assert told == {user}


async def test_pins_and_persona_stand_in_the_system_prompt_in_front_of_everything(build: Build) -> None:
    models = ScriptedModels()
    services = build(models)
    await services.personas.pin("ann", "Always answer in French.")
    await turn(services, "hello")
    assert "Always answer in French." in models.calls[0].messages[0].text
    assert models.calls[0].messages[0].type == "system"


async def test_a_side_effect_waits_for_approval_and_is_done_once(build: Build) -> None:
    models = ScriptedModels(agent=[called("remember", text="I am a vegetarian."), "Noted."])
    services = build(models)
    agent = build_agent(services).compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "t"}}
    context = Context(user_id="ann")
    asked = await agent.ainvoke({"messages": [HumanMessage("remember that")]}, context=context, config=config)
    (request,) = asked["__interrupt__"][0].value["action_requests"]
    assert (request["name"], request["args"]) == ("remember", {"text": "I am a vegetarian."})
    assert (await services.semantic.profile("ann")).facts == ()
    out = await agent.ainvoke(Command(resume=[{"type": "accept"}]), context=context, config=config)
    assert out["answer"] == "Noted."
    (fact,) = (await services.semantic.profile("ann")).facts
    assert (fact.text, fact.source) == ("I am a vegetarian.", "user")
    assert (await services.semantic.profile("bob")).facts == ()


async def test_a_rejected_side_effect_does_not_happen_and_the_model_is_told(build: Build) -> None:
    models = ScriptedModels(agent=[called("remember", text="I am a king."), "As you wish."])
    services = build(models)
    agent = build_agent(services).compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "t"}}
    context = Context(user_id="ann")
    await agent.ainvoke({"messages": [HumanMessage("remember that")]}, context=context, config=config)
    out = await agent.ainvoke(Command(resume="reject"), context=context, config=config)
    assert out["answer"] == "As you wish."
    assert "did not allow" in models.calls[1].text
    assert [t.outcome for t in (await services.episodic.get("ann", out["interaction_id"])).tools] == ["rejected"]
    assert (await services.semantic.profile("ann")).facts == ()


async def test_a_forgotten_statement_is_gone_with_its_fact(build: Build) -> None:
    services = build(ScriptedModels())
    tools = {spec.name: spec for spec in await services.actions.all("ann")}
    assert {"remember", "correct", "forget"} <= set(tools)
    await services.grants.put("ann", "memory:write", "approve")
    space = await services.actions.of("ann")
    call = {"name": "remember", "args": {"text": "I live in Ulm."}, "id": "1"}
    text, _ = await services.actions.execute(space, "ann", call)
    (fact,) = (await services.semantic.profile("ann")).facts
    assert fact.id in text
    await services.actions.execute(space, "ann", {"name": "forget", "args": {"fact_id": fact.id}, "id": "2"})
    assert await services.facts.history("ann") == []
    assert await services.episodic.count("ann") == 0


async def talk(services: Services, *texts: str, **context: Any) -> list[dict[str, Any]]:
    """Turns of one thread, one after the other."""
    agent = build_agent(services).compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "talk"}}
    run = Context(**{"user_id": "ann", **context})
    return [await agent.ainvoke({"messages": [HumanMessage(text)]}, context=run, config=config) for text in texts]


async def test_a_correction_in_the_next_message_labels_the_answer_implicitly_and_costs_no_call(build: Build) -> None:
    models = ScriptedModels(agent="jazz")
    services = build(models, align_after=1, align_delay_s=0)
    turns = await talk(services, "Which genre is it?", "No, I meant rock.", choices=["jazz", "rock", "folk"])
    first, second = [await services.episodic.get("ann", out["interaction_id"]) for out in turns]
    assert (first.response, first.ground_truth, first.truth_source) == ("jazz", "rock", "implicit")
    assert first.truth_confidence is not None
    assert first.truth_confidence < 1
    assert second.ground_truth is None
    assert len(models.calls) == 2
    assert await services.jobs.depth("ann") == 1  # and it counts towards an alignment


async def test_what_the_user_said_explicitly_stays(build: Build) -> None:
    services = build(ScriptedModels(agent="jazz"))
    agent = build_agent(services).compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "t"}}
    run = Context(user_id="ann", choices=["jazz", "rock", "folk"])
    out = await agent.ainvoke({"messages": [HumanMessage("Which genre?")]}, context=run, config=config)
    await services.episodic.feedback("ann", out["interaction_id"], Feedback(ground_truth="folk", source="correction"))
    await agent.ainvoke({"messages": [HumanMessage("No, I meant rock.")]}, context=run, config=config)
    kept = await services.episodic.get("ann", out["interaction_id"])
    assert (kept.ground_truth, kept.truth_source) == ("folk", "correction")


async def test_a_message_labels_nothing_in_another_thread_or_of_another_user(build: Build) -> None:
    services = build(ScriptedModels(agent="jazz"))
    first = await turn(services, "Which genre?", thread="one")
    await turn(services, "No, I meant rock.", thread="two")
    await turn(services, "Thanks!", thread="one", user_id="bob")
    assert (await services.episodic.get("ann", first["interaction_id"])).ground_truth is None


async def test_a_ledger_that_fails_while_feedback_is_inferred_costs_only_the_label(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = build(ScriptedModels(agent="jazz"))

    async def down(*args: Any, **kwargs: Any) -> Any:
        raise LedgerUnavailable("the database does not answer")

    monkeypatch.setattr(services.episodic, "feedback", down)
    out = (await talk(services, "Which genre?", "Thanks!"))[-1]
    assert out["answer"] == "jazz"
    assert out["degraded"] == ["feedback: the ledger does not answer now"]


async def test_a_wish_to_forget_leaves_no_word_of_it_in_memory_or_in_the_next_prompt(build: Build) -> None:
    def agent(messages: list[Any], _: list[Any]) -> AIMessage | str:
        asked = messages[-1].text.rstrip()
        if isinstance(messages[-1], HumanMessage) and asked.endswith("Please remember that I am allergic to peanuts"):
            args = {"text": "I am allergic to peanuts."}
            return AIMessage("", tool_calls=[{"name": "remember", "args": args, "id": "1"}])
        if isinstance(messages[-1], HumanMessage) and asked.endswith("Forget that I am allergic to peanuts"):
            return AIMessage("", tool_calls=[{"name": "forget", "args": {"fact_id": fact_id[0]}, "id": "2"}])
        return "Done."

    models = ScriptedModels(agent=agent)
    services = build(models)
    await services.grants.put("ann", "remember", "approve")
    await services.grants.put("ann", "forget", "approve")
    graph = build_agent(services).compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "t"}}
    fact_id: list[str] = []
    for text in ("Please remember that I am allergic to peanuts", "Forget that I am allergic to peanuts", "Hello"):
        fact_id[:] = [fact.id for fact in (await services.semantic.profile("ann")).facts]
        await graph.ainvoke({"messages": [HumanMessage(text)]}, context=Context(user_id="ann"), config=config)
    assert (await services.semantic.profile("ann")).facts == ()
    assert [i.query for i in await services.interactions.newest("ann", 9)] == ["Hello"]
    assert "peanut" not in models.calls[-1].text
    assert "peanut" not in str(await export_user(services.database, "ann"))
