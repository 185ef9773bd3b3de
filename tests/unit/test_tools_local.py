"""Calculator, clock, notes, calendar, table, recorded pages: bounded, read only, nothing outside."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personaagent.errors import SetupError
from personaagent.tools.calculator import calculate
from personaagent.tools.calendar_ics import calendar_tool
from personaagent.tools.current_time import current_time_tool
from personaagent.tools.house import FileTools, OwnFiles, read_config
from personaagent.tools.notes import notes_tool
from personaagent.tools.spec import ToolCall, ToolFault, ToolSpec
from personaagent.tools.table_csv import table_tool
from personaagent.tools.wikipedia import RecordedWikipedia, wikipedia_tool

THEN = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def run(spec: ToolSpec, *, before: datetime | None = None, **arguments: Any) -> str:
    return await spec.run(ToolCall(user_id="ann", arguments=spec.check(arguments), before=before))


@pytest.mark.parametrize(
    ("expression", "value"),
    [("(3 + 4) * 2", 14), ("2^10", 1024), ("7 // 2 - -1", 4), ("sqrt(16) + max(1, 2)", 6.0), ("round(2.567, 2)", 2.57)],
)
def test_the_calculator_computes(expression: str, value: float) -> None:
    assert calculate(expression) == value


@pytest.mark.parametrize(
    "expression",
    ["9**9**9**9", "2**99999", "10**400*10**400", "(-8)**0.5", "1/0", "exp(1000)", "1e308*10", "__import__('os')",
     "(1).__class__", "[1]*9", "'a'*9", "True+1", "lambda: 1", "(" * 150 + "1" + ")" * 150 + "x", "1+" * 149 + "1", "",
     "max()", "round(1, 2, 3)", "min(1, key=2)"],
)  # fmt: skip
def test_the_calculator_refuses_bombs_and_code(expression: str) -> None:
    with pytest.raises(ToolFault):
        calculate(expression)


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="0123456789+-*/().%^e pi,sqrt", max_size=60))
def test_the_calculator_gives_a_number_or_a_fault(expression: str) -> None:
    try:
        value = calculate(expression)
    except ToolFault:
        return
    assert isinstance(value, int | float)


async def test_the_clock_knows_zones_and_stands_still_in_simulation() -> None:
    tool = current_time_tool(lambda: datetime(2026, 7, 1, tzinfo=UTC))
    assert "2026-07-01 02:00" in await run(tool, timezone="Europe/Vienna")
    assert "2026-03-01 12:00" in await run(tool, before=THEN)
    with pytest.raises(ToolFault, match="IANA"):
        await run(tool, timezone="../../etc/passwd")


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "ann"
    (folder / "sub").mkdir(parents=True)
    (folder / "tea.md").write_text("# Tea\nAssam is best")
    (folder / "sub" / "trip.txt").write_text("Rome in May")
    (folder / ".hidden.md").write_text("hidden")
    (tmp_path / "secret.md").write_text("SECRET assam")
    (folder / "link.md").symlink_to(tmp_path / "secret.md")
    (folder / "up").symlink_to(tmp_path, target_is_directory=True)
    for path in (folder / "tea.md", folder / "sub" / "trip.txt"):
        os.utime(path, (THEN.timestamp() - 60,) * 2)
    return folder


async def test_notes_are_listed_found_and_read(notes: Path) -> None:
    tool = notes_tool(notes)
    assert await run(tool) == "- sub/trip.txt\n- tea.md"
    assert await run(tool, query="assam") == "- tea.md: Assam is best"
    assert await run(tool, path="sub/trip.txt") == "Rome in May"


@pytest.mark.parametrize(
    "path", ["../secret.md", "link.md", "up/secret.md", "sub/../../secret.md", "/etc/passwd", ".hidden.md", "tea.md\0"]
)
async def test_no_path_leads_out_of_the_notes(notes: Path, path: str) -> None:
    with pytest.raises(ToolFault, match="no note"):
        await run(notes_tool(notes), path=path)
    with pytest.raises(ToolFault, match="no note"):
        await run(notes_tool(notes), path=str(notes.parent / "secret.md"))


async def test_notes_written_later_are_unseen_in_simulation(notes: Path) -> None:
    os.utime(notes / "tea.md", (THEN.timestamp() + 60,) * 2)
    assert await run(notes_tool(notes), before=THEN) == "- sub/trip.txt"
    with pytest.raises(ToolFault):
        await run(notes_tool(notes), before=THEN, path="tea.md")


ICS = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//t//t//EN
BEGIN:VEVENT
UID:1
DTSTAMP:20260101T000000Z
DTSTART:20260302T090000Z
DTEND:20260302T100000Z
RRULE:FREQ=WEEKLY;COUNT=3
SUMMARY:Choir
LOCATION:Hall
END:VEVENT
BEGIN:VEVENT
UID:2
DTSTAMP:20260310T000000Z
DTSTART;VALUE=DATE:20260303
SUMMARY:Moved
END:VEVENT
END:VCALENDAR
"""


