"""What LangSmith gets of a turn and of its feedback, recorded at a local endpoint."""

from __future__ import annotations

from pathlib import Path

import langsmith
import pytest
from langchain_core.messages import HumanMessage

from langsmith_stub import langsmith_stub
from personaagent.context import Context
from personaagent.graph.agent import build_agent
from personaagent.graph.feedback import build_feedback
from personaagent.graph.services import Services
from personaagent.settings import Settings
from personaagent.tracing.client import RedactingClient, use_client
from personaagent.tracing.redaction import Content
from personaagent.tracing.runs import report
from scripted import HashEmbedder, ScriptedModels

USER, KEY = "zora-user-7", "sk-abcdefgh1234567890abcdefgh"
SAID = f"My name is Zora Quillfeather, zora@quill.org, key {KEY}, I am {USER}. Which film?"


@pytest.mark.parametrize("content", ["masked", "none", "full"])
async def test_a_turn_and_its_label_arrive_redacted_and_linked(content: Content, tmp_path: Path) -> None:
    services = Services(
        Settings(home=tmp_path, prices={"default": (1, 2)}),
        models=ScriptedModels(agent="Alien"),
        embedder=HashEmbedder(),
    )
    with langsmith_stub() as stub, langsmith.tracing_context(enabled=True):
        client = RedactingClient(content, api_url=stub.url, api_key="none")
        use_client(client)
        out = (
            await build_agent(services)
            .compile(name="agent")
            .ainvoke(
                {"messages": [HumanMessage(SAID)]},
                context=Context(user_id=USER),
                config={"configurable": {"thread_id": f"chat-{USER}"}, "tags": [USER], "metadata": {"who": USER}},
            )
        )
        fed = (
            await build_feedback(services)
            .compile(name="feedback")
            .ainvoke(
                {"interaction_id": out["interaction_id"], "ground_truth": "Solaris"}, context=Context(user_id=USER)
            )
        )
        sent = report(fed["interaction"])
        assert sent is not None
        sent.result(20)
        client.flush(20)
        turn, feedback = stub.root("agent"), stub.root("feedback")
        assert USER not in stub.sent()
        assert ("Quillfeather" in stub.sent()) is (content == "full")
        assert ("zora@quill.org" in stub.sent()) is (content == "full")
        metadata = turn["extra"]["metadata"]
        assert (metadata["persona_version"], metadata["agent_calls"]) == (0, 1)
        assert metadata["cost"] > 0
        assert feedback["extra"]["metadata"]["caused_by_runs"] == [turn["trace_id"]]
        assert {(f["key"], f["run_id"]) for f in stub.feedback} == {("user_truth", turn["trace_id"])}
    await services.close()
