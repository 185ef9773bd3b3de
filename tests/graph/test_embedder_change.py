"""Another embedding model is noticed at open, and a reindex migrates to it: never a silent mix."""

from __future__ import annotations

from pathlib import Path

from langchain_core.messages import HumanMessage

from graph_house import past
from personaagent.context import Context
from personaagent.graph.agent import build_agent
from personaagent.graph.services import Services
from personaagent.memory.index_common import reindex
from personaagent.settings import Settings
from scripted import HashEmbedder, ScriptedModels


class OtherEmbedder(HashEmbedder):
    name = "hash-64-other"


async def test_a_changed_embedder_degrades_the_turn_until_a_reindex(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    first = Services(settings, models=ScriptedModels(), embedder=HashEmbedder())
    await first.episodic.append_many("ann", [past("ann", 1, "slow films", query="What films do I like?")])
    await first.close()

    models = ScriptedModels()
    changed = Services(settings, models=models, embedder=OtherEmbedder())
    agent = build_agent(changed).compile()
    question = {"messages": [HumanMessage("What films do I like?")]}
    out = await agent.ainvoke(question, context=Context(user_id="ann"))
    assert any("reindex" in why for why in out["degraded"])
    assert "slow films" not in models.calls[-1].text

    assert await reindex(changed.meta, changed.indexer, changed.index, changed.embedder) >= 1
    out = await agent.ainvoke(question, context=Context(user_id="ann"))
    assert out["degraded"] == []
    assert "slow films" in models.calls[-1].text
    await changed.close()
