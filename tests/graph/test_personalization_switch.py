"""The user's own switch: off, their agent answers them like anybody and keeps nothing."""

from __future__ import annotations

from langchain_core.messages import HumanMessage

from graph_house import Build, past
from personaagent.context import Context
from personaagent.graph.agent import build_agent
from scripted import ScriptedModels


async def test_switched_off_a_turn_reads_nothing_of_the_user_and_keeps_nothing(build: Build) -> None:
    models = ScriptedModels("an answer", tool_calling=True)
    services = build(models)
    await services.episodic.append("ann", past("ann", 1, "zebra", query="the secret question"))
    await services.personas.pin("ann", "giraffe")
    await services.users.set_personalize("ann", False)
    agent = build_agent(services).compile()
    result = await agent.ainvoke(
        {"messages": [HumanMessage("the secret question again", id="m1")]}, context=Context(user_id="ann")
    )
    assert result["answer"] == "an answer"
    assert result["interaction_id"] == ""
    assert result["persona_version"] is None
    assert await services.episodic.count("ann") == 1
    assert await services.personas.current("ann") is None
    (call,) = models.calls
    assert "zebra" not in call.text and "giraffe" not in call.text
    assert not {"recall", "profile", "remember", "correct", "forget"} & set(call.tool_names)
    assert "calculator" in call.tool_names


async def test_switched_on_again_the_agent_knows_the_user_again_and_others_never_noticed(build: Build) -> None:
    models = ScriptedModels("an answer", tool_calling=True)
    services = build(models)
    await services.users.set_personalize("ann", False)
    agent = build_agent(services).compile()
    await agent.ainvoke({"messages": [HumanMessage("one", id="m1")]}, context=Context(user_id="bob"))
    await services.users.set_personalize("ann", True)
    await agent.ainvoke({"messages": [HumanMessage("two", id="m2")]}, context=Context(user_id="ann"))
    assert await services.episodic.count("bob") == 1
    assert await services.episodic.count("ann") == 1
    assert all("recall" in call.tool_names for call in models.calls)
