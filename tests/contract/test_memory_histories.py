"""The histories that people have: each is recognised, odd parts are named, and the user's words come in."""

from __future__ import annotations

import json
import zipfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from memory_house import House, opened
from personaagent.errors import BadRow
from personaagent.memory.importing import ImportReport, import_file

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with opened(tmp_path / "home") as made:
        yield made


async def imported(
    house: House, content: bytes | str | list[Any], name: str = "history.json", **options: Any
) -> ImportReport:
    house.home.mkdir(exist_ok=True)
    path = house.home / name
    if not isinstance(content, bytes):
        content = (content if isinstance(content, str) else json.dumps(content)).encode()
    path.write_bytes(content)
    return await import_file(house.episodic, "ann", path, now=NOW, **options)


async def said(house: House) -> list[str]:
    kept = await house.episodic.newest("ann", 100)
    assert all(i.ground_truth is None and i.response is None and i.labelled_at is None for i in kept)
    return [i.query for i in kept]


def node(key: str, parent: str | None, role: str, *parts: Any, at: float | None = 1.7e9, **more: Any) -> dict[str, Any]:
    message = {
        "id": key, "author": {"role": role}, "create_time": at,
        "content": {"content_type": "text", "parts": list(parts)}, **more,
    }  # fmt: skip
    return {key: {"id": key, "parent": parent, "children": [], "message": message}}


def chatgpt(**changes: Any) -> dict[str, Any]:
    mapping = {"root": {"id": "root", "parent": None, "children": ["a"], "message": None}}
    mapping |= node("hidden", "root", "user", "my settings", metadata={"is_visually_hidden_from_conversation": True})
    mapping |= node("a", "hidden", "user", "Which tea?") | node("b", "a", "assistant", "Green.")
    mapping |= node("old", "b", "user", "an edited message", at=1.7e9 + 5)
    mapping |= node("c", "b", "user", {"content_type": "image_asset_pointer"}, "And this one?", at=1.7e9 + 9)
    mapping |= node("d", "c", "assistant", "Black.")
    return {"title": "t", "conversation_id": "one", "current_node": "d", "mapping": mapping} | changes


async def test_chatgpt_gives_the_users_words_of_the_branch_in_sight(house: House) -> None:
    report = await imported(house, [chatgpt(), chatgpt(conversation_id="two", mapping=node("x", None, "user", "Hi"))])
    assert await said(house) == ["Which tea?", "Hi", "[image]\nAnd this one?"]
    assert report.found == "ChatGPT export, 2 conversations, 3 of your messages, 2023"
    assert (report.read, report.new, report.bad) == (3, 3, ())
    first = (await house.episodic.newest("ann", 9))[0]
    assert (first.thread_id, first.created_at) == ("one", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC))
    assert (await imported(house, [chatgpt()])).new == 0


async def test_a_cycle_a_missing_node_and_a_broken_conversation_end_nothing(house: House) -> None:
    loop = node("a", "b", "user", "round") | node("b", "a", "user", "and round")
    report = await imported(
        house,
        [
            chatgpt(mapping=loop, current_node="a"),
            chatgpt(mapping=[1]),
            chatgpt(current_node="gone"),
            {"mapping": {"x": 3}},
        ],
    )
    assert "round" in await said(house)
    assert "Which tea?" in await said(house)
    assert ["entry 2" in str(report.bad[0]), "entry 4" in str(report.bad[1])] == [True, True]


async def test_claudes_messages_without_ids_are_all_in_sight(house: House) -> None:
    messages = [{"sender": "human", "text": "I like tea"}, {"sender": "assistant", "text": "ok"}]
    assert (await imported(house, [{"uuid": "c", "name": "n", "chat_messages": messages}])).new == 1
    assert [i.query for i in await house.episodic.newest("ann", 9)] == ["I like tea"]


async def test_claude_gives_the_humans_words(house: House) -> None:
    messages = [
        {"uuid": "1", "sender": "human", "text": "Which tea?", "created_at": "2024-01-02T03:04:05.123456Z"},
        {"uuid": "2", "sender": "assistant", "text": "Green."},
        {"uuid": "3", "sender": "human", "text": "", "content": [{"type": "text", "text": "Why?"}],
         "created_at": "2025-01-02T03:04:05Z"},
    ]  # fmt: skip
    report = await imported(house, [{"uuid": "c", "name": "n", "chat_messages": messages}])
    assert await said(house) == ["Which tea?", "Why?"]
    assert report.found == "Claude export, 1 conversations, 2 of your messages, 2024 to 2025"


