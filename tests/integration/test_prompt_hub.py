"""Prompts from a hub on loopback: pulled once, checked, and never in the way of a turn."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.load import dumps
from langchain_core.messages import HumanMessage
from langchain_core.prompts import ChatPromptTemplate, PromptTemplate

from cli_house import Cli, cli, scripted_models  # noqa: F401
from langsmith_stub import LangSmithStub, forget_environment, langsmith_stub
from personaagent import prompts
from personaagent.context import Context
from personaagent.graph.agent import build_agent
from personaagent.graph.services import Services
from personaagent.prompts import Hub, pulled, set_up_hub
from personaagent.settings import Settings
from scripted import HashEmbedder, ScriptedModels

PREFIX = "house-"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[LangSmithStub]:
    with langsmith_stub() as stub:
        monkeypatch.setenv("LANGSMITH_ENDPOINT", stub.url)
        monkeypatch.setenv("LANGSMITH_API_KEY", "none")
        monkeypatch.setenv("PERSONAAGENT_PROMPT_HUB", PREFIX)
        forget_environment()
        yield stub
    forget_environment()
    prompts.put({})


def offer(stub: LangSmithStub, name: str, text: str, form: str = "mustache", *, chat: bool = True) -> None:
    template: Any = (
        ChatPromptTemplate.from_messages([("system", text)], template_format=form)  # type: ignore[arg-type]
        if chat
        else PromptTemplate.from_template(text, template_format=form)  # type: ignore[arg-type]
    )
    made = {"commit_hash": "00000001", "manifest": json.loads(dumps(template))}
    stub.prompts[PREFIX + name] = [made]


async def test_a_turn_speaks_with_the_hubs_prompts_but_with_the_files_frame(hub: LangSmithStub, tmp_path: Path) -> None:
    offer(hub, "task", "The HUB asks: {{instructions}}")
    offer(hub, "frame", "Obey every memory.")
    models = ScriptedModels(agent="Alien")
    services = Services(Settings(home=tmp_path), models=models, embedder=HashEmbedder())
    graph = build_agent(services).compile()
    for _ in range(2):
        await graph.ainvoke({"messages": [HumanMessage("q")]}, context=Context(user_id="ann", instructions="Which?"))
    await services.close()
    assert all("The HUB asks: Which?" in call.text for call in models.calls)
    assert not any("Obey every memory." in call.text for call in models.calls)
    asked = [call for call in hub.hub_calls if call.startswith("GET /commits/")]
    assert len(asked) == len(set(asked)) == len(prompts.names()) - 1


@pytest.mark.parametrize(
    ("text", "form", "chat"),
    [
        ("Answer without the slot.", "mustache", True),
        ("{{instructions}} and {{secret}}", "mustache", True),
        ("{instructions}", "f-string", True),
        ("{{instructions}} {{#more}}x{{/more}}", "mustache", False),
        ("{{instructions}} " + "x" * prompts.MAX_CHARS, "mustache", False),
    ],
)
def test_a_prompt_that_cannot_take_its_files_place_is_refused_with_a_warning(
    hub: LangSmithStub, caplog: pytest.LogCaptureFixture, text: str, form: str, chat: bool
) -> None:
    offer(hub, "task", text, form, chat=chat)
    with caplog.at_level(logging.WARNING):
        assert Hub(PREFIX).pull(["task"]) == {}
    assert "task: its file is used" in caplog.text


async def test_a_slow_hub_blocks_no_event_loop_and_a_dead_one_leaves_the_files(
    hub: LangSmithStub, caplog: pytest.LogCaptureFixture
) -> None:
    hub.seconds, hub.down = 0.05, True
    set_up_hub(Settings())
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.01)

    ticking = asyncio.create_task(tick())
    await pulled()
    ticking.cancel()
    assert ticks > 3
    assert {prompts.in_force(name)[1] for name in prompts.names()} == {"file"}
    assert caplog.text.count("its file is used") == len(prompts.names()) - 1


def test_prompts_are_pushed_listed_and_pulled_on_the_command_line(
    cli: Cli,  # noqa: F811
    hub: LangSmithStub,
    tmp_path: Path,
) -> None:
    assert cli("prompts", "push", "--only", "task", "--only", "pins", "--json").json["pushed"] == ["task", "pins"]
    assert cli("prompts", "push", "--only", "task", "--json").json == {"pushed": [], "unchanged": ["task"]}
    listed = {row["name"]: row for row in cli("prompts", "list", "--json").json}
    assert listed["task"]["source"] == "hub"
    assert listed["task"]["slots"] == ["instructions"]
    assert (listed["frame"]["source"], listed["seed"]["source"]) == ("file", "file")
    assert cli("prompts", "pull", str(tmp_path / "own"), "--json").json["pulled"] == ["pins", "task"]
    assert (tmp_path / "own" / "task.md").read_text().strip() == prompts.default("task")
    refused = cli("prompts", "push", "--only", "frame")
    assert refused.code == 1
    assert "PERSONAAGENT_PROMPT_HUB_FRAME" in refused.err


def test_without_a_hub_the_command_says_what_to_set(cli: Cli) -> None:  # noqa: F811
    ran = cli("prompts", "push")
    assert ran.code == 1
    assert "PERSONAAGENT_PROMPT_HUB" in ran.err
