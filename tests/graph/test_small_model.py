"""Free text by the small embedded model: what it reads, how much it may say, and what is kept of a loop."""

from __future__ import annotations

from langchain_core.messages import HumanMessage

from graph_house import Build, past
from personaagent.context import Context
from personaagent.graph.agent import build_agent
from personaagent.graph.services import Services
from personaagent.types import FactOperation
from scripted import ScriptedModels

LOOP = "Cook lentils. " + "The user likes to eat a lot of very good food every day. " * 9


async def answer(services: Services, text: str, **context: object) -> dict[str, object]:
    turn = {"messages": [HumanMessage(text, id="m")]}
    given = Context(user_id="ann", **context)  # type: ignore[arg-type]
    result: dict[str, object] = await build_agent(services).compile().ainvoke(turn, context=given)
    return result


def small(says: str) -> ScriptedModels:
    return ScriptedModels(says, embedded=True, tool_calling=False)


async def test_a_loop_is_cut_marked_and_not_kept(build: Build) -> None:
    services = build(small(LOOP))
    out = await answer(services, "What shall I cook?")
    kept = await services.episodic.get("ann", str(out["interaction_id"]))
    assert out["answer"] == kept.response == "Cook lentils. The user likes to eat a lot of very good food every day."
    assert out["messages"][-1].text == kept.response  # type: ignore[index]
    assert out["degraded"] == kept.metadata["degraded"]
    assert "repeat itself" in kept.metadata["degraded"][0]


async def test_a_whole_answer_is_left_as_it_is(build: Build) -> None:
    services = build(small("Cook lentils"))
    out = await answer(services, "What shall I cook?")
    kept = await services.episodic.get("ann", str(out["interaction_id"]))
    assert (out["answer"], out["degraded"], kept.metadata.get("degraded")) == ("Cook lentils", [], None)


async def test_it_reads_what_the_user_said_and_no_scaffolding(build: Build) -> None:
    models = small("Fine.")
    services = build(models, embedded_answer_tokens=50)
    await services.personas.pin("ann", "Suggest dishes without meat.")
    await services.episodic.append_many(
        "ann",
        [past("ann", 1, "Lentil soup", query="What shall I cook?"), past("ann", 2, "", query="What shall I bake?")],
    )
    told = FactOperation(kind="add", text="The user is allergic to nuts.", evidence=("ann-1",), source="user")
    await services.semantic.apply("ann", [told], through=past("ann", 1, "").created_at)
    await answer(services, "What shall I cook tonight?")
    call = models.calls[0]
    assert call.kwargs["max_tokens"] == 50
    assert [message.text for message in call.messages] == [
        "You are a helpful AI assistant.\n\n"
        "About the user:\n- Suggest dishes without meat.\n- The user is allergic to nuts.",
        "What shall I cook?",
        "Lentil soup",
        "What shall I cook tonight?",
    ]


async def test_without_personalization_it_reads_the_question_alone(build: Build) -> None:
    models = small("Fine.")
    services = build(models)
    await services.personas.pin("ann", "Suggest dishes without meat.")
    await answer(services, "What shall I cook?", personalize=False, instructions="Answer with one dish.")
    said = [message.text for message in models.calls[0].messages]
    assert said == ["You are a helpful AI assistant.\n\nAnswer with one dish.", "What shall I cook?"]