async def test_conversations_a_line_give_the_users_words(house: House) -> None:
    parts = [{"type": "text", "text": "This?"}, {"type": "image_url"}]
    roles = [("system", "be kind"), ("user", "Which tea?"), ("assistant", "Green."), ("user", parts)]
    one = {"messages": [{"role": role, "content": content} for role, content in roles]}
    report = await imported(house, "\n".join([json.dumps(one), "{", json.dumps({"messages": 5})]), "chats.jsonl")
    assert await said(house) == ["Which tea?", "This?\n[image]"]
    assert [str(bad).split(":")[1] for bad in report.bad] == ["2", "3"]


@pytest.mark.parametrize(
    "text",
    [
        "query,date\nWhich tea?,2025-01-01\n\"Why, though?\",2025-01-02\n",
        "role;content;timestamp\nuser;Which tea?;2025-01-01\nassistant;Green;2025-01-01\n"
        "user;Why, though?;2025-01-02\n",
        '\ufeffmessage\tdate\r\nWhich tea?\t2025-01-01\r\nWhy, though?\t2025-01-02\r\n',
    ],
)  # fmt: skip
async def test_a_table_gives_its_rows(house: House, text: str) -> None:
    report = await imported(house, text, "history.csv")
    assert await said(house) == ["Which tea?", "Why, though?"]
    assert report.bad == ()


async def test_a_table_with_responses_is_labelled(house: House) -> None:
    await imported(house, "question,answer\nWhich tea?,green\n", "history.csv")
    (kept,) = await house.episodic.newest("ann", 9)
    assert (kept.query, kept.ground_truth, kept.truth_source) == ("Which tea?", "green", "imported")


async def test_an_array_of_rows_and_rows_with_a_mark_before_each(house: House) -> None:
    await imported(house, [{"query": "one"}, {"query": "two"}])
    await imported(house, '\ufeff{"query": "three"}\n\ufeff{"query": "four"}\n', "rows.jsonl")
    assert set(await said(house)) == {"one", "two", "three", "four"}


@pytest.mark.parametrize("deep", [700, 100_000])
async def test_deep_nesting_is_one_odd_row(house: House, deep: int) -> None:
    odd = '{"query": "odd", "metadata": {"a": ' + "[" * deep + "]" * deep + "}}"
    good = '{"query": "good"}'
    lines = await imported(house, f"{good}\n{odd}\n{good}", "rows.jsonl")
    array = await imported(house, f"[{good}, {odd}, {good}]")
    assert [len(report.bad) for report in (lines, array)] == [1, 1]
    assert "nested too deeply" in str(lines.bad[0])
    assert "entry 2: " in str(array.bad[0])
    assert await said(house) == ["good", "good"]  # the same rows, in whichever form


async def test_an_array_that_is_cut_off_gives_what_is_whole(house: House) -> None:
    report = await imported(house, '[{"query": "whole"}, {"query": "cut')
    assert await said(house) == ["whole"]
    assert len(report.bad) == 1


async def test_since_leaves_out_what_is_older(house: House) -> None:
    rows = [{"query": str(year), "created_at": f"{year}-01-01"} for year in (2019, 2024, 2025)]
    report = await imported(house, rows, since=datetime(2024, 1, 1, tzinfo=UTC))
    assert await said(house) == ["2024", "2025"]
    assert (report.read, report.found) == (2, "rows, 3 of them, 2019 to 2025")


TALK = [{"role": "user", "content": "Which tea?"}, {"role": "assistant", "content": "Green."}]
SHARED = [{"from": "human", "value": "Which tea?"}, {"from": "gpt", "value": "Green."}]
TYPED = [{"type": "human", "content": "Which tea?"}, {"type": "ai", "content": "Green."}]
GROK = [
    {"response": {"sender": "human", "message": "Which tea?"}},
    {"response": {"sender": "assistant", "message": "Green."}},
]
ASKED = {"fragments": [{"type": "REQUEST", "content": "Which tea?"}], "inserted_at": "2025-01-01T00:00:00+08:00"}
TOLD = {"fragments": [{"type": "RESPONSE", "content": "Green."}]}
DEEPSEEK = {"a": {"parent": None, "message": ASKED}, "b": {"parent": "a", "message": TOLD}}
FLAT = [{"uuid": "1", "sender": "human", "text": "an older wording", "parent_message_uuid": "0"},
        {"uuid": "2", "sender": "human", "text": "Which tea?", "parent_message_uuid": "0"},
        {"uuid": "3", "sender": "assistant", "text": "Green.", "parent_message_uuid": "2"}]  # fmt: skip
