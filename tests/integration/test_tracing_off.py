"""Without LANGSMITH_TRACING or LANGCHAIN_TRACING_V2 set to true, no client is made and nothing is sent."""

from __future__ import annotations

import time
from pathlib import Path

import langsmith
import pytest
from langchain_core.messages import HumanMessage

from langsmith_stub import forget_environment, langsmith_stub
from personaagent.context import Context
from personaagent.graph.agent import build_agent
from personaagent.graph.feedback import build_feedback
from personaagent.graph.services import Services
from personaagent.settings import Settings
from personaagent.tracing import client as tracing
from personaagent.tracing.runs import report
from scripted import HashEmbedder, ScriptedModels

NAMES = ("LANGSMITH_TRACING", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING", "LANGCHAIN_TRACING_V2")


@pytest.mark.parametrize("said", [None, "false", "", "0"])
async def test_nothing_is_sent_and_no_client_made_unless_tracing_is_on(
    said: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    real = langsmith.Client.__init__

    def noted(self: langsmith.Client, *given: object, **named: object) -> None:
        made.append(self)
        real(self, *given, **named)  # type: ignore[arg-type]

    for name in NAMES:
        if said is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, said)
    monkeypatch.setattr(langsmith.Client, "__init__", noted)
    monkeypatch.setattr(tracing, "_installed", [])
    with langsmith_stub() as stub:
        monkeypatch.setenv("LANGSMITH_ENDPOINT", stub.url)
        monkeypatch.setenv("LANGSMITH_API_KEY", "none")  # alone it is no consent
        forget_environment()
        services = Services(Settings(home=tmp_path), models=ScriptedModels(agent="a"), embedder=HashEmbedder())
        context = Context(user_id="ann")
        turn = await build_agent(services).compile().ainvoke({"messages": [HumanMessage("q")]}, context=context)
        fed = (
            await build_feedback(services)
            .compile()
            .ainvoke({"interaction_id": turn["interaction_id"], "ground_truth": "b"}, context=context)
        )
        assert report(fed["interaction"]) is None
        await services.close()
        time.sleep(0.2)  # noqa: ASYNC251 - a client would ask in a thread of its own
        assert stub.requests == []
    assert made == []
    forget_environment()


def test_with_tracing_on_the_same_would_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "_installed", [])
    monkeypatch.setenv("LANGSMITH_TRACING", "true")
    with langsmith_stub() as stub:
        monkeypatch.setenv("LANGSMITH_ENDPOINT", stub.url)
        monkeypatch.setenv("LANGSMITH_API_KEY", "none")
        forget_environment()
        tracing.set_up_tracing(Settings(home=tmp_path))
        client = tracing.tracing_client()
        assert client is not None
        client.create_run("a run", {}, "chain", id="00000000-0000-4000-8000-000000000001")
        client.update_run("00000000-0000-4000-8000-000000000001", outputs={})
        client.flush(10)
        assert stub.requests
    langsmith.configure(client=None)
    forget_environment()
