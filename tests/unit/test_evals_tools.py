"""The ablations of the action space: which tools each system has, what they answer offline, how they are counted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from personaagent.evals.records import Records
from personaagent.evals.report.collect import sheets
from personaagent.evals.report.html import drill_down
from personaagent.evals.runner import Plan, run
from personaagent.evals.systems import Bench
from personaagent.evals.systems.persona_agent import PAGES
from personaagent.evals.systems.registry import label, parse
from personaagent.evals.tasks import Row, Task, split
from personaagent.settings import Settings
from personaagent.tools.wikipedia import NOTHING, RecordedWikipedia
from scripted import HashEmbedder, ScriptedModels

MEMORY = {"recall", "profile"}


def sections() -> Task:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [
        Row(id=f"ann-{n}", user_id="ann", query=f"Parkland, part {n}", truth="crime", created_at=start + timedelta(n))
        for n in range(5)
    ]
    return Task(
        name="sections", instructions="Name the section.", choices=("crime", "sports"), metric="accuracy",
        may_be_shown=True, users={"ann": rows},
    )  # fmt: skip


def calls_all_once(messages: list[BaseMessage], tools: list[dict[str, Any]]) -> AIMessage:
    if not tools or any(isinstance(message, ToolMessage) for message in messages):
        return AIMessage("crime")
    names = [tool["function"]["name"] for tool in tools]
    return AIMessage("", tool_calls=[{"name": n, "args": {"query": "Parkland"}, "id": n} for n in names])


async def answered(spec: str, models: ScriptedModels, folder: Path) -> Records:
    name, arguments = parse(spec)
    task = sections()
    bench = Bench(task=task, settings=Settings(home=folder), models=models, embedder=HashEmbedder(), home=folder / "h")
    records = Records(folder)
    records.begin(
        {"system": label(name, arguments), "task": task.name, "data": task.hash, "metric": task.metric, "seed": 0,
         "models": {"agent": "scripted"}, "embedder": "hash", "history": 0, "recall_k": 4, "limit": None, "users": 1,
         "choices": list(task.choices), "rows": len(split(task)[0].test), "may_be_shown": True}
    )  # fmt: skip
    await run(Plan(name=name, arguments=arguments, bench=bench, splits=split(task)), records)
    return records


@pytest.mark.parametrize(
    ("spec", "tools"),
    [
        ("agent", MEMORY | {"wikipedia", "calculator"}),
        ("agent_with_memory_tools_only", MEMORY),
        ("agent_with_wikipedia_only", {"wikipedia"}),
        ("agent_without_memory", {"wikipedia", "calculator"}),
        ("agent_without_action", set()),
    ],
)
async def test_an_ablation_has_its_tools_and_no_other_and_each_call_is_recorded(
    spec: str, tools: set[str], tmp_path: Path
) -> None:
    models = ScriptedModels(calls_all_once)
    records = await answered(spec, models, tmp_path)
    bound = {name for call in models.calls if call.kind == "chat" for name in call.tool_names}
    assert bound == tools
    rows = records.rows()
    assert rows
    assert all(set(row.tools) == tools for row in rows.values())


async def test_wikipedia_answers_from_the_recorded_pages(tmp_path: Path) -> None:
    models = ScriptedModels(calls_all_once)
    await answered("agent_with_wikipedia_only:alignment=off", models, tmp_path)
    assert any("Marjory Stoneman Douglas" in call.text for call in models.calls)


async def test_the_report_counts_the_calls_of_each_user(tmp_path: Path) -> None:
    records = await answered("agent_with_memory_tools_only:alignment=off", ScriptedModels(calls_all_once), tmp_path)
    (sheet,) = sheets([records])
    count = len(records.rows())
    assert f"recall {count}, profile {count} in {count} queries" in drill_down(sheet)


@pytest.mark.parametrize(
    ("query", "title"),
    [("Bill Cosby trial", "Bill Cosby"), ("Oscars 2018", "90th Academy Awards"), ("NRA gun lobby", "National Rifle")],
)
async def test_the_recorded_pages_answer_questions_on_the_sample(query: str, title: str) -> None:
    assert f"Page: {title}" in await RecordedWikipedia(PAGES)(query)


async def test_the_recorded_pages_are_many_and_short_and_say_when_they_have_nothing() -> None:
    lookup = RecordedWikipedia(PAGES, pages=100)
    found = await lookup("the and")
    pages = found.split("\n\n")
    assert len(pages) >= 25
    assert all(100 < len(page) < 900 for page in pages)
    assert await lookup("zymurgy") == NOTHING