FORMS = [
    ("conversations", TALK),
    ("conversations", [TALK]),
    ("conversations", [{"conversations": SHARED}]),
    ("conversations", {"messages": TYPED}),
    ("conversations", {"chats": [{"id": "x", "chat": {"messages": TALK}}]}),
    ("conversations", {"conversations": [{"conversation": {"id": "x"}, "responses": GROK}]}),
    ("Claude export", {"users": [{"a": 1}], "conversations": [{"uuid": "c", "chat_messages": FLAT}]}),
    ("ChatGPT export", [{"id": "x", "mapping": DEEPSEEK}]),
    ("ChatGPT export", chatgpt(mapping=node("d", None, "user", "Which tea?"))),
    ("Gemini activity", [
        {"header": "Gemini Apps", "products": ["Gemini Apps"], "time": "2025-01-01T00:00:00Z", "title": title}
        for title in ("Prompted Which tea?", "Used an Assistant feature")
    ]),
    ("rows", [{"prompt": "Which tea?", "completion": "Green."}]),
]  # fmt: skip


@pytest.mark.parametrize(("form", "value"), FORMS, ids=[f"{n} {form}" for n, (form, _) in enumerate(FORMS)])
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
async def test_the_users_words_come_in_whatever_wraps_them(
    house: House, form: str, value: Any, indent: int | None, encoding: str
) -> None:
    report = await imported(house, json.dumps(value, indent=indent).encode(encoding))
    assert (await said(house), report.bad) == (["Which tea?"], ())
    assert report.found.startswith(form)


async def test_messages_a_line_are_one_conversation(house: House) -> None:
    await imported(house, "\n".join(map(json.dumps, TALK)), "messages.jsonl")
    assert await said(house) == ["Which tea?"]


@pytest.mark.parametrize(
    "names", [["conversations.json"], ["conversations-000.json"], ["Takeout/My Activity/Gemini.json"]]
)
async def test_an_archive_is_read_as_it_was_downloaded(house: House, names: list[str]) -> None:
    house.home.mkdir(exist_ok=True)
    with zipfile.ZipFile(house.home / "export.zip", "w") as archive:
        for name in names:
            archive.writestr(name, json.dumps([chatgpt()]))
        archive.writestr("users.json", '[{"uuid": "z", "full_name": "Ann"}]')
        archive.writestr("chat.html", "<html>")
    report = await import_file(house.episodic, "ann", house.home / "export.zip", now=NOW)
    assert (report.found[:14], report.new, report.bad) == ("ChatGPT export", 2, ())


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"PK\x03\x04 no archive", "cannot be read"), (b"\x89PNG\r\n\x1a\n" + bytes(99), "is no text")],
)
async def test_what_is_no_history_is_refused_by_name(house: House, content: bytes, why: str) -> None:
    with pytest.raises(BadRow, match=why):
        await imported(house, content)


@pytest.mark.parametrize(
    ("content", "queries"),
    [
        (b"query,response\rWhich tea?,green\rWhy?,because\r", ["Which tea?", "Why?"]),
        (b"sep=;\nquery;timestamp\nWhich tea?;1714550000\n", ["Which tea?"]),
        (b"query\nWhich tea?\nWhy?\n", ["Which tea?", "Why?"]),
        (b"query|date\nWhich tea?|2025-01-01 10:00:00 UTC\n", ["Which tea?"]),
        ("query\tdate\nWhich tea?\t2025-01-01\n".encode("utf-16"), ["Which tea?"]),
        (b"sender,message\nBob,Hello\nyou,Which tea?\n", ["Which tea?"]),
    ],
)
async def test_a_table_is_read_as_programs_write_them(house: House, content: bytes, queries: list[str]) -> None:
    report = await imported(house, content, "history.csv")
    assert ([i.query for i in await house.episodic.newest("ann", 9)], report.bad) == (queries, ())


@pytest.mark.parametrize("encoding", ["cp1252", "gbk", "shift_jis"])
async def test_another_encoding_is_named_and_never_guessed(house: House, encoding: str) -> None:
    word = "für" if encoding == "cp1252" else "天気"
    report = await imported(house, f"query,date\nplain,2025-01-01\n{word} ich,2025-01-02\n".encode(encoding), "h.csv")
    assert await said(house) == ["plain"]
    assert "not UTF-8" in str(report.bad[0])