async def test_the_calendar_shows_recurring_events_in_range_and_hides_what_was_written_later(tmp_path: Path) -> None:
    path = tmp_path / "a.ics"
    path.write_text(ICS.replace("\n", "\r\n"))
    tool = calendar_tool(path)
    assert await run(tool, start="2026-03-09") == "- Mon 2026-03-09 09:00: Choir at Hall"
    assert "Tue 2026-03-03 all day: Moved" in await run(tool, start="2026-03-01", end="2026-03-05")
    assert "Moved" not in await run(tool, before=THEN, start="2026-03-01", end="2026-03-05")
    assert "Nothing" in await run(tool, start="2026-05-01")
    with pytest.raises(ToolFault, match="366"):
        await run(tool, start="2026-03-09", end="2026-03-01")
    path.write_text("no calendar")
    with pytest.raises(ToolFault, match="cannot be read"):
        await run(tool, start="2026-03-09")


async def test_the_table_filters_by_column(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('title,year,rating\n"Emma, a novel",1815,4\nDune,1965,5\nShort,1990\n')
    tool = table_tool(path)
    assert "1 of 3 rows" in (text := await run(tool, column="title", value="emma")) and "Emma, a novel" in text
    assert "2 of 3" in await run(tool, column="year", test="at_least", value="1900")
    assert "1 of 3" in await run(tool, column="year", test="is", value="1965")
    with pytest.raises(ToolFault, match="title, year, rating"):
        await run(tool, column="author", value="x")
    os.utime(path, (THEN.timestamp() + 60,) * 2)
    with pytest.raises(ToolFault, match="changed later"):
        await run(tool, before=THEN)


async def test_missing_files_are_faults_of_the_tool_only(tmp_path: Path) -> None:
    with pytest.raises(ToolFault):
        await run(table_tool(tmp_path / "none.csv"))
    with pytest.raises(ToolFault):
        await run(calendar_tool(tmp_path / "none.ics"), start="2026-01-01")


async def test_files_are_tools_of_their_owner_alone(tmp_path: Path) -> None:
    source = FileTools({"ann": OwnFiles(notes=tmp_path, table=tmp_path / "t.csv")})
    assert [spec.name for spec in await source.specs("ann")] == ["notes", "table"]
    assert await source.specs("bob") == []


async def test_recorded_pages_answer_without_a_network(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text(
        '[{"title": "Tea", "text": "A drink of leaves."}, {"title": "Oak", "text": "A tree. No tea."}]'
    )
    tool = wikipedia_tool(RecordedWikipedia(tmp_path, pages=1))
    assert await run(tool, query="tea leaves") == "Page: Tea\nSummary: A drink of leaves."
    assert "no page that fits" in await run(tool, query="quantum")
    with pytest.raises(SetupError, match="PERSONAAGENT_WIKIPEDIA_PAGES"):
        await run(wikipedia_tool(RecordedWikipedia(tmp_path / "empty")), query="tea")


def test_a_tools_file_that_is_wrong_is_named(tmp_path: Path) -> None:
    path = tmp_path / "tools.json"
    path.write_text('{"servers": {"time": {"command": "x", "comand": "y"}}}')
    with pytest.raises(SetupError, match=r"tools\.json.*comand"):
        read_config(path)
    path.write_text('{"servers": {"time": {"command": "x", "read_only": true}}, "user_files": {"a": {"notes": "n"}}}')
    assert read_config(path).servers["time"].read_only is True
