"""What is counted of a turn, of an alignment and of what waits; and that no user shows in it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from prometheus_client import REGISTRY

from graph_house import Build, build, past  # noqa: F401  (a fixture)
from memory_house import episode
from personaagent import telemetry
from personaagent.context import Context
from personaagent.errors import IndexUnavailable, LedgerUnavailable, ModelUnreachable
from personaagent.graph.agent import build_agent
from personaagent.graph.alignment import build_alignment
from personaagent.graph.services import Services
from personaagent.types import ToolTrace
from scripted import ScriptedModels


class Change:
    """How much samples have grown since this was made."""

    def __init__(self) -> None:
        self._before = self._read()

    def __call__(self, name: str, **labels: str) -> float:
        key = (name, tuple(sorted(labels.items())))
        return self._read().get(key, 0.0) - self._before.get(key, 0.0)

    @staticmethod
    def _read() -> dict[Any, float]:
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in REGISTRY.collect()
            for sample in family.samples
            if sample.name.startswith("personaagent_")
        }


async def turn(services: Services, text: str, user: str = "ann") -> dict[str, Any]:
    agent = build_agent(services).compile()
    return await agent.ainvoke({"messages": [HumanMessage(text, id=f"m-{text}")]}, context=Context(user_id=user))


async def test_a_turn_is_timed_by_node_and_counted_by_role(build: Build) -> None:  # noqa: F811
    change = Change()
    await turn(build(ScriptedModels(agent="Solaris")), "Which film?")
    for node in ("load_persona", "retrieve_memory", "reason", "write_memory"):
        assert change("personaagent_node_seconds_count", graph="agent", node=node) == 1
    assert change("personaagent_model_seconds_count", role="agent") == 1
    assert change("personaagent_model_calls_total", role="agent", outcome="ok") == 1
    assert change("personaagent_tokens_total", role="agent", direction="input") > 0
    assert change("personaagent_tokens_total", role="agent", direction="output") > 0


async def test_recalled_memories_are_counted(build: Build) -> None:  # noqa: F811
    services = build(ScriptedModels(agent="ok"))
    await services.episodic.append_many("ann", [past("ann", n, "rock") for n in range(3)])
    change = Change()
    await turn(services, "question 1 about topic 1")
    assert change("personaagent_recall_hits_count") == 1
    assert change("personaagent_recall_hits_sum") == 3


async def test_a_failed_turn_is_counted_by_the_name_of_its_error(build: Build) -> None:  # noqa: F811
    models = ScriptedModels(agent="ok")
    models.fail("agent", ModelUnreachable("down"))
    change = Change()
    with pytest.raises(ModelUnreachable):
        await turn(build(models), "hello")
    assert change("personaagent_errors_total", error="ModelUnreachable") == 1
    assert change("personaagent_node_seconds_count", graph="agent", node="reason") == 1
    assert change("personaagent_model_calls_total", role="agent", outcome="failed") == 1


async def test_a_turn_without_memory_is_counted_once(
    build: Build,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    services = build(ScriptedModels(agent="ok"))

    async def down(*_: Any) -> Any:
        raise IndexUnavailable("down")

    monkeypatch.setattr(services.index, "search", down)
    change = Change()
    await turn(services, "hello")
    assert change("personaagent_degraded_turns_total", part="memory") == 1
    assert change("personaagent_degraded_turns_total", part="write") == 0


async def test_an_interrupted_turn_is_no_failure(build: Build) -> None:  # noqa: F811
    call = AIMessage("", tool_calls=[{"name": "remember", "args": {"statement": "I like tea"}, "id": "c"}])
    services = build(ScriptedModels(agent=[call, "noted"], tool_calling=True))
    agent = build_agent(services).compile(checkpointer=InMemorySaver())
    change = Change()
    out = await agent.ainvoke(
        {"messages": [HumanMessage("remember that I like tea", id="m")]},
        context=Context(user_id="ann"),
        config={"configurable": {"thread_id": "t"}},
    )
    assert "__interrupt__" in out
    assert change("personaagent_errors_total", error="unexpected") == 0
    assert change("personaagent_node_seconds_count", graph="agent", node="act") == 1


def test_a_tool_that_never_ran_is_no_label() -> None:
    change = Change()
    telemetry.tools_called([ToolTrace(name="invented by a model", arguments={}, outcome="refused")])
    telemetry.tools_called([ToolTrace(name="abacus", arguments={}, outcome=o) for o in ("ok", "error", "refused")])
    assert change("personaagent_tool_calls_total", tool="other", outcome="refused") == 1
    for outcome in ("ok", "error", "refused"):
        assert change("personaagent_tool_calls_total", tool="abacus", outcome=outcome) == 1
    assert b"invented" not in telemetry.exposition()


async def test_an_alignment_is_counted_by_what_became_of_it(build: Build) -> None:  # noqa: F811
    services = build(ScriptedModels(choose=lambda *_: "rock", simulator="rock", agent="rock"))
    change = Change()
    await build_alignment(services).compile().ainvoke({}, context=Context(user_id="nobody yet"))
    assert change("personaagent_alignments_total", outcome="no_change") == 1
    assert change("personaagent_node_seconds_count", graph="alignment", node="refresh_profile") == 1


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        ({"committed": object(), "rejected": [1]}, "accepted"),
        ({"committed": None, "rejected": [1]}, "rejected"),
        ({"committed": None, "rejected": []}, "no_change"),
        ({}, "no_change"),
    ],
)
def test_the_final_state_says_what_became_of_an_alignment(result: dict[str, Any], outcome: str) -> None:
    change = Change()
    telemetry.alignment_ended(result)
    assert change("personaagent_alignments_total", outcome=outcome) == 1


async def test_a_simulated_turn_is_not_taken_for_a_live_one(build: Build) -> None:  # noqa: F811
    services = build(ScriptedModels(choose=lambda *_: "rock", agent="rock", simulator="rock"))
    await services.episodic.append_many("ann", [past("ann", n, "rock", choices=("rock", "jazz")) for n in range(12)])
    change = Change()
    await build_alignment(services).compile().ainvoke({}, context=Context(user_id="ann", align_epochs=1))
    assert change("personaagent_node_seconds_count", graph="simulation", node="reason") > 0
    assert change("personaagent_node_seconds_count", graph="agent", node="reason") == 0
    assert change("personaagent_recall_hits_count") == 0


async def test_no_user_shows_in_the_metrics(build: Build) -> None:  # noqa: F811
    await turn(build(ScriptedModels(agent="a secret answer")), "a secret question", user="margaret")
    text = telemetry.exposition().decode()
    assert "personaagent_node_seconds" in text
    assert "margaret" not in text
    assert "secret" not in text


async def test_what_waits_is_read_from_the_ledger(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    services = build(ScriptedModels())

    async def down(*_: Any) -> Any:
        raise IndexUnavailable("down")

    monkeypatch.setattr(services.index, "upsert", down)
    assert await services.backlog.observe() is not None
    await services.episodic.append_many("ann", [episode(n) for n in range(3)])
    await services.jobs.enqueue("ann", "alignment", {}, datetime.now(UTC))
    first = await services.backlog.observe()
    await asyncio.sleep(0.02)
    await services.episodic.append("ann", episode(4))
    second = await services.backlog.observe()
    assert first is not None
    assert second is not None
    assert (first.jobs, first.outbox, second.outbox, second.spool) == (1, 3, 4, 0)
    assert second.outbox_oldest_s >= 0.02, "newer work does not make the oldest younger"
    assert REGISTRY.get_sample_value("personaagent_outbox_depth") == 4
    monkeypatch.undo()
    await services.indexer.close()
    await services.indexer.flush()
    third = await services.backlog.observe()
    assert third is not None
    assert (third.outbox, third.outbox_oldest_s) == (0, 0.0)


async def test_while_the_ledger_is_away_what_waits_is_not_known(
    build: Build,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    services = build(ScriptedModels())

    async def down() -> Any:
        raise LedgerUnavailable("down")

    monkeypatch.setattr(services.jobs, "depth", down)
    assert await services.backlog.observe() is None
    assert REGISTRY.get_sample_value("personaagent_ledger_up") == 0
    assert str(REGISTRY.get_sample_value("personaagent_queue_jobs")) == "nan"
