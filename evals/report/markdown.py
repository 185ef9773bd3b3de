"""The report's tables as Markdown, for a README or a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from evals.report.collect import Sheet
from evals.report.words import about, finding, rows_of, signed, told


def text(sheets: Sequence[Sheet]) -> str:
    """One table a sheet."""
    return "\n".join(_sheet(sheet) for sheet in sheets)


def _sheet(sheet: Sheet) -> str:
    scores = list(sheet.lines[0].scores) if sheet.lines else []
    heads = [
        "system",
        "rows",
        *scores,
        "PersonaAgent ahead",
        "unreadable",
        "calls / query",
        "tokens / query",
        "s / query",
    ]
    lines = [f"## {_cell(str(sheet.about['task']))}", "", about(sheet), "", finding(sheet), ""]
    lines += [f"| {' | '.join(heads)} |", "|---" + "|--:" * (len(heads) - 1) + "|"]
    for line in sheet.lines:
        cells = [
            _cell(line.system), rows_of(line), *(told(line.scores[score]) for score in scores), signed(line.ahead),
            f"{line.unreadable:.1%}", f"{line.calls:.2f}", f"{line.tokens:.0f}", f"{line.seconds:.2f}",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(value: str) -> str:
    return value.replace("|", "\\|").replace("\n", " ")
