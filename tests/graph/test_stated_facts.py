"""What users say of themselves is found when it matters, and becomes a fact without a label."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from langchain_core.messages import HumanMessage

from graph_house import Build, past
from personaagent.context import Context
from personaagent.graph.agent import build_agent
from personaagent.graph.services import Services
from personaagent.library.worker import Worker
from scripted import ScriptedModels

HANA = "Hello, I am Hana. I'm vegetarian and allergic to nuts."
COOKING = ["dinner tonight", "lunch tomorrow", "breakfast on Sunday", "supper for two", "a dinner for ten guests"]


def summarizer(role: str, messages: list[Any], schema: dict[str, Any]) -> dict[str, Any]:
    new = {"kind": "add", "fact": 0, "text": "The user eats no nuts.", "evidence": [1, 2], "confidence": 90}
    return {"operations": [new] if "allergic" in messages[-1].text else []}


async def say(services: Services, text: str, **context: Any) -> None:
    given = Context(user_id="hana", **context)
    message = {"messages": [HumanMessage(text, id=str(uuid4()))]}
    await build_agent(services).compile().ainvoke(message, context=given)


async def test_five_cooking_questions_later_the_allergy_is_still_there(build: Build) -> None:
    models = ScriptedModels("Stew.", tool_calling=False, embedded=False)
    services = build(models, align_readings=0)
    await say(services, HANA, align="off")
    for meal in COOKING:
        await say(services, f"What should I cook for {meal}?", align="off")
    await say(services, "What should I cook for dinner tonight?", align="off")
    assert "allergic to nuts" in models.calls[-1].text


async def test_a_labelled_memory_comes_before_bare_questions(build: Build) -> None:
    models = ScriptedModels("Stew.", tool_calling=False)
    services = build(models)
    await services.episodic.append_many("hana", [past("hana", 1, "Lentil curry", query="Cook something for my guests")])
    for meal in COOKING:
        await say(services, f"What should I cook for {meal}?", align="off")
    await say(services, "What should I cook for dinner tonight?", align="off")
    assert "Lentil curry" in models.calls[-1].text


async def test_a_statement_becomes_a_fact_in_the_background_and_a_question_asks_no_model(build: Build) -> None:
    models = ScriptedModels("Hello.", tool_calling=False, structured=summarizer)
    services = build(models, align_delay_s=0)
    worker = Worker(services)
    await say(services, "What should I cook tonight?")
    assert await worker.next() is None
    await say(services, HANA)
    done = await worker.next()
    assert done is not None
    assert [fact.text for fact in done.noted] == ["The user eats no nuts."]
    assert [fact.text for fact in (await services.semantic.profile("hana")).facts] == ["The user eats no nuts."]
    assert await services.budget.remaining("hana") < services.settings.align_daily_calls
    assert await worker.next() is None


async def test_the_end_of_a_conversation_reads_what_was_said(build: Build) -> None:
    models = ScriptedModels("Hello.", tool_calling=False, structured=summarizer)
    services = build(models, align_delay_s=0)
    await services.end_conversation("hana")
    assert await Worker(services).next() is None
    await say(services, "Are dishes for people allergic to nuts hard to cook?")
    await services.end_conversation("hana")
    done = await Worker(services).next()
    assert done is not None
    assert done.kind == "reading"
    assert await services.interactions.waiting("hana") == 0


async def test_the_embedded_model_reads_nothing(build: Build) -> None:
    services = build(ScriptedModels("Hello.", tool_calling=False, embedded=True), align_delay_s=0)
    await say(services, HANA)
    await services.end_conversation("hana")
    assert await services.jobs.depth() == 0
