"""Persona and memory in other people's agents: what the model reads, what is kept, and for whom alone."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import StateGraph

from graph_house import Build, past
from personaagent import PersonaAgent, middleware
from personaagent.context import Context
from personaagent.errors import IndexUnavailable, InvalidUserId, SetupError
from personaagent.graph.feedback import build_feedback
from personaagent.graph.services import Services
from personaagent.middleware import PersonaMiddleware, PersonaNodes, PersonaState, persona_tools
from scripted import ScriptedModels


def called(name: str, **arguments: Any) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": f"call-{name}"}])


async def agent_of(services: Services, **parts: Any) -> Any:
    parts = {"middleware": [PersonaMiddleware(PersonaAgent.over(services))], "context_schema": Context} | parts
    return create_agent(await services.models.chat("agent"), system_prompt="You help in a cookery shop.", **parts)


async def graph_of(services: Services, **parts: Any) -> Any:
    persona, model = PersonaNodes(PersonaAgent.over(services)), await services.models.chat("agent")

    async def answer(state: PersonaState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(persona.messages(state, "You help in a cookery shop."))]}

    builder = StateGraph(PersonaState, context_schema=Context)
    builder.add_sequence([("before", persona.before), ("answer", answer), ("after", persona.after)])
    return builder.set_entry_point("before").compile(**parts)


both = pytest.mark.parametrize("made", [agent_of, graph_of])


async def ask(agent: Any, text: str, user_id: str = "ann", **config: Any) -> dict[str, Any]:
    asked = {"messages": [HumanMessage(text)]}
    out: dict[str, Any] = await agent.ainvoke(asked, context=Context(user_id=user_id), config=config or None)
    return out


@both
async def test_what_was_said_before_is_in_front_of_the_model_and_in_the_output(build: Build, made: Any) -> None:
    models = ScriptedModels(agent="Lentil soup.")
    services = build(models)
    agent = await made(services)
    first = await ask(agent, "I am vegetarian.")
    second = await ask(agent, "What dish suits a vegetarian?")
    assert first["recalled"] == []
    (memory,) = second["recalled"]
    assert (memory["interaction_id"], memory["query"]) == (first["interaction_id"], "I am vegetarian.")
    assert "I am vegetarian." in models.calls[1].messages[-1].text
    assert second["messages"][0].text == "What dish suits a vegetarian?"  # the thread keeps what was said, no more
    kept = await services.episodic.get("ann", second["interaction_id"])
    assert (kept.query, kept.response, kept.persona_version) == (second["messages"][0].text, "Lentil soup.", 0)


@both
async def test_the_system_message_is_the_same_in_every_turn_and_begins_with_the_developers_own(
    build: Build, made: Any
) -> None:
    models = ScriptedModels()
    agent = await made(build(models))
    for text in ("I like tea.", "What do I like?"):
        await ask(agent, text)
    first, second = (call.messages[0].text for call in models.calls)
    assert first == second
    assert first.startswith("You help in a cookery shop.\n\n")
    assert "# The user's persona" in first


@both
async def test_one_users_memory_never_reaches_another(build: Build, made: Any) -> None:
    models = ScriptedModels()
    agent = await made(build(models))
    await ask(agent, "My secret garden is in Delft.", "ann")
    out = await ask(agent, "Where is my secret garden?", "bob")
    assert out["recalled"] == []
    assert "Delft" not in models.calls[-1].text


@both
async def test_a_long_memory_is_cut(build: Build, made: Any) -> None:
    models = ScriptedModels()
    services = build(models)
    long = "Which films do I like? " + "And why? " * 3_000
    await services.episodic.append_many("ann", [past("ann", 1, "slow films", query=long)])
    out = await ask(await made(services), "Which films do I like?")
    assert len(out["recalled"]) == 1
    assert len(models.calls[0].messages[-1].text) < 4_000


@both
async def test_nobody_is_answered_who_is_not_named(build: Build, made: Any) -> None:
    models = ScriptedModels()
    agent = await made(build(models))
    with pytest.raises(InvalidUserId, match="user_id is missing"):
        await agent.ainvoke({"messages": [HumanMessage("hello")]})
    assert models.calls == []


async def test_a_context_of_another_kind_names_the_user_too(build: Build) -> None:
    services = build(ScriptedModels())
    agent = await agent_of(services, context_schema=None)
    out = await agent.ainvoke({"messages": [HumanMessage("I like tea.")]}, context={"user_id": "ann"})
    assert (await services.episodic.get("ann", out["interaction_id"])).query == "I like tea."


@both
async def test_feedback_is_given_for_the_id_in_the_output(build: Build, made: Any) -> None:
    services = build(ScriptedModels(agent="Beef stew."))
    out = await ask(await made(services), "What shall I cook?")
    said: Any = {"interaction_id": out["interaction_id"], "ground_truth": "Lentil soup.", "source": "correction"}
    feedback = build_feedback(services).compile()
    await feedback.ainvoke(said, context=Context(user_id="ann", align="off"))
    assert (await services.episodic.get("ann", out["interaction_id"])).ground_truth == "Lentil soup."


@both
async def test_a_wish_is_pinned_and_holds_from_that_turn_on(build: Build, made: Any) -> None:
    models = ScriptedModels()
    agent = await made(build(models))
    out = await ask(agent, "Always answer in French.")
    assert "French" in out["noted"][0]
    assert "answer in French" in models.calls[0].messages[0].text


@both
async def test_without_an_index_the_turn_is_answered_and_says_so(build: Build, made: Any) -> None:
    services = build(ScriptedModels(agent="Soup."))

    async def down(*_: Any, **__: Any) -> Any:
        raise IndexUnavailable("the index is down")

    services.episodic.search = down  # type: ignore[method-assign]
    out = await ask(await made(services), "What shall I cook?")
    assert out["messages"][-1].text == "Soup."
    assert out["degraded"] == ["memory: the index cannot be used now"]


@both
async def test_where_personalization_is_off_nothing_is_read_or_kept(build: Build, made: Any) -> None:
    models = ScriptedModels()
    services = build(models)
    await services.episodic.append_many("ann", [past("ann", 1, "slow films", query="What films do I like?")])
    await services.users.set_personalize("ann", False)
    out = await ask(await made(services), "What films do I like?")
    assert (out["recalled"], out["interaction_id"]) == ([], "")
    assert "slow films" not in models.calls[0].text
    assert await services.episodic.count("ann") == 1


@both
async def test_in_a_thread_the_same_turn_is_kept_once_and_the_state_survives_a_checkpoint(
    build: Build, made: Any
) -> None:
    services = build(ScriptedModels())
    agent = await made(services, checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "t"}}
    await ask(agent, "I like tea.", **config)
    out = await ask(agent, "And in the morning?", **config)
    state = await agent.aget_state(config)
    assert state.values["interaction_id"] == out["interaction_id"]
    *_, before = [s async for s in agent.aget_state_history(config) if s.next and s.next[0] == state_of(agent)]
    await agent.ainvoke(None, before.config, context=Context(user_id="ann"))  # the first turn once more
    (kept,) = await services.episodic.newest("ann", 10)  # the second one is on a branch that was left
    assert kept.query == "I like tea."


def state_of(agent: Any) -> str:
    """The node that a turn begins with."""
    return "before" if "before" in agent.nodes else "PersonaMiddleware.before_agent"


async def test_tool_calls_of_the_turn_are_kept_with_it(build: Build) -> None:
    @tool
    async def stock(item: str) -> str:
        """How much of an item there is."""
        return f"12 of {item}"

    services = build(ScriptedModels(agent=[called("stock", item="lentils"), "There are 12."]))
    out = await ask(await agent_of(services, tools=[stock]), "How many lentils are there?")
    (trace,) = (await services.episodic.get("ann", out["interaction_id"])).tools
    assert (trace.name, trace.arguments, trace.outcome, trace.brief) == (
        "stock", {"item": "lentils"}, "ok", "12 of lentils"
    )  # fmt: skip


async def test_what_changes_every_turn_stands_last(build: Build) -> None:
    models = ScriptedModels()
    services = build(models)
    told = [
        past("ann", n, truth, query=query) for n, (query, truth) in enumerate((("A cat?", "Yes"), ("A dog?", "No")))
    ]
    await services.episodic.append_many("ann", told)
    agent = await agent_of(services)
    said: list[Any] = []
    for text in ("Have I a cat?", "And a dog?"):
        said = (await agent.ainvoke({"messages": [*said, HumanMessage(text)]}, context=Context(user_id="ann")))[
            "messages"
        ]  # type: ignore[arg-type]
    first, second = (call.messages for call in models.calls if call.kind == "chat")
    assert second[: len(first) - 1] == first[:-1]
    assert first[-1].text.startswith("Have I a cat?\n\n") and second[len(first) - 1].text == "Have I a cat?"


async def test_a_message_of_parts_keeps_them(build: Build) -> None:
    models = ScriptedModels()
    services = build(models)
    await services.episodic.append_many("ann", [past("ann", 1, "a tabby", query="What cat do I have?")])
    parts = [{"type": "text", "text": "Is this my cat?"}, {"type": "image_url", "image_url": {"url": "data:,"}}]
    agent = await agent_of(services)
    await agent.ainvoke({"messages": [HumanMessage(parts)]}, context=Context(user_id="ann"))  # type: ignore[arg-type]
    *rest, memories = models.calls[0].messages[-1].content
    assert "a tabby" in str(memories)
    assert rest == parts


async def test_the_answer_is_kept_to_the_stated_form_and_a_call_of_a_tool_is_not(build: Build) -> None:
    @tool
    def stock(item: str) -> str:
        """How much is left."""
        return f"Two of {item}."

    services = build(ScriptedModels(agent=[called("stock", item="pots"), "There are two. They are blue."] * 2))
    agent = await agent_of(services, tools=[stock])
    await services.personas.pin("ann", "Answer in one sentence.")
    out = await ask(agent, "How many pots?")
    assert out["messages"][-1].text == "There are two."
    assert (await services.episodic.get("ann", out["interaction_id"])).response == "There are two."
    assert (await ask(agent, "How many pots? In detail."))["messages"][-1].text == "There are two. They are blue."


async def test_without_langchain_the_middleware_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "personaagent.middleware.agent")
    monkeypatch.setitem(sys.modules, "langchain.agents.middleware", None)
    with pytest.raises(SetupError, match=r"pip install 'personaagent\[langchain\]'"):
        _ = middleware.PersonaMiddleware


# --- tools


async def test_the_tools_remember_and_recall_for_the_runs_user_alone(build: Build) -> None:
    script = [called("remember", text="Keeps bees."), "Noted.", called("recall", query="bees"), "You keep bees."]
    models = ScriptedModels(agent=[*script, called("recall", query="bees"), "Nothing."])
    services = build(models)
    agent = await agent_of(services, middleware=[], tools=persona_tools(PersonaAgent.over(services)))
    await ask(agent, "Remember that I keep bees.")
    mine = await ask(agent, "Do I keep animals?")
    others = await ask(agent, "Do I keep animals?", "bob")
    assert "Keeps bees." in mine["messages"][2].text
    assert "bees" not in others["messages"][2].text
    assert [fact.text for fact in await services.semantic.history("ann")] == ["Keeps bees."]


async def test_a_tool_that_names_another_user_is_still_the_runs_users(build: Build) -> None:
    models = ScriptedModels(agent=[called("remember", text="Owns a boat.", user_id="bob"), "Noted."])
    services = build(models)
    await ask(
        await agent_of(services, middleware=[], tools=persona_tools(PersonaAgent.over(services))), "Remember it.", "ann"
    )
    assert await services.semantic.history("bob") == []


async def test_what_the_user_denied_is_refused_and_failures_are_told_to_the_model(build: Build) -> None:
    script = [called("remember", text="x" * 301), "Too long.", called("recall", query="bees"), "I may not."]
    services = build(ScriptedModels(agent=script))
    agent = await agent_of(services, middleware=[], tools=persona_tools(PersonaAgent.over(services)))
    long = await ask(agent, "Remember this.")
    assert long["messages"][2].status == "error"
    assert "300" in long["messages"][2].text
    await services.grants.put("ann", "memory:read", "deny")
    denied = await ask(agent, "Do I keep animals?")
    assert "not allowed" in denied["messages"][2].text
