"""A lost index, a reindex that was killed, a ledger that is down: nothing that was kept is lost in silence."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from graph_house import Build, past
from personaagent.context import Context
from personaagent.errors import IndexUnavailable, LedgerUnavailable
from personaagent.evals.perf.load_qdrant import Qdrant
from personaagent.graph.agent import build_agent
from personaagent.graph.services import Services
from personaagent.memory.index_common import reindex
from scripted import ScriptedModels


async def found(services: Services) -> int:
    await services.indexer.flush()
    return len(await services.episodic.search("ann", "question about topic", 50))


async def test_a_lost_index_folder_is_filled_from_the_ledger_by_itself(build: Build) -> None:
    services = build(ScriptedModels())
    await services.episodic.append_many("ann", [past("ann", n, "tea") for n in range(30)])
    assert await found(services) == 30
    await services.close()
    home = services.settings.home
    shutil.rmtree(home / "index")
    again = Services(services.settings, models=services.models, embedder=services.embedder)
    assert await found(again) == 30
    assert await again.index.count("ann") == 30
    # the same where only the shard inside of it is gone
    await again.close()
    [shard] = [path for path in (home / "index").iterdir() if path.is_dir()]
    shutil.rmtree(shard)
    third = Services(services.settings, models=services.models, embedder=services.embedder)
    assert await found(third) == 30
    assert await third.outbox.depth() == 0
    await third.close()
    # an index that is there is not filled again
    fourth = Services(services.settings, models=services.models, embedder=services.embedder)
    await fourth.index.check()
    assert await fourth.outbox.depth() == 0
    await fourth.close()


@pytest.mark.parametrize("running", [True, False])
async def test_a_collection_that_a_qdrant_server_lost_is_filled_from_the_ledger_by_itself(
    build: Build, running: bool
) -> None:
    server = Qdrant()
    await server.start()
    services = build(ScriptedModels(), qdrant_url=server.url)
    await services.episodic.append_many("ann", [past("ann", n, "tea") for n in range(30)])
    assert await found(services) == 30
    assert await services.index.count() == 30
    server.lose()
    if running:  # the first call after it says so, and the next one mends it
        with pytest.raises(IndexUnavailable):
            await services.index.count("ann")
    else:
        await services.close()
        services = build(ScriptedModels(), qdrant_url=server.url)
    assert await found(services) == 30
    assert len(server.points("ann")) == await services.index.count() == 30
    await services.close()
    again = build(ScriptedModels(), qdrant_url=server.url)
    await again.index.check()
    assert await again.outbox.depth() == 0  # one that is there is not filled again
    await again.close()
    await server.stop()


async def test_a_reindex_that_is_killed_at_any_step_is_carried_on_by_the_next_start(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = build(ScriptedModels())
    await services.episodic.append_many("ann", [past("ann", n, "tea") for n in range(5)])
    assert await found(services) == 5

    class Killed(BaseException):
        pass

    def half(path: Any, *_: Any, **__: Any) -> None:
        """Remove one file of the folder, and be killed."""
        next(one for one in Path(path).rglob("*") if one.is_file()).unlink()
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("personaagent.memory.index_edge.shutil.rmtree", half)
        with pytest.raises(Killed):
            await reindex(services.meta, services.indexer, services.index, services.embedder)
    again = Services(services.settings, models=services.models, embedder=services.embedder)
    assert await found(again) == 5
    await again.close()


async def test_on_a_server_a_turn_is_spooled_while_the_ledger_is_down(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = build(ScriptedModels("an answer"))

    async def down(*_: Any, **__: Any) -> Any:
        raise LedgerUnavailable("the ledger does not answer")

    agent = build_agent(services).compile()
    config: Any = {"configurable": {"thread_id": "t", "run_id": "r"}}
    with monkeypatch.context() as patch:
        for name in ("newest", "append", "keep", "append_many"):
            patch.setattr(services.interactions, name, down)
        out = await agent.ainvoke({"messages": [HumanMessage("hello")]}, config, context=Context(user_id="ann"))
    assert out["answer"] == "an answer"
    await services.episodic.catch_up()
    kept = await services.episodic.get("ann", out["interaction_id"])
    assert kept.query == "hello" and kept.metadata["run"].startswith("r/")


async def test_what_a_turn_went_on_without_is_told_without_saying_where_it_is(
    build: Build, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    services = build(ScriptedModels("an answer"))
    secret = "the ledger postgresql+asyncpg://persona:***@10.1.2.3:5432/personaledger does not answer (/srv/home)"

    async def down(*_: Any, **__: Any) -> Any:
        raise LedgerUnavailable(secret)

    for owner in (services.personas, services.semantic, services.interactions, services.episodic):
        for name in ("current", "profile", "newest", "append", "keep", "search", "label"):
            if hasattr(owner, name):
                monkeypatch.setattr(owner, name, down)
    out = (
        await build_agent(services)
        .compile()
        .ainvoke({"messages": [HumanMessage("hello")]}, context=Context(user_id="ann"))
    )
    assert {note.partition(":")[0] for note in out["degraded"]} >= {"persona", "memory", "write"}
    assert not any("10.1.2.3" in note or "/srv" in note for note in out["degraded"])
    assert secret in caplog.text, "the operator is told"
