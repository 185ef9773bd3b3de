"""The report as one HTML file: no script, no network, light and dark, readable on a phone. Every text is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files

from personaagent.evals.metrics import lower_is_better
from personaagent.evals.report.collect import OURS, Line, Sheet
from personaagent.evals.report.curves import Curve, across, within
from personaagent.evals.report.drill import drill_down
from personaagent.evals.report.paper import reported
from personaagent.evals.report.svg import bars, curve
from personaagent.evals.report.words import about, committed, extras, finding, rows_of, signed, told

INTRO = (
    "Systems answer the same rows in the order of time; a query's history is what came before it. Brackets are 95 % "
    "intervals of a bootstrap over users. Unreadable answers count as wrong. Costs are those of the first answer, "
    "also where it came from the cache."
)


def page(sheets: Sequence[Sheet], drawings: Sequence[str]) -> str:
    """The whole page; ``drawings`` stand under the sheet of the same place, curves from sheet to sheet before all."""
    style = files("personaagent.evals.report").joinpath("page.css").read_text(encoding="utf-8")
    sections = _studies(sheets)
    sections += "".join(_section(sheet, drawing) for sheet, drawing in zip(sheets, drawings, strict=True))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>PersonaAgent: evaluation</title><style>{style}</style></head>"
        f"<body><main><h1>PersonaAgent: evaluation</h1><p>{INTRO}</p>{sections}</main></body></html>\n"
    )


def _section(sheet: Sheet, drawing: str) -> str:
    drawn = [(line.system, line.scores[sheet.leading]) for line in sheet.lines]
    better = "lower is better" if lower_is_better(sheet.leading) else "higher is better"
    return (
        f"<section><h2>{escape(str(sheet.about['task']))}</h2><p class='about'>{escape(about(sheet))}</p>"
        f"<p>{escape(' '.join([finding(sheet), *committed(sheet)]))}</p>"
        f"<div class='wide'>{_table(sheet)}</div>"
        f"<h3>{escape(sheet.leading)} ({better})</h3>{bars(drawn, sheet.leading, OURS)}"
        f"{''.join(map(_curve, within(sheet)))}{drawing}{drill_down(sheet)}</section>"
    )


def _studies(sheets: Sequence[Sheet]) -> str:
    """One drawing a number that differs from sheet to sheet; empty where none does."""
    drawn = "".join(f"<h3>{escape(task)}</h3>{_curve(found)}" for task, found in across(sheets))
    return f"<section><h2>Studies</h2>{drawn}</section>" if drawn else ""


def _curve(found: Curve) -> str:
    title = f"{found.score} by {found.axis}"
    return f"<figure>{curve(found.lines, title, found.axis, OURS)}<figcaption>{escape(title)}</figcaption></figure>"


def _table(sheet: Sheet) -> str:
    scores = list(sheet.lines[0].scores) if sheet.lines else []
    more = extras(sheet)
    heads = [
        "system", "rows", *scores, f"PersonaAgent ahead ({sheet.leading})", *more, "unreadable", "calls / query",
        "tokens / query", "s / query", "money / query", "preparation / user", "tools called", "paper",
    ]  # fmt: skip
    if not any(line.money is not None for line in sheet.lines):
        heads.remove("money / query")
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join(_row(sheet, line, scores, more) for line in sheet.lines)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _row(sheet: Sheet, line: Line, scores: Sequence[str], more: Mapping[str, Mapping[str, str]]) -> str:
    papers = [reported(sheet.about["paper"], line.system, score) for score in scores]
    paper = " / ".join("" if figure is None else f"{figure:.3f}" for figure in papers)
    tools = ", ".join(f"{name} {count}" for name, count in sorted(line.tools.items()))
    prepared = line.prepared
    cost = f"{prepared['calls']:.1f} calls, {prepared['seconds']:.1f} s" if prepared else ""
    cells = [
        line.system, rows_of(line), *(told(line.scores[score]) for score in scores), signed(line.ahead),
        *(column.get(line.system, "") for column in more.values()),
        f"{line.unreadable:.1%}", f"{line.calls:.2f}", f"{line.tokens:.0f}", f"{line.seconds:.2f}",
        *([f"{line.money:.6f}"] if line.money is not None else []), cost, tools, paper.strip(" /"),
    ]  # fmt: skip
    kind = ' class="ours"' if line.system == OURS else ""
    return f"<tr{kind}>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
