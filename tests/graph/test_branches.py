"""A thread is a tree: what is regenerated, edited or left for another branch is neither recalled nor labelled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from graph_house import Build
from personaagent.context import Context
from personaagent.graph.agent import build_agent
from personaagent.graph.services import Services
from personaagent.inputs import Feedback
from personaagent.memory.forgetting import Selection
from personaagent.memory.portability import export_user, import_user
from personaagent.ports import Where
from personaagent.turn import REMEMBERED
from personaagent.types import Interaction
from scripted import ScriptedModels

ANN = Context(user_id="ann", align="off")


class Chat:
    """A thread as Agent Chat UI drives it: it goes on, edits and regenerates from the checkpoint before a message."""

    def __init__(self, services: Services, thread: str = "t") -> None:
        self._services = services
        self._agent = build_agent(services).compile(checkpointer=InMemorySaver())
        self._config: Any = {"configurable": {"thread_id": thread}}

    async def ask(self, text: str, at: Any = None) -> dict[str, Any]:
        out: dict[str, Any] = await self._agent.ainvoke(
            {"messages": [HumanMessage(text)]}, at or self._config, context=ANN
        )
        return out

    async def before(self, text: str) -> Any:
        """The newest checkpoint that does not have the message yet: where it is edited."""
        return (await self._first(HumanMessage, text)).parent_config

    async def edit(self, old: str, new: str) -> dict[str, Any]:
        return await self.ask(new, await self.before(old))

    async def regenerate(self, text: str) -> dict[str, Any]:
        """From the checkpoint before the answer to that message, without a new one."""
        states = [state async for state in self._agent.aget_state_history(self._config)]
        at = next(
            s for s in states if s.next == ("load_persona",) and s.values["messages"][-1].text == text
        )  # fmt: skip
        out: dict[str, Any] = await self._agent.ainvoke(None, at.config, context=ANN)
        return out

    async def after(self, text: str) -> Any:
        """The newest checkpoint that ends with that answer: where an old branch is gone on with."""
        states = [state async for state in self._agent.aget_state_history(self._config)]
        return next(s.config for s in states if not s.next and s.values["messages"][-1].text == text)

    async def _first(self, kind: type, text: str) -> Any:
        states = [state async for state in self._agent.aget_state_history(self._config)]
        has = [s for s in states if any(isinstance(m, kind) and m.text == text for m in s.values.get("messages", []))]
        return has[-1]

    async def sight(self) -> dict[str, str | None]:
        return {i.query: i.response for i in await self._services.episodic.newest("ann", 50)}

    async def all(self) -> list[Interaction]:
        return await self._services.episodic.newest("ann", 50, Where(abandoned=None))


def answering(*answers: str) -> ScriptedModels:
    return ScriptedModels(agent=list(answers), tool_calling=False)


async def test_a_regenerated_answer_is_the_one_that_is_kept_and_rated(build: Build) -> None:
    services = build(answering("first", "second"))
    chat = Chat(services)
    out = await chat.ask("What shall I read?")
    await services.episodic.feedback("ann", out["interaction_id"], Feedback(rating=5))
    again = await chat.regenerate("What shall I read?")
    assert again["interaction_id"] == out["interaction_id"]
    (kept,) = await chat.all()
    assert (kept.response, kept.ground_truth, kept.rating) == ("second", None, None)
    rated = await services.episodic.feedback("ann", out["interaction_id"], Feedback(rating=5))
    assert rated.ground_truth == "second"


async def test_what_the_user_wanted_in_so_many_words_outlives_the_answer(build: Build) -> None:
    services = build(answering("first", "second"))
    chat = Chat(services)
    out = await chat.ask("What shall I read?")
    await services.episodic.feedback("ann", out["interaction_id"], Feedback(ground_truth="Lem", source="correction"))
    await chat.regenerate("What shall I read?")
    (kept,) = await chat.all()
    assert (kept.response, kept.ground_truth, kept.truth_source) == ("second", "Lem", "correction")


@pytest.mark.parametrize("first", [True, False])
async def test_an_edited_message_leaves_the_old_one_behind(build: Build, first: bool) -> None:
    services = build(answering("a", "b", "c", "d"))
    chat = Chat(services)
    await chat.ask("Tell me of Lisbon")
    await chat.ask("And of trams")
    await chat.edit("Tell me of Lisbon" if first else "And of trams", "Tell me of Porto")
    expected = {"Tell me of Porto": "c"} | ({} if first else {"Tell me of Lisbon": "a"})
    assert await chat.sight() == expected
    found = await services.episodic.search("ann", "And of trams", 4)
    assert "And of trams" not in [recall.interaction.query for recall in found]
    assert len(await chat.all()) == 3
    assert await services.interactions.waiting("ann") == len(expected)


async def test_a_turn_recalls_neither_what_it_takes_the_place_of_nor_what_it_leaves(build: Build) -> None:
    services = build(answering("a", "b", "c", "d", "e", "f"))
    other = Chat(services, "other")
    await other.ask("I love trams")
    chat = Chat(services)
    await chat.ask("I love the trams of Lisbon")
    asked = await chat.ask("I love old trams, which one shall I ride?")
    await services.episodic.feedback("ann", asked["interaction_id"], Feedback(ground_truth="28", source="correction"))

    def recalled(out: dict[str, Any]) -> set[str]:
        return {recall.interaction.query for recall in out["recalled"]}

    anew = await chat.regenerate("I love old trams, which one shall I ride?")
    assert recalled(anew) == {"I love trams", "I love the trams of Lisbon"}
    edited = await chat.edit("I love old trams, which one shall I ride?", "I love new trams, which one shall I ride?")
    assert recalled(edited) == {"I love trams", "I love the trams of Lisbon"}
    first = await chat.edit("I love the trams of Lisbon", "I love the trams of Porto")
    assert recalled(first) == {"I love trams"}


async def test_the_recall_tool_does_not_find_what_the_turn_takes_the_place_of(build: Build) -> None:
    call = {"name": "recall", "args": {"query": "trams"}, "id": "c1", "type": "tool_call"}
    services = build(ScriptedModels(agent=["a", "b", AIMessage("", tool_calls=[call]), "done"]))
    chat = Chat(services)
    await chat.ask("I love trams of Lisbon")
    await chat.ask("I love trams of Berlin")
    out = await chat.edit("I love trams of Berlin", "Which trams do I love?")
    (found,) = [m.text for m in out["messages"] if m.type == "tool"]
    assert "Lisbon" in found and "Berlin" not in found


async def test_forget_that_is_about_the_message_before_it_in_its_branch(build: Build) -> None:
    chat = Chat(services := build(answering("a", "b", "c")))
    await chat.ask("From now on answer in one sentence. What is Rust?")
    await chat.ask("And Go?")
    out = await chat.edit("And Go?", "Forget that")
    assert out["noted"] == ["I no longer hold to: answer in one sentence."]
    assert await services.personas.pins("ann") == []


async def test_an_edit_in_a_long_thread_leaves_its_beginning_in_sight(build: Build) -> None:
    services = build(ScriptedModels(agent=lambda messages, tools: f"to {messages[-1].text}", tool_calling=False))
    chat = Chat(services)
    for number in range(REMEMBERED + 4):
        await chat.ask(f"Topic {number}?")
    await chat.edit(f"Topic {REMEMBERED + 3}?", "Another topic?")
    sight = await services.episodic.newest("ann", 200)
    assert [i.query for i in sight] == [*(f"Topic {n}?" for n in range(REMEMBERED + 3)), "Another topic?"]


async def test_a_label_that_an_abandoned_message_gave_goes_with_it(build: Build) -> None:
    services = build(answering("rock", "fine", "jazz it is"))
    chat = Chat(services)
    await chat.ask("Which music?")
    await chat.ask("No, I meant jazz")
    assert [i.ground_truth for i in await chat.all()] == ["jazz", None]
    await chat.edit("No, I meant jazz", "Tell me more")
    assert [(i.query, i.ground_truth) for i in await services.episodic.newest("ann", 9)] == [
        ("Which music?", None),
        ("Tell me more", None),
    ]


async def test_who_goes_back_to_an_old_branch_has_it_again(build: Build) -> None:
    services = build(answering("a1", "a2", "b2", "b3", "a3"))
    chat = Chat(services)
    await chat.ask("A1")
    await chat.ask("A2")
    await chat.edit("A2", "B2")
    await chat.ask("B3")
    assert set(await chat.sight()) == {"A1", "B2", "B3"}
    await chat.ask("A3", await chat.after("a2"))
    assert set(await chat.sight()) == {"A1", "A2", "A3"}


async def test_who_goes_on_behind_an_answer_that_a_newer_one_left_has_it_again(build: Build) -> None:
    services = build(answering("a1", "a2", "a1 anew", "a3"))
    chat = Chat(services)
    await chat.ask("A1")
    await chat.ask("A2")
    await chat.regenerate("A1")
    assert set(await chat.sight()) == {"A1"}
    await chat.ask("A3", await chat.after("a2"))
    assert set(await chat.sight()) == {"A1", "A2", "A3"}


async def test_who_goes_back_after_forgetting_all_that_was_in_sight_has_the_old_branch(build: Build) -> None:
    services = build(answering("a1", "a2", "b2", "a3"))
    chat = Chat(services)
    await chat.ask("A1")
    await chat.ask("A2")
    other = await chat.edit("A1", "B1")
    await services.forgetter.forget("ann", Selection(ids=(other["interaction_id"],)))
    assert await chat.sight() == {}
    await chat.ask("A3", await chat.after("a2"))
    assert set(await chat.sight()) == {"A1", "A2", "A3"}


async def test_another_thread_and_a_lost_checkpoint_are_no_branches(build: Build) -> None:
    services = build(answering("a", "b", "c", "d"))
    await Chat(services).ask("one")
    await Chat(services).ask("two")  # the same thread, whose checkpoints another process had
    await Chat(services, "other").ask("three")
    assert set(await Chat(services).sight()) == {"one", "two", "three"}


async def test_an_abandoned_branch_is_exported_imported_and_forgotten(build: Build) -> None:
    services = build(answering("a", "b", "c"))
    chat = Chat(services)
    await chat.ask("one")
    await chat.ask("a secret")
    await chat.edit("a secret", "two")
    document = await export_user(services.database, "ann")
    await import_user(services.database, services.indexer, "bob", document)
    assert {i.query for i in await services.episodic.newest("bob", 9)} == {"one", "two"}
    assert await services.episodic.count("bob", Where(abandoned=None)) == 3
    await services.forgetter.forget("ann", Selection(everything=True))
    assert await services.episodic.count("ann", Where(abandoned=None)) == 0


async def test_half_an_answer_is_never_implicitly_true(build: Build) -> None:
    half = AIMessage("The first half", response_metadata={"finish_reason": "length"})
    services = build(ScriptedModels(agent=[half, "whole", "ok", "ok"], tool_calling=False))
    chat = Chat(services)
    out = await chat.ask("What is Rust?")
    assert out["degraded"] == ["model: the answer breaks off before its end"]
    await chat.ask("Perfect, thanks")
    assert [i.ground_truth for i in await chat.all()] == [None, None]


@pytest.mark.parametrize("hours", [2, 30, 24 * 400])
async def test_a_clock_that_is_set_back_reverses_no_order(
    build: Build, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    services = build(answering("rock", "fine"))
    chat = Chat(services)
    await chat.ask("Which music?")

    class Back(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(UTC) - timedelta(hours=hours)

    monkeypatch.setattr("personaagent.nodes.write_memory.datetime", Back)
    await chat.ask("No, I meant jazz")
    assert [(i.query, i.ground_truth) for i in await chat.all()] == [
        ("Which music?", "jazz"),
        ("No, I meant jazz", None),
    ]
