"""User by user: query, truth, each system's answer, tools, persona and what alignment changed in it.

Only for data that may be shown; of other data a report has figures and nothing else.
"""

from __future__ import annotations

import difflib
from collections import Counter
from html import escape

from personaagent.evals.records import Answered, Prepared
from personaagent.evals.report.collect import Sheet


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
    body = "".join(_row([sheet.answers[name].get(key) for name in systems]) for key in keys)
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


def _row(answers: list[Answered | None]) -> str:
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
