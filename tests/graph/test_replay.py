"""A turn and its feedback carried out again, after a crash or by time travel, write what they wrote once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from graph_house import Build, past
from personaagent.context import Context
from personaagent.graph.agent import build_agent
from personaagent.graph.feedback import build_feedback
from personaagent.graph.services import Services
from scripted import ScriptedModels

ANN = Context(user_id="ann")


class KilledError(BaseException):
    """The process ends here."""


def said(text: str, message_id: str | None = None) -> dict[str, Any]:
    return {"messages": [HumanMessage(text, id=message_id)]}


def config_of(run: str | None, thread: str = "t") -> Any:
    """As a server configures a run; ``run`` None: a plain process."""
    return {"configurable": {"thread_id": thread} | ({"run_id": run} if run else {})}


def kill_after(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """End the process once, right after an interaction is in the ledger and before its checkpoint is."""
    real = services.episodic.keep

    async def keep(*args: Any) -> Any:
        await real(*args)
        monkeypatch.setattr(services.episodic, "keep", real)
        raise KilledError

    monkeypatch.setattr(services.episodic, "keep", keep)


async def test_a_run_whose_checkpoints_were_lost_writes_a_message_without_id_once(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = build(ScriptedModels(agent=["first", "second"]))
    run = str(uuid4())
    kill_after(services, monkeypatch)
    with pytest.raises(KilledError):
        await (
            build_agent(services)
            .compile(checkpointer=InMemorySaver())
            .ainvoke(said("once"), config_of(run), context=ANN)
        )
    out = (
        await build_agent(services)
        .compile(checkpointer=InMemorySaver())
        .ainvoke(said("once"), config_of(run), context=ANN)
    )
    (kept,) = await services.episodic.newest("ann", 9)
    assert (kept.id, kept.response) == (out["interaction_id"], "first")


@pytest.mark.parametrize("run", [None, "run-1"])
async def test_a_turn_killed_after_its_write_goes_on_from_its_checkpoint_and_is_written_once(
    build: Build, monkeypatch: pytest.MonkeyPatch, run: str | None
) -> None:
    services = build(ScriptedModels(agent="an answer"))
    agent = build_agent(services).compile(checkpointer=InMemorySaver())
    kill_after(services, monkeypatch)
    with pytest.raises(KilledError):
        await agent.ainvoke(said("once"), config_of(run), context=ANN, durability="sync")
    out = await agent.ainvoke(None, config_of(run), context=ANN)
    (kept,) = await services.episodic.newest("ann", 9)
    assert kept.id == out["interaction_id"]


async def test_a_fork_from_every_checkpoint_of_a_turn_writes_it_once(build: Build) -> None:
    services = build(ScriptedModels(agent="an answer"))
    agent = build_agent(services).compile(checkpointer=InMemorySaver())
    await agent.ainvoke(said("once"), config_of("run-1"), context=ANN)
    points = [state async for state in agent.aget_state_history(config_of(None)) if state.next and state.values]
    assert len(points) >= 5
    for n, state in enumerate(points):
        forked: Any = {"configurable": {**state.config["configurable"], "run_id": f"fork-{n}"}}
        await agent.ainvoke(None, forked, context=ANN)
    assert await services.episodic.count("ann") == 1


async def test_the_same_words_in_another_run_thread_or_turn_are_turns_of_their_own(build: Build) -> None:
    services = build(ScriptedModels(agent="an answer"))
    agent = build_agent(services).compile(checkpointer=InMemorySaver())
    for run, thread in (("run-1", "t"), ("run-2", "t"), ("run-2", "u")):
        await agent.ainvoke(said("yes"), config_of(run, thread), context=ANN)
    await agent.ainvoke(said("yes"), config_of("run-3", "u"), context=Context(user_id="bob"))
    assert (await services.episodic.count("ann"), await services.episodic.count("bob")) == (3, 1)


# --- feedback


def labels_of(services: Services, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every change of an interaction that is written from now on."""
    written: list[Any] = []
    real = services.interactions._change

    async def change(user_id: str, key: str, make: Any) -> Any:
        before = await services.interactions.get(user_id, key)
        after = await real(user_id, key, make)
        written.extend([after] if after != before else [])
        return after

    monkeypatch.setattr(services.interactions, "_change", change)
    return written


