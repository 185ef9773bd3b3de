"""Importing a history: every bad row is named, every good one stays, and the same file again adds nothing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from memory_house import House, opened
from personaagent.errors import BadRow
from personaagent.memory.importing import MAX_LINE_BYTES, ImportReport, import_file

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with opened(tmp_path / "home") as made:
        yield made


async def imported(house: House, content: bytes | list[Any], user: str = "ann", **options: Any) -> ImportReport:
    house.home.mkdir(exist_ok=True)
    path = house.home / "history.jsonl"
    text = content if isinstance(content, bytes) else "\n".join(json.dumps(row) for row in content).encode()
    path.write_bytes(text)
    return await import_file(house.episodic, user, path, now=NOW, **options)


def row(**changes: Any) -> dict[str, Any]:
    return {"query": "which one?", "response": "this one", **changes}


async def test_all_fields_of_a_row_are_kept(house: House) -> None:
    given = row(created_at="2026-05-01T10:00:00+02:00", task="t", choices=["this one", "that"], thread_id="x",
                metadata={"a": [1, None]}, other="is passed over")  # fmt: skip
    assert await imported(house, [given]) == ImportReport(read=1, new=1, bad=())
    (found,) = await house.episodic.newest("ann", 9)
    moment = datetime(2026, 5, 1, 8, tzinfo=UTC)
    assert (found.created_at, found.labelled_at) == (moment, moment)
    assert (found.ground_truth, found.truth_source, found.truth_confidence) == ("this one", "imported", 1.0)
    assert (found.response, found.task, found.thread_id) == (None, "t", "x")
    assert (found.choices, found.metadata) == (("this one", "that"), {"a": [1, None]})


async def test_the_same_file_again_adds_nothing_and_a_longer_one_its_new_rows(house: House) -> None:
    rows = [row(), row(), row(created_at="2026-05-01"), row(query="another")]
    assert (await imported(house, rows)).new == 4
    before = await house.episodic.newest("ann", 9)
    assert (await imported(house, rows)).new == 0
    assert (await imported(house, [*rows, row()])).new == 1
    assert (await house.episodic.newest("ann", 9))[:4] == before
    assert (await imported(house, rows, "bob")).new == 4


async def test_rows_without_a_time_come_in_order_before_now(house: House) -> None:
    await imported(house, [row(query=f"number {n}") for n in range(1200)])
    found = await house.episodic.newest("ann", 2000)
    assert [i.query for i in found] == [f"number {n}" for n in range(1200)]
    assert found[-1].created_at == NOW - timedelta(seconds=1)


async def test_naive_times_are_utc_and_a_day_is_its_beginning(house: House) -> None:
    await imported(house, [row(created_at="2026-05-01T10:00:00"), row(created_at="2026-04-01")])
    times = [i.created_at for i in await house.episodic.newest("ann", 9)]
    assert times == [datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 5, 1, 10, tzinfo=UTC)]


async def test_byte_order_mark_blank_lines_and_windows_line_ends_are_fine(house: House) -> None:
    lines = [json.dumps(row(query=q), ensure_ascii=False) for q in ("première", "東京", "a\u2028b")]
    content = ("\ufeff" + "\r\n\r\n  \r\n".join(lines)).encode()
    assert await imported(house, content) == ImportReport(read=3, new=3, bad=())
    assert [i.query for i in await house.episodic.newest("ann", 9)] == ["première", "東京", "a\u2028b"]


BAD: list[tuple[bytes, str]] = [
    (b"{", "not JSON"),
    (b"[1]", "a list, not an object"),
    (b"null", "null, not an object"),
    (b'"text"', "text, not an object"),
    (b"\xff\xfe{}", "not UTF-8"),
    (b"[" * 100_000, "nested too deeply"),
    (b'{"response": "x"}', "query is missing"),
    (b'{"query": "x"}', "response is missing"),
    (b'{"query": "  ", "response": "x"}', "query is empty"),
    (b'{"query": 4, "response": "x"}', "query is a number, not text"),
    (b'{"query": "x", "response": 4}', 'quotation marks, like "4"'),
    (b'{"query": "x", "response": true}', "a truth value"),
    (b'{"query": ["x"], "response": "x"}', "query is a list"),
    (b'{"query": "x", "response": "\\ud83d"}', "surrogate"),
    (b'{"query": "x", "response": "y", "metadata": {"a": NaN}}', "NaN is not JSON"),
    (json.dumps(row(query="x" * 32_001)).encode(), "32001 characters"),
    (json.dumps(row(created_at="yesterday")).encode(), "created_at 'yesterday'"),
    (json.dumps(row(created_at=12)).encode(), "created_at '12'"),
    (json.dumps(row(created_at="0001-01-01T00:00:00+14:00")).encode(), "is not a time"),
    (json.dumps(row(created_at="2026-06-01T12:00:01")).encode(), "in the future"),
    (json.dumps(row(choices="ab")).encode(), "choices are not a list"),
    (json.dumps(row(choices=["a", ""])).encode(), "a choice is empty"),
    (json.dumps(row(choices=["a", "b"])).encode(), "not among the choices"),
    (json.dumps(row(metadata=[1])).encode(), "metadata is a list"),
    (json.dumps(row(metadata={"a": "x" * 20_000})).encode(), "metadata has more than"),
    (json.dumps(row(task="x" * 257)).encode(), "task has 257 characters"),
    (json.dumps(row(thread_id=4)).encode(), "thread_id is a number"),
    (b'{"query": "' + b"x" * (MAX_LINE_BYTES * 2) + b'"}', "longer than"),
]


@pytest.mark.parametrize(("line", "why"), BAD, ids=[why for _, why in BAD])
async def test_a_bad_row_is_named_by_file_and_line_and_the_good_ones_stay(house: House, line: bytes, why: str) -> None:
    good = json.dumps(row()).encode()
    report = await imported(house, b"\n".join([good, line, good]))
    assert (report.read, report.new) == (2, 2)
    (bad,) = report.bad
    assert isinstance(bad, BadRow)
    assert f"{house.home / 'history.jsonl'}:2: " in str(bad)
    assert why in str(bad)
    assert len(str(bad)) < 300


async def test_a_file_that_cannot_be_read_and_an_empty_one(house: House, tmp_path: Path) -> None:
    with pytest.raises(BadRow, match=r"nothing\.jsonl cannot be read"):
        await import_file(house.episodic, "ann", tmp_path / "nothing.jsonl")
    assert await imported(house, b"") == ImportReport(read=0, new=0, bad=())


async def test_progress_is_told_and_ends_with_everything(house: House) -> None:
    told: list[tuple[int, int]] = []
    await imported(house, [row(query=f"{n}") for n in range(1100)], progress=lambda *step: told.append(step))
    assert told == [(500, 1100), (1000, 1100), (1100, 1100)]


async def test_an_import_while_the_index_is_down_is_kept_and_found_later(house: House) -> None:
    house.index_down()
    assert (await imported(house, [row(query=f"{n}") for n in range(700)])).new == 700
    assert await house.indexer.depth() == 700
    house.index_up()
    steps: list[tuple[int, int]] = []
    await house.indexer.close()
    await house.indexer.flush(progress=lambda *step: steps.append(step))
    assert steps == [(256, 700), (512, 700), (700, 700)]
    assert await house.index.count("ann") == 700
