"""Table: rows of the user's CSV file, filtered by column; read only."""

from __future__ import annotations

import asyncio
import csv
import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field

from personaagent.tools.spec import ToolCall, ToolFault, ToolSpec

MAX_BYTES = 10_000_000


class TableArgs(BaseModel):
    """Which rows; without a column, the first ones."""

    column: str | None = Field(None, max_length=200, description="column to filter by")
    test: Literal["is", "contains", "at_least", "at_most"] = Field("contains", description="how to compare")
    value: str = Field("", max_length=300, description="what to compare with")
    k: int = Field(10, ge=1, le=50, description="how many rows")


def table_tool(path: Path) -> ToolSpec:
    """The tool over one user's CSV file with a header; in simulation a file changed since ``before`` is not seen."""

    async def run(call: ToolCall) -> str:
        return await asyncio.to_thread(_query, path, TableArgs.model_validate(call.arguments), call.before)

    return ToolSpec(
        name="table",
        description="Find rows in the user's own table (CSV).",
        args=TableArgs,
        run=run,
        scopes=frozenset({"files:read"}),
        reads_user_data=True,
    )


def _rows(path: Path, before: datetime | None) -> list[dict[str, Any]]:
    try:
        if before is not None and datetime.fromtimestamp(path.stat().st_mtime, UTC) >= before:
            raise ToolFault("The table was changed later than this moment, so it cannot be seen.")
        with path.open("rb") as file:
            text = file.read(MAX_BYTES).decode("utf-8-sig", errors="replace")
        return list(csv.DictReader(io.StringIO(text, newline=""), restkey="", restval=""))
    except (OSError, csv.Error) as error:
        raise ToolFault("The table cannot be read now.") from error


def _query(path: Path, args: TableArgs, before: datetime | None) -> str:
    rows = _rows(path, before)
    if not rows:
        return "The table is empty."
    columns = [name for name in rows[0] if name]
    if args.column is not None and args.column not in columns:
        raise ToolFault(f"The table has no column {args.column!r}; it has: {', '.join(columns)}.")
    found = [row for row in rows if args.column is None or _fits(row[args.column], args)]
    shown = [", ".join(f"{name}: {row[name]}" for name in columns) for row in found[: args.k]]
    head = f"{len(found)} of {len(rows)} rows; columns: {', '.join(columns)}"
    return "\n".join([head, *(f"- {line}" for line in shown)])


def _fits(cell: str, args: TableArgs) -> bool:
    if args.test == "contains":
        return args.value.lower() in cell.lower()
    if args.test == "is":
        return cell.strip().lower() == args.value.strip().lower()
    try:
        number, bound = float(cell), float(args.value)
    except ValueError:
        # ISO dates and plain words order as text
        return cell >= args.value if args.test == "at_least" else bool(cell) and cell <= args.value
    return number >= bound if args.test == "at_least" else number <= bound
