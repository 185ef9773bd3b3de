"""The report's tables as Markdown, for a README or a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from personaagent.evals.metrics import Score, scores_of
from personaagent.evals.records import Prepared
from personaagent.evals.report.collect import Sheet, commits
from personaagent.evals.report.words import about, committed, extras, finding, rows_of, signed, told


def text(sheets: Sequence[Sheet]) -> str:
    """One table a sheet."""
    return "\n".join(_sheet(sheet) for sheet in sheets)


def _sheet(sheet: Sheet) -> str:
    scores = list(sheet.lines[0].scores) if sheet.lines else []
    more = extras(sheet)
    heads = [
        "system",
        "rows",
        *scores,
        "PersonaAgent ahead",
        *more,
        "unreadable",
        "calls / query",
        "tokens / query",
        "s / query",
    ]
    lines = [f"## {_cell(str(sheet.about['task']))}", "", about(sheet), "", finding(sheet), *committed(sheet), ""]
    lines += [f"| {' | '.join(heads)} |", "|---" + "|--:" * (len(heads) - 1) + "|"]
    for line in sheet.lines:
        cells = [
            _cell(line.system), rows_of(line), *(told(line.scores[score]) for score in scores), signed(line.ahead),
            *(cells.get(line.system, "") for cells in more.values()),
            f"{line.unreadable:.1%}", f"{line.calls:.2f}", f"{line.tokens:.0f}", f"{line.seconds:.2f}",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, *_by_user(sheet)]) + "\n"


def _by_user(sheet: Sheet) -> list[str]:
    """Edit cost and first aligned version user by user: which styles are learnt, and which are not; else nothing."""
    if sheet.about["metric"] != "edits":
        return []
    score = scores_of("edits", ())[sheet.leading]
    systems = [line.system for line in sheet.lines]
    aligning = [system for system, *_ in commits(sheet)]
    heads = [
        "user",
        *(f"{sheet.leading}: {name}" for name in systems),
        *(f"version after: {name}" for name in aligning),
    ]
    lines = ["", f"| {' | '.join(map(_cell, heads))} |", "|---" + "|--:" * (len(heads) - 1) + "|"]
    for user in sorted({row.user_id for rows in sheet.answers.values() for row in rows.values()}):
        costs = [_cost(sheet, name, user, score) for name in systems]
        versions = [_aligned_after(sheet.users[name].get(user)) for name in aligning]
        lines.append(f"| {' | '.join([_cell(user), *costs, *versions])} |")
    return lines


def _cost(sheet: Sheet, system: str, user: str, score: Score) -> str:
    pairs = [(row.answer, row.truth) for row in sheet.answers[system].values() if row.user_id == user]
    return f"{score(pairs):.2f}" if pairs else ""


def _aligned_after(prepared: Prepared | None) -> str:
    if prepared is None:
        return ""
    return "none" if prepared.aligned_after is None else str(prepared.aligned_after)


def _cell(value: str) -> str:
    return value.replace("|", "\\|").replace("\n", " ")