@pytest.mark.parametrize("given", [{"ground_truth": "rock", "source": "correction"}, {"rating": 5}], ids=str)
async def test_feedback_replayed_from_every_checkpoint_writes_counts_and_asks_for_one(
    build: Build, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any]
) -> None:
    services = build(ScriptedModels(), align_after=1, align_delay_s=0)
    await services.episodic.append(
        "ann",
        replace(past("ann", 0, "x"), ground_truth=None, truth_source=None, truth_confidence=None, response="rock"),
    )
    written = labels_of(services, monkeypatch)
    graph = build_feedback(services).compile(checkpointer=InMemorySaver())
    out = await graph.ainvoke({"interaction_id": "ann-0"} | given, config_of("run-1"), context=ANN)
    assert out["due"]
    (job,) = await services.jobs.pending("ann")
    points = [state async for state in graph.aget_state_history(config_of(None))]
    assert len(points) >= 3
    for n, state in enumerate(points * 2):
        again: Any = {"configurable": {**state.config["configurable"], "run_id": f"replay-{n}"}}
        await graph.ainvoke(None, again, context=ANN)
    (label,) = written
    assert (label.ground_truth, await services.episodic.get("ann", "ann-0")) == ("rock", label)
    assert await services.users.labels("ann") == 1
    assert [pending.kind for pending in await services.jobs.pending("ann")] == [job.kind]


async def test_feedback_killed_after_its_label_is_asked_for_again_and_labels_once(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = build(ScriptedModels(), align_after=1, align_delay_s=0)
    await services.episodic.append("ann", past("ann", 0, "x"))
    written = labels_of(services, monkeypatch)
    graph = build_feedback(services).compile(checkpointer=InMemorySaver())
    real = services.jobs.enqueue

    async def killed(*args: Any) -> None:
        monkeypatch.setattr(services.jobs, "enqueue", real)
        raise KilledError

    monkeypatch.setattr(services.jobs, "enqueue", killed)
    given = {"interaction_id": "ann-0", "ground_truth": "rock"}
    with pytest.raises(KilledError):
        await graph.ainvoke(given, config_of("run-1"), context=ANN, durability="sync")
    out = await graph.ainvoke(None, config_of("run-1"), context=ANN)
    assert (len(written), await services.users.labels("ann"), out["due"]) == (1, 1, True)
    assert await services.jobs.depth("ann") == 1


async def test_what_the_user_wants_next_in_the_same_thread_is_a_label_of_its_own(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = build(ScriptedModels(), align_after=9)
    await services.episodic.append("ann", past("ann", 0, "x"))
    written = labels_of(services, monkeypatch)
    graph = build_feedback(services).compile(checkpointer=InMemorySaver())
    for n, truth in enumerate(["rock", "jazz", "rock"]):
        given = {"interaction_id": "ann-0", "ground_truth": truth}
        await graph.ainvoke(given, config_of(f"run-{n}"), context=ANN)
    assert [label.ground_truth for label in written] == ["rock", "jazz", "rock"]
    assert await services.users.labels("ann") == 3


async def test_what_was_recalled_is_in_no_checkpoint_and_is_there_again_in_a_replay_from_any(build: Build) -> None:
    models = ScriptedModels()
    services = build(models)
    await services.episodic.append_many("ann", [past("ann", 1, "slow films", query="What films do I like?")])
    agent = build_agent(services).compile(checkpointer=InMemorySaver())
    await agent.ainvoke(said("Which films do I like at night?", "m"), config_of(None), context=ANN)
    points = [point async for point in agent.aget_state_history(config_of(None))]
    assert not any("slow films" in str(point.values) or "recalled" in point.values for point in points)
    assert "slow films" in models.calls[0].text
    for point in points:
        if point.next in {("retrieve_memory",), ("reason",)}:
            await agent.ainvoke(None, point.config, context=ANN)
            assert "slow films" in models.calls[-1].text  # as memory is by now
    assert len(models.calls) == 3
