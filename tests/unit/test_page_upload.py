"""A history that the user has is taken in by the page: a ChatGPT export, rows, and what is no history."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from page_house import HERE, Browser, services_in
from personaagent.graph.services import Services


@pytest.fixture
async def services(own_settings: Path) -> AsyncIterator[Services]:
    made = services_in(own_settings, max_request_bytes=20_000, max_upload_bytes=60_000)
    yield made
    await made.close()


@pytest.fixture
async def ann(services: Services) -> Browser:
    browser = Browser(services)
    await browser.sign_in("ann")
    await browser.get("/me/data")
    return browser


def chatgpt(texts: list[str]) -> bytes:
    mapping: dict[str, Any] = {"root": {"id": "root", "message": None, "parent": None, "children": ["m0"]}}
    for n, text in enumerate(texts):
        mapping[f"m{n}"] = {
            "id": f"m{n}",
            "message": {
                "author": {"role": "user"}, "create_time": 1_700_000_000 + n,
                "content": {"content_type": "text", "parts": [text]},
            },
            "parent": f"m{n - 1}" if n else "root",
            "children": [f"m{n + 1}"] if n + 1 < len(texts) else [],
        }  # fmt: skip
    told = {"title": "t", "create_time": 1_700_000_000, "mapping": mapping, "current_node": f"m{len(texts) - 1}"}
    return json.dumps([told]).encode()


async def send(browser: Browser, body: bytes, name: str = "conversations.json", **fields: str) -> Any:
    return await browser.http.post(
        "/me/data/import",
        data={"token": browser.token} | fields,
        files={"file": (name, body)},
        headers={"Origin": HERE},
    )


async def test_an_export_of_chatgpt_becomes_memory_once(ann: Browser, services: Services) -> None:
    body = chatgpt(["I keep bees", "What do bees eat in winter?"])
    first = await send(ann, body)
    assert first.status_code == 200
    assert "ChatGPT export, 1 conversations, 2 of your messages, 2023: 2 new of 2" in first.text
    assert "wait to be read into facts" in first.text
    assert "0 new of 2" in (await send(ann, body)).text
    assert [i.query for i in await services.episodic.newest("ann", 9)] == ["I keep bees", "What do bees eat in winter?"]
    assert "2 memories wait to be read into facts" in (await ann.get("/me/data")).text


async def test_rows_that_are_odd_are_named_and_a_day_narrows(ann: Browser, services: Services) -> None:
    rows = [
        {"query": "old", "response": "a", "created_at": "2020-01-01T00:00:00Z"},
        {"query": "new", "response": "b", "created_at": "2026-01-01T00:00:00Z"},
        {"query": 5},
    ]
    body = "\n".join(json.dumps(row) for row in rows).encode()
    page = await send(ann, body, "../../my rows.jsonl", since="2025-01-01")
    assert "1 new of 1" in page.text
    assert "my_rows.jsonl" in page.text and "Not understood" in page.text
    assert [i.query for i in await services.episodic.newest("ann", 9)] == ["new"]


@pytest.mark.parametrize(
    ("body", "name", "fields", "status"),
    [
        (b"", "", {}, 400),
        (b"x" * 70_000, "big.json", {}, 413),
        (chatgpt(["hello"]), "c.json", {"since": "yesterday"}, 400),
    ],
)
async def test_what_cannot_be_taken_in_says_so_and_keeps_nothing(
    ann: Browser, services: Services, body: bytes, name: str, fields: dict[str, str], status: int
) -> None:
    assert (await send(ann, body, name, **fields)).status_code == status
    assert await services.episodic.count("ann") == 0


async def test_a_file_longer_than_other_requests_may_be_is_taken(ann: Browser, services: Services) -> None:
    page = await send(ann, chatgpt([f"{n} " + "word " * 100 for n in range(60)]))
    assert "60 new of 60" in page.text


async def test_a_form_of_another_session_brings_no_file(ann: Browser, services: Services) -> None:
    ann.token = "0" * 64
    assert (await send(ann, chatgpt(["hello"]))).status_code == 403
    assert await services.episodic.count("ann") == 0
