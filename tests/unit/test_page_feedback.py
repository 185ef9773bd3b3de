"""Feedback through the page's forms and the JSON route, and wishes beside pins."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from page_house import Browser, services_in
from personaagent.context import Context
from personaagent.graph.agent import build_agent
from personaagent.graph.services import Services

HEADERS = {"X-User-Id": "ann"}


@pytest.fixture
async def services(own_settings: Path) -> AsyncIterator[Services]:
    made = services_in(own_settings)
    yield made
    await made.close()


@pytest.fixture
async def ann(services: Services) -> Browser:
    browser = Browser(services)
    await browser.sign_in("ann")
    await browser.get("/me")
    return browser


async def answered(services: Services, text: str = "Which film?", **context: Any) -> str:
    agent = build_agent(services).compile()
    out = await agent.ainvoke({"messages": [HumanMessage(text)]}, context=Context(user_id="ann", **context))
    return str(out["interaction_id"])


@pytest.mark.parametrize(
    ("form", "kept", "told"),
    [
        ({"thumb": "up", "comment": ""}, {"rating": 5, "ground_truth": "An answer."}, "Right as it was."),
        ({"thumb": "down", "comment": "<b>long"}, {"rating": 1, "comment": "<b>long"}, "answers: &lt;b&gt;long."),
        ({"comment": "too long"}, {"rating": None, "comment": "too long"}, "Noted for later answers: too long."),
        ({"edit": "Answer."}, {"truth_source": "edit", "ground_truth": "Answer."}, "from 2 to 1 words."),
        (
            {"picked": "tea", "over": "An answer."},
            {"truth_source": "pick", "rejected": "An answer."},
            "you prefer: tea",
        ),
    ],
)
async def test_a_memorys_page_takes_feedback_and_says_what_was_understood(
    ann: Browser, services: Services, form: dict[str, str], kept: dict[str, Any], told: str
) -> None:
    key = await answered(services)
    done = await ann.post(f"/me/memories/{key}/feedback", **form)
    assert done.status_code == 303
    assert told in (await ann.get(done.headers["location"])).text
    memory = await services.episodic.get("ann", key)
    assert {name: getattr(memory, name) for name in kept} == kept
    assert await services.users.labels("ann") == 1


async def test_in_a_closed_answer_space_one_of_the_choices_is_what_was_wanted(ann: Browser, services: Services) -> None:
    key = await answered(services, choices=["rain", "sun"], task="weather")
    assert "<option>sun</option>" in (await ann.get(f"/me/memories/{key}")).text
    await ann.post(f"/me/memories/{key}/feedback", choice="sun")
    memory = await services.episodic.get("ann", key)
    assert (memory.ground_truth, memory.truth_source) == ("sun", "choice")


async def test_empty_feedback_and_feedback_on_what_is_not_there_are_refused(ann: Browser, services: Services) -> None:
    key = await answered(services)
    assert (await ann.post(f"/me/memories/{key}/feedback", comment=" ")).status_code == 400
    assert (await ann.post("/me/memories/unknown/feedback", thumb="up")).status_code == 404
    assert (await services.episodic.get("ann", key)).rating is None


async def test_the_json_route_takes_the_same_and_answers_with_what_was_understood(services: Services) -> None:
    browser, key = Browser(services), await answered(services)
    path = f"/api/v1/me/memories/{key}/feedback"
    body = {"ground_truth": "Answer.", "source": "edit", "thumb": "down", "comment": "too long"}
    told = (await browser.http.post(path, headers=HEADERS, json=body)).json()
    assert told["memory"]["comment"] == "too long"
    assert told["understood"][0] == "You cut the answer from 2 to 1 words."
    assert told["alignment_due"] is False
    other = await browser.http.post(path, headers={"X-User-Id": "bob"}, json=body)
    assert other.status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "empty"),
        ({"rating": 4.5}, "rating"),
        ({"rating": True}, "rating"),
        ({"rating": 9}, "rating"),
        ({"thumb": "sideways"}, "thumb"),
        ({"comment": 7}, "comment"),
        ({"comment": " "}, "comment"),
        ({"ground_truth": None}, "ground_truth"),
        ({"picked": "a"}, "picked"),
        ({"ground_truth": "a", "picked": "b", "over": "c"}, "picked"),
        ({"truth": "a"}, "truth"),
    ],
)
async def test_the_json_route_names_the_field_that_is_not_sound_and_stores_nothing(
    services: Services, body: dict[str, Any], field: str
) -> None:
    browser, key = Browser(services), await answered(services)
    before = await services.episodic.get("ann", key)
    refused = await browser.http.post(f"/api/v1/me/memories/{key}/feedback", headers=HEADERS, json=body)
    assert refused.status_code == 400
    assert field in refused.json()["error"]["message"].lower()
    assert await services.episodic.get("ann", key) == before


async def test_a_wish_stands_beside_the_pins_is_edited_there_and_takes_no_feedback(
    ann: Browser, services: Services
) -> None:
    key = await answered(services, "From now on answer in one sentence.")
    assert "you said so on" in (await ann.get("/me/persona")).text
    assert "What you think of the answer" not in (await ann.get(f"/me/memories/{key}")).text
    (pin,) = await services.personas.pins("ann")
    assert (await ann.post(f"/me/pins/{pin.id}", text="answer in two sentences")).status_code == 303
    assert "answer in two sentences" in (await ann.get("/me/persona")).text
    assert (await ann.post("/me/pins/unknown", text="x")).status_code == 404
    assert (await ann.post(f"/me/pins/{pin.id}", text=" ")).status_code == 400
    assert "1 wish" in (await ann.get(f"/me/forget?id={key}")).text
    await ann.post("/me/forget", id=key, sure="yes")
    assert await services.personas.pins("ann") == []
