"""What critics said is kept with the version that came of it, and nowhere twice."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import BaseMessage
from langgraph.checkpoint.memory import InMemorySaver

from graph_house import Build, past
from personaagent.context import Context
from personaagent.errors import ModelOutputInvalid
from personaagent.graph.alignment import build_alignment
from personaagent.graph.services import Services
from personaagent.memory.forgetting import Selection
from personaagent.persona.critique import KEPT, KEPT_CHARS
from personaagent.persona.seed import seed_sections
from personaagent.ports import Role
from personaagent.types import Section, UserProfile
from scripted import ScriptedModels

CHOICES, WISH = ("jazz", "rock"), "Always says rock."
WORDS = "Say that the user wants rock. " + "More words. " * 40


def persuadable() -> ScriptedModels:
    """Says jazz until the persona has the editor's wish in it; the critic has much to say."""

    def choose(_role: Role, messages: list[BaseMessage], _choices: list[str]) -> str:
        return "rock" if WISH in messages[0].text else "jazz"

    def structured(role: Role, _messages: list[BaseMessage], _schema: dict[str, Any]) -> dict[str, Any] | Exception:
        if role == "critic":
            return {"persona_change": WORDS, "tool_use": WORDS, "about_user": "Likes rock.", "verdicts": ["yes"] * 6}
        if role == "editor":
            seed = seed_sections(UserProfile(user_id="ann"))
            told: dict[str, Any] = {
                s.value: [{"text": clause.text, "evidence": []} for clause in seed.get(s, ())] for s in Section
            }
            told["answering"].append({"text": WISH, "evidence": [1]})
            return {"sections": told}
        return ModelOutputInvalid("not asked here")

    return ScriptedModels(choose=choose, structured=structured, tool_calling=False)


async def fill(services: Services, rows: int) -> None:
    told = [past("ann", n, "rock", task="music", choices=CHOICES) for n in range(rows)]
    await services.episodic.append_many("ann", told)


async def align(services: Services, graph: Any = None, **context: Any) -> dict[str, Any]:
    graph = graph or build_alignment(services).compile()
    told = Context(user_id="ann", recall_k=0, align_batch=12, align_judge=4, **context)
    out: dict[str, Any] = await graph.ainvoke({}, context=told, config={"configurable": {"thread_id": "t"}})
    return out


async def test_the_critiques_of_an_alignment_say_which_version_came_of_them(build: Build) -> None:
    services = build(persuadable())
    await fill(services, 20)
    out = await align(services, align_epochs=1)
    kept = await services.critiques.history("ann")
    assert len(kept) == KEPT == 8  # of twelve answers that went wrong
    assert {one.version for one in kept} == {out["committed"].version} == {1}
    for one in kept:
        assert one.text.startswith("Persona: Say that the user wants rock.")
        assert len(one.text) <= KEPT_CHARS
        assert (one.loss, one.epoch) == (1.0, 1)
        assert one.interaction_id in one.evidence
    assert await services.critiques.history("bob") == []


async def test_critiques_that_led_to_no_version_are_kept_without_one(build: Build) -> None:
    services = build(ScriptedModels(choose=lambda *_: "jazz", tool_calling=False, structured=persuadable()._structured))
    await fill(services, 20)
    out = await align(services, align_epochs=2)
    assert out["committed"] is None
    kept = await services.critiques.history("ann")
    assert {(one.version, one.epoch) for one in kept} == {(None, 2)}  # the incumbent stayed, so its critiques did
    (run,) = {one.run for one in kept}
    assert run in {candidate.run for candidate in await services.candidates.newest("ann", 50)}


async def test_the_end_of_an_alignment_that_is_replayed_keeps_nothing_twice(build: Build) -> None:
    services = build(persuadable())
    await fill(services, 20)
    graph = build_alignment(services).compile(checkpointer=InMemorySaver())
    await align(services, graph, align_epochs=2)
    before = await services.critiques.history("ann"), await services.candidates.dated("ann", 50)
    config: Any = {"configurable": {"thread_id": "t"}}
    points = [state async for state in graph.aget_state_history(config)]
    (end,) = [state for state in points if state.next == ("refresh_profile",)]
    for _ in range(2):
        await graph.ainvoke(None, end.config, context=Context(user_id="ann"))
    assert (await services.critiques.history("ann"), await services.candidates.dated("ann", 50)) == before


async def test_forgetting_an_interaction_takes_its_critiques_and_leaves_the_others(build: Build) -> None:
    services = build(persuadable())
    await fill(services, 20)
    await align(services, align_epochs=1)
    about = (await services.critiques.history("ann"))[0].interaction_id
    report = await services.forgetter.forget("ann", Selection(ids=(about,)))
    left = await services.critiques.history("ann")
    assert (report.critiques, len(left)) == (1, KEPT - 1)
    assert about not in {i for one in left for i in one.evidence}


@pytest.mark.parametrize("models", [ScriptedModels(choose=lambda *_: "rock", tool_calling=False)])
async def test_answers_that_were_right_leave_no_critique(build: Build, models: ScriptedModels) -> None:
    services = build(models)
    await fill(services, 20)
    await align(services)
    assert await services.critiques.history("ann") == []
