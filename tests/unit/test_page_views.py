"""What the views do: comparing costs and is bounded, forgetting takes what was said, reading makes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from graph_house import past
from page_house import CANARY, Browser, services_in
from personaagent.app.server.http import build_app
from personaagent.graph.services import Services
from personaagent.memory.forgetting import Selection
from personaagent.ports import Where
from personaagent.types import Candidate, Clause, Critique, FactOperation, Section, Verdict


@pytest.fixture
async def services(own_settings: Path) -> AsyncIterator[Services]:
    made = services_in(own_settings, align_daily_calls=5)
    yield made
    await made.close()


@pytest.fixture
async def ann(services: Services) -> Browser:
    browser = Browser(services)
    await browser.sign_in("ann")
    await browser.get("/me")
    return browser


async def test_comparing_is_booked_keeps_nothing_and_stops_when_the_budget_is_spent(
    ann: Browser, services: Services
) -> None:
    await services.seeds.persona("ann")
    question: dict[str, Any] = {"query": "Which film tonight?", "left": "0", "right": "0"}
    assert "Both answer the same" in (await ann.post("/me/try", **question)).text
    assert (await ann.post("/me/try", **question)).status_code == 200
    calls, _ = await services.budget.spent("ann", datetime.now(UTC).date())
    assert calls == 4
    refused = await ann.post("/me/try", **question)
    assert refused.status_code == 429 and "budget" in refused.text
    assert await services.episodic.count("ann") == 0


async def test_one_comparison_at_a_time(ann: Browser, services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    await services.seeds.persona("ann")
    entered, go_on = asyncio.Event(), asyncio.Event()
    real = services.budget.remaining

    async def slow(user_id: str) -> int:
        entered.set()
        await go_on.wait()
        return await real(user_id)

    monkeypatch.setattr(services.budget, "remaining", slow)
    question: dict[str, Any] = {"query": "Which film tonight?", "left": "0", "right": "0"}
    first = asyncio.create_task(ann.post("/me/try", **question))
    await entered.wait()
    assert (await ann.post("/me/try", **question)).status_code == 429
    go_on.set()
    assert (await first).status_code == 200
    assert (await ann.post("/me/try", **question)).status_code == 200


async def test_what_forgetting_would_take_is_what_it_takes(services: Services) -> None:
    await services.episodic.append_many("ann", [past("ann", n, "yes", task="a" if n < 3 else "b") for n in range(5)])
    for text, evidence in (("only a", ("ann-0",)), ("both", ("ann-1", "ann-4"))):
        add = FactOperation(kind="add", text=text, evidence=evidence)
        await services.semantic.apply("ann", [add], through=past("ann", 4, "").created_at)
    clauses = (Clause(text="from a", evidence=("ann-2",)), Clause(text="from b", evidence=("ann-3",)))
    await services.personas.append("ann", {Section.WHO: clauses}, "manual", expected_parent=None)
    selection = Selection(where=Where(task="a"))
    seen = await services.forgetter.preview("ann", selection)
    assert (seen.memories, seen.facts, seen.trimmed, seen.clauses) == (3, ("only a",), 1, ("from a",))
    report = await services.forgetter.forget("ann", selection)
    assert (len(report.interactions), len(report.facts_deleted), len(report.facts_trimmed)) == (3, 1, 1)
    current = await services.personas.current("ann")
    assert current is not None and [c.text for c in current.sections[Section.WHO]] == ["from b"]


async def test_a_matter_is_forgotten_after_the_page_has_shown_it(ann: Browser, services: Services) -> None:
    rows = [past("ann", n, "yes", query=f"Do I like {what}?") for n, what in enumerate(["tea", "my bees", "bees"])]
    await services.episodic.append_many("ann", rows)
    shown = (await ann.get("/me/forget?about=the+bees")).text
    assert "2 memories" in shown and "Do I like my bees?" in shown and "Do I like tea?" not in shown
    assert (await ann.post("/me/forget", about="the bees")).status_code == 400
    assert await services.episodic.count("ann") == 3
    assert (await ann.post("/me/forget", about="the bees", sure="yes")).status_code == 200
    assert [i.query for i in await services.interactions.newest("ann", 9)] == ["Do I like tea?"]
    assert "nothing to forget" in (await ann.get("/me/forget?about=the+bees")).text
    assert (await ann.get("/me/forget?about=it")).status_code == 400
    assert (await ann.get("/me/forget?about=bees&everything=yes")).status_code == 400


async def test_after_forgetting_everything_reading_the_page_makes_nothing_anew(
    ann: Browser, services: Services
) -> None:
    await services.episodic.append("ann", past("ann", 1, "yes"))
    await services.episodic.append("bob", past("bob", 1, "yes"))
    await services.seeds.persona("ann")
    assert "Forget everything" in (await ann.get("/me/forget?everything=yes")).text
    report = await ann.post("/me/forget", everything="yes", sure="yes")
    assert "1 version gone" in report.text
    for path in ("/me", "/me/persona", "/me/history", "/me/memories", "/me/facts", "/me/try", "/me/data"):
        assert (await ann.get(path)).status_code == 200
    assert await services.personas.current("ann") is None
    assert await services.episodic.count("bob") == 1


def test_no_route_of_ours_hides_one_of_langgraph_server(services: Services) -> None:
    own = {getattr(route, "path", "") for route in build_app(lambda: services, services.settings).routes}
    outside = {path for path in own if path != "/me" and not path.startswith(("/me/", "/api/v1/"))}
    assert outside == {"/mcp", "/v1/models", "/v1/chat/completions", "/healthz", "/readyz", "/metrics"}


async def test_the_history_shows_what_had_gone_wrong_before_each_change_as_text(
    ann: Browser, services: Services
) -> None:
    await services.episodic.append_many(
        "ann", [past("ann", n, "yes", query=f"question {n} {CANARY}") for n in range(3)]
    )
    base = await services.seeds.persona("ann")
    version = await services.personas.append(
        "ann", base.sections, "aligned", expected_parent=0, proposer="histogram", loss_before=1.0, loss_after=0.25
    )
    at = version.created_at

    def said(n: int, run: str, epoch: int, text: str, of: int | None) -> Critique:
        told = {"interaction_id": f"ann-{n}", "evidence": (f"ann-{n}",), "created_at": at, "loss": 1.0}
        return Critique(run=run, epoch=epoch, text=text, version=of, **told)  # type: ignore[arg-type]

    await services.critiques.save("ann", [
        said(0, "r1", 1, f"It led to version one. {CANARY}", 1), said(1, "r2", 1, "It led to a proposal.", None),
        said(2, "r2", 2, "It came after the first proposal.", None),
    ])  # fmt: skip
    refused = Verdict(accepted=False, reason="no gain")
    await services.candidates.save("ann", [
        Candidate(proposer="gradient", sections=base.sections, verdict=refused, run="r2", epoch=1),
        Candidate(proposer="histogram", sections=base.sections, verdict=refused, run="r2", epoch=2),
    ])  # fmt: skip
    history = (await ann.get("/me/history")).text
    assert history.count("It led to version one.") == history.count("It led to a proposal.") == 1
    assert "It came after the first proposal." not in history  # statistics read no critiques
    assert "question 0" in history and f"{version.loss_before:.2f}" in history and "0.25" in history
    detail = (await ann.get("/me/history/1")).text
    assert "It led to version one." in detail and "It led to a proposal." not in detail
    assert "gone wrong" not in (await ann.get("/me/history/0")).text
    assert "<script>" not in history + detail and "<img src=x" not in history + detail
    told = (await ann.http.get("/api/v1/me/persona/history", headers={"X-User-Id": "ann"})).json()
    assert [one["version"] for one in told["critiques"]].count(1) == 1
    other = (await ann.http.get("/api/v1/me/persona/history", headers={"X-User-Id": "bob"})).json()
    assert other["critiques"] == []
    report = await ann.post("/me/forget", id="ann-0", sure="yes")
    assert "Critiques of answers</dt><dd>1<" in report.text
    assert "It led to version one." not in (await ann.get("/me/history")).text
