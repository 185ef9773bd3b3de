"""The report as one HTML file: no script, no network, light and dark, readable on a phone. Every text is escaped."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files

from personaagent.evals.metrics import lower_is_better
from personaagent.evals.records import Answered, Prepared
from personaagent.evals.report.collect import OURS, Line, Sheet
from personaagent.evals.report.svg import Curve, across, bars, curve, within
from personaagent.evals.report.words import about, committed, extras, finding, reported, rows_of, signed, told

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


def drill_down(sheet: Sheet) -> str:
    """One folded block a user; empty for data that may not be shown."""
    if not sheet.about["may_be_shown"]:
        return "<p><small>The licence of this data keeps its rows out of reports.</small></p>"
    users = dict.fromkeys(row.user_id for rows in sheet.answers.values() for row in rows.values())
    return "<h3>User by user</h3>" + "".join(_user(sheet, user) for user in users)


def _user(sheet: Sheet, user: str) -> str:
    systems = [line.system for line in sheet.lines]
    keys = dict.fromkeys(k for rows in sheet.answers.values() for k, row in rows.items() if row.user_id == user)
    heads = "".join(f"<th>{escape(name)}</th>" for name in ("query", "truth", *systems))
    body = "".join(_drill_row([sheet.answers[name].get(key) for name in systems]) for key in keys)
    personas = "".join(
        _persona(name, sheet.users[name][user])
        for name in systems
        if name in sheet.users and user in sheet.users[name] and sheet.users[name][user].persona
    )
    return (
        f"<details><summary>{escape(user)} ({len(keys)} queries)</summary><div class='wide'><table><thead><tr>{heads}"
        f"</tr></thead><tbody>{body}</tbody></table></div>{_tools(sheet, user)}{personas}</details>"
    )


def _tools(sheet: Sheet, user: str) -> str:
    """How often each system called each tool for this user; empty where none was called."""
    told = []
    for line in sheet.lines:
        rows = [row for row in sheet.answers[line.system].values() if row.user_id == user]
        counts = Counter(tool for row in rows for tool in row.tools)
        if counts:
            shown = ", ".join(f"{tool} {count}" for tool, count in counts.most_common())
            told.append(f"{line.system}: {shown} in {len(rows)} queries")
    return f"<p><small>Tools called. {escape('; '.join(told))}</small></p>" if told else ""


def _drill_row(answers: list[Answered | None]) -> str:
    known = next(row for row in answers if row is not None)
    cells = "".join(_answer(row) for row in answers)
    return f"<tr><td class='text'>{escape(known.query)}</td><td>{escape(known.truth)}</td>{cells}</tr>"


def _answer(row: Answered | None) -> str:
    if row is None:
        return "<td>not run</td>"
    right = row.answer.strip() == row.truth.strip()
    mark = "✓" if right else "✗"
    tools = f"<br><small>{escape(', '.join(row.tools))}</small>" if row.tools else ""
    error = f"<br><small>{escape(row.error[:120])}</small>" if row.error else ""
    said = escape(row.answer[:300]) or "no answer"
    return f"<td class='{'right' if right else 'wrong'}'>{mark} {said}{tools}{error}</td>"


def _persona(system: str, user: Prepared) -> str:
    lines = []
    for line in difflib.ndiff(user.seed.splitlines(), user.persona.splitlines()):
        if line.startswith("?"):
            continue
        tag = {"+": "ins", "-": "del"}.get(line[:1], "span")
        text = escape(line) or "&nbsp;"
        lines.append(f"<{tag}>{text}</{tag}" + (">" if tag != "span" else ">\n"))
    shown = "".join(lines) if user.seed else escape(user.persona)
    outcome = f"<p><small>{escape(user.outcome)}</small></p>" if user.outcome else ""
    return f"<details><summary>Persona: {escape(system)}</summary>{outcome}<pre>{shown}</pre></details>"
