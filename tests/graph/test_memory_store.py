"""LangGraph's store over our memory: it keeps what is put, finds it by meaning, and knows one user."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.graph import MessagesState, StateGraph
from langgraph.runtime import Runtime
from langgraph.store.base import InvalidNamespaceError, MatchCondition, PutOp

from graph_house import Build, past
from personaagent import PersonaAgent
from personaagent.context import Context
from personaagent.errors import ForeignNamespace, InvalidItem, InvalidUserId, SetupError
from personaagent.graph.agent import build_agent
from personaagent.graph.services import Services
from personaagent.middleware import MemoryStore
from personaagent.ownership import owner_of
from scripted import ScriptedModels

NOTES = ("ann", "notes")


@pytest.fixture
async def services(build: Build) -> AsyncIterator[Services]:
    yield build(ScriptedModels())


def store_of(services: Services, user_id: str | None = None) -> MemoryStore:
    return MemoryStore(PersonaAgent.over(services), user_id=user_id)


@pytest.fixture
async def store(services: Services) -> MemoryStore:
    return store_of(services, user_id="ann")


async def test_what_is_put_is_there_and_is_found_by_meaning(store: MemoryStore) -> None:
    await store.aput(NOTES, "bees", {"text": "I keep bees", "count": 3, "tags": ["garden"]})
    await store.aput((*NOTES, "travel"), "train", {"text": "My train leaves at nine"})
    item = await store.aget(NOTES, "bees")
    assert item is not None
    assert (item.namespace, item.key, item.value) == (
        NOTES, "bees", {"text": "I keep bees", "count": 3, "tags": ["garden"]}
    )  # fmt: skip
    found = await store.asearch(NOTES, query="when does the train leave?", limit=1)
    assert [(one.namespace, one.key) for one in found] == [((*NOTES, "travel"), "train")]
    assert found[0].score is not None


async def test_a_second_put_replaces_and_a_delete_forgets(store: MemoryStore, services: Services) -> None:
    await store.aput(NOTES, "pet", {"text": "I have a cat"})
    await store.aput(NOTES, "pet", {"text": "I have a dog"})
    item = await store.aget(NOTES, "pet")
    assert item is not None and item.value == {"text": "I have a dog"}
    assert [one.value["text"] for one in await store.asearch(NOTES, query="I have a cat")] == ["I have a dog"]
    await store.adelete(NOTES, "pet")
    await store.adelete(NOTES, "never")
    assert await store.aget(NOTES, "pet") is None
    assert await services.episodic.count("ann") == 0


async def test_search_filters_pages_and_lists_the_newest_first(store: MemoryStore) -> None:
    for n in range(5):
        await store.aput(NOTES, str(n), {"text": f"note {n}", "n": n})
    await store.aput(("ann", "other"), "x", {"text": "note elsewhere", "n": 9})
    assert [one.key for one in await store.asearch(NOTES, limit=2, offset=1)] == ["3", "2"]
    assert [one.key for one in await store.asearch(NOTES, filter={"n": {"$gte": 1, "$lt": 3}})] == ["2", "1"]
    assert [one.key for one in await store.asearch(NOTES, filter={"n": 4})] == ["4"]
    assert [one.key for one in await store.asearch(NOTES, filter={"text": {"$gt": 1}})] == []
    assert len(await store.asearch(("ann",), query="note", limit=10)) == 6
    with pytest.raises(InvalidItem, match=r"\$like"):
        await store.asearch(NOTES, filter={"n": {"$like": "4"}})


async def test_turns_and_facts_are_there_to_read(store: MemoryStore, services: Services) -> None:
    await services.episodic.append_many("ann", [past("ann", 1, "slow films", query="What films do I like?")])
    fact_id = await services.statements.remember("ann", "Keeps bees.")
    (turn,) = await store.asearch(("ann", "turns"), query="films", limit=1)
    assert (turn.key, turn.value["ground_truth"]) == ("ann-1", "slow films")
    assert (await store.aget(("ann", "turns"), "ann-1")) is not None
    assert [one.value["text"] for one in await store.asearch(("ann", "facts"), query="insects")] == ["Keeps bees."]
    assert (await store.aget(("ann", "facts"), fact_id)) is not None
    for namespace in (("ann", "turns"), ("ann", "facts"), ("ann",)):
        with pytest.raises(InvalidItem, match="name one of your own"):
            await store.aput(namespace, "x", {"text": "y"})


async def test_namespaces_are_listed(store: MemoryStore) -> None:
    await store.aput((*NOTES, "travel"), "train", {"text": "My train leaves at nine"})
    await store.aput(("ann", "plans"), "x", {"text": "Paint the shed"})
    assert await store.alist_namespaces() == [
        ("ann", "facts"), ("ann", "notes", "travel"), ("ann", "plans"), ("ann", "turns")
    ]  # fmt: skip
    assert await store.alist_namespaces(prefix=NOTES) == [("ann", "notes", "travel")]
    assert await store.alist_namespaces(suffix=("travel",), max_depth=2) == [NOTES]
    assert MatchCondition("prefix", ("*", "plans")) and await store.alist_namespaces(prefix=("*", "plans"))


async def test_what_an_agent_put_is_recalled_in_the_users_turns(store: MemoryStore, services: Services) -> None:
    await store.aput(NOTES, "bees", {"text": "I keep bees"})
    asked: Any = {"messages": [HumanMessage("Do I keep bees?")]}
    out = await build_agent(services).compile().ainvoke(asked, context=Context(user_id="ann"))
    assert [recall.interaction.query for recall in out["recalled"]] == ["I keep bees"]


# --- whose it is


OTHERS = [
    lambda store: store.aget(("bob", "notes"), "x"),
    lambda store: store.aput(("bob", "notes"), "x", {"text": "planted"}),
    lambda store: store.adelete(("bob", "notes"), "x"),
    lambda store: store.asearch(("bob",), query="secret"),
    lambda store: store.asearch(("bob", "turns")),
    lambda store: store.asearch(()),
    lambda store: store.alist_namespaces(prefix=("bob",)),
    lambda store: store.aget((owner_of("bob"), "notes"), "x"),
    lambda store: store.abatch([PutOp(NOTES, "mine", {"text": "z"}), PutOp(("bob", "notes"), "x", {"text": "z"})]),
]


@pytest.mark.parametrize("call", OTHERS)
async def test_a_namespace_of_another_user_is_a_named_error_and_nothing_is_done(
    services: Services, store: MemoryStore, call: Any
) -> None:
    await store_of(services, user_id="bob").aput(("bob", "notes"), "x", {"text": "bob's secret"})
    with pytest.raises(ForeignNamespace, match="not the user's own"):
        await call(store)
    assert await services.episodic.count("ann") == 0
    kept = await store_of(services, user_id="bob").aget(("bob", "notes"), "x")
    assert kept is not None and kept.value == {"text": "bob's secret"}


async def test_another_users_turn_is_not_got_by_its_id(services: Services, store: MemoryStore) -> None:
    await services.episodic.append_many("bob", [past("bob", 1, "slow films")])
    assert await store.aget(("ann", "turns"), "bob-1") is None


async def test_in_a_run_the_store_is_the_runs_users(services: Services) -> None:
    async def note(state: MessagesState, runtime: Runtime[Context]) -> dict[str, Any]:
        assert runtime.store is not None
        await runtime.store.aput(("ann", "notes"), "x", {"text": state["messages"][-1].text})
        return {}

    def graph_over(store: MemoryStore) -> Any:
        builder = StateGraph(MessagesState, context_schema=Context).add_node(note).set_entry_point("note")
        return builder.compile(store=store)

    asked: Any = {"messages": [HumanMessage("I keep bees")]}
    await graph_over(store_of(services)).ainvoke(asked, context=Context(user_id="ann"))
    assert await services.episodic.count("ann") == 1
    with pytest.raises(ForeignNamespace, match="not the user's own"):
        await graph_over(store_of(services)).ainvoke(asked, context=Context(user_id="bob"))
    with pytest.raises(ForeignNamespace, match="another user's than the run's"):
        await graph_over(store_of(services, user_id="ann")).ainvoke(asked, context=Context(user_id="bob"))
    with pytest.raises(InvalidUserId):
        await store_of(services).aget(NOTES, "x")


async def test_a_user_id_with_a_period_has_a_label_that_langgraph_takes(services: Services) -> None:
    store, mine = (
        store_of(services, user_id="ann@example.org"),
        (owner_of("ann@example.org"), "notes"),
    )
    with pytest.raises(InvalidNamespaceError):
        await store.aput(("ann@example.org", "notes"), "x", {"text": "I keep bees"})
    await store.aput(mine, "x", {"text": "I keep bees"})
    assert [one.namespace for one in await store.asearch(mine)] == [mine]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"n": 1}, "no text"),
        ({"text": "x" * 32_001}, "32000 at most"),
        ({"text": "x", "when": object()}, "no JSON"),
        ({"text": "x", "deep": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}, "too deeply"),
    ],
    ids=["no text", "long", "no json", "deep"],
)
async def test_an_item_that_cannot_be_kept_is_refused_and_the_one_before_stays(
    store: MemoryStore, value: Any, said: str
) -> None:
    await store.aput(NOTES, "x", {"text": "before"})
    with pytest.raises(InvalidItem, match=said):
        await store.aput(NOTES, "x", value)
    item = await store.aget(NOTES, "x")
    assert item is not None and item.value == {"text": "before"}


def test_the_synchronous_methods_say_what_to_use(build: Build) -> None:
    with pytest.raises(SetupError, match="aget"):
        MemoryStore(PersonaAgent.over(build(ScriptedModels())), user_id="ann").get(NOTES, "x")
