"""What a report says in words, the same in HTML and Markdown; its tables; and the paper's figures to stand beside."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from personaagent.evals.metrics import Score, lower_is_better, scores_of
from personaagent.evals.records import Prepared
from personaagent.evals.report.collect import OURS, Line, Sheet, commits
from personaagent.evals.stats import Interval


def told(figure: Interval) -> str:
    """A figure with its interval."""
    return f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"


def signed(figure: Interval | None) -> str:
    """A difference with its interval; empty without one."""
    return "" if figure is None else f"{figure.value:+.3f} [{figure.low:+.3f}, {figure.high:+.3f}]"


def rows_of(line: Line) -> str:
    """How many rows, and of how many where some are not finished."""
    return str(line.rows) if line.rows == line.planned else f"{line.rows} of {line.planned} rows"


def about(sheet: Sheet) -> str:
    """One line: what was run, on what."""
    said, around = sheet.about, sheet.surroundings
    model = f"model {said['models']['agent']}" + (" (embedded)" if said["embedded"] else "")
    limit = f", at most {said['limit']} test rows a user" if said["limit"] else ""
    start = f", history cut to {said['history']}" if said["history"] is not None else ""
    start += f", {said['flip']:.0%} of its truths made wrong" if said.get("flip") else ""
    start += ", taste turned half way" if said.get("turn") else ""
    changed = " with changes" if around["changed"] else ""
    return (
        f"{model}; embedder {said['embedder']}; {said['users']} users, {said['rows']} test rows{limit}{start}; "
        f"{said['recall_k']} memories; seed {said['seed']}; data {said['data']}; commit {around['commit']}{changed}; "
        f"{around['machine']}, Python {around['python']}; {around['began']}"
    )


def finding(sheet: Sheet) -> str:
    """Who leads, and whether PersonaAgent is ahead of the best other system beyond what chance explains."""
    score = sheet.leading
    lower = lower_is_better(score)

    def rank(line: Line) -> float:
        return line.scores[score].value * (1 if lower else -1)

    complete = [line for line in sheet.lines if line.rows == line.planned]
    open_ = [f"{line.system} ({rows_of(line)})" for line in sheet.lines if line.rows != line.planned]
    # a part of the rows is easier or harder than all of them: what is unfinished is compared with nothing
    note = f" Unfinished and not compared: {', '.join(open_)}." if open_ else ""
    if not complete:
        return f"No system has finished.{note}"
    best = min(complete, key=rank)
    said = f"{best.system} leads with {score} {told(best.scores[score])}.{note}"
    others = [line for line in complete if line.system.partition(":")[0] != OURS]
    if OURS not in {line.system for line in complete} or not others:
        return said
    rival = min(others, key=rank)
    assert rival.ahead is not None
    verdict = _verdict(rival.ahead, lower)
    return f"{said} PersonaAgent against {rival.system}, the best other system: {signed(rival.ahead)}, {verdict}."


def _verdict(ahead: Interval, lower: bool) -> str:
    above, below = ahead.low > 0, ahead.high < 0
    if not above and not below:
        return "not distinguishable at this number of rows"
    return "better" if below == lower else "worse"


def extras(sheet: Sheet) -> dict[str, dict[str, str]]:
    """Columns that only some tasks have: heading → system → cell."""
    found: dict[str, dict[str, str]] = {}
    for line in sheet.lines:
        cells = {
            "log-likelihood": told(line.likelihood) if line.likelihood else "",
            "PersonaAgent ahead (log-likelihood)": signed(line.likelihood_ahead),
            "PersonaAgent's cost lower by": _shares(line.lowered),
        }
        for heading, cell in cells.items():
            if cell:
                found.setdefault(heading, {})[line.system] = cell
    return found


def committed(sheet: Sheet) -> list[str]:
    """One sentence a system that aligns while the user edits: who got a persona of it, and after how many edits."""
    said = []
    for system, styled, controls in commits(sheet):
        got = [count for count in styled if count is not None]
        when = f", the median after {median(got):g} edits" if got else ""
        wrong = sum(count is not None for count in controls)
        said.append(
            f"{system}: {len(got)} of {len(styled)} users with a style have a committed persona{when}; "
            f"{wrong} of {len(controls)} controls."
        )
    return said


def _shares(figure: Interval | None) -> str:
    return "" if figure is None else f"{figure.value:.0%} [{figure.low:.0%}, {figure.high:.0%}]"


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


_TABLE: dict[str, dict[str, dict[str, float]]] = {
    "1": {
        "membank": {"accuracy": 0.862, "F1": 0.861},
        "persona_agent": {"accuracy": 0.919, "F1": 0.918},
        "persona_agent:alignment=off": {"accuracy": 0.894, "F1": 0.893},
        "persona_agent:persona=off": {"accuracy": 0.846, "F1": 0.855},
        "persona_agent:memory=off": {"accuracy": 0.821, "F1": 0.841},
        "persona_agent:action=off": {"accuracy": 0.764, "F1": 0.789},
    },
    "2M": {
        "no_personalization": {"accuracy": 0.387, "F1": 0.302},
        "react": {"accuracy": 0.450, "F1": 0.378},
        "membank": {"accuracy": 0.470, "F1": 0.391},
        "persona_agent": {"accuracy": 0.513, "F1": 0.424},
        "persona_agent:alignment=off": {"accuracy": 0.487, "F1": 0.403},
        "persona_agent:persona=off": {"accuracy": 0.463, "F1": 0.361},
        "persona_agent:memory=off": {"accuracy": 0.460, "F1": 0.365},
        "persona_agent:action=off": {"accuracy": 0.403, "F1": 0.329},
    },
    "2N": {
        "no_personalization": {"accuracy": 0.660, "F1": 0.386},
        "pag": {"accuracy": 0.768, "F1": 0.509},
        "react": {"accuracy": 0.639, "F1": 0.381},
        "membank": {"accuracy": 0.741, "F1": 0.456},
        "persona_agent": {"accuracy": 0.796, "F1": 0.532},
        "persona_agent:alignment=off": {"accuracy": 0.775, "F1": 0.502},
        "persona_agent:persona=off": {"accuracy": 0.769, "F1": 0.483},
        "persona_agent:memory=off": {"accuracy": 0.646, "F1": 0.388},
        "persona_agent:action=off": {"accuracy": 0.626, "F1": 0.375},
    },
    "3": {
        "no_personalization": {"MAE": 0.295, "RMSE": 0.590},
        "icl": {"MAE": 0.277, "RMSE": 0.543},
        "react": {"MAE": 0.313, "RMSE": 0.590},
        "membank": {"MAE": 0.321, "RMSE": 0.582},
        "persona_agent": {"MAE": 0.241, "RMSE": 0.509},
        "persona_agent:alignment=off": {"MAE": 0.259, "RMSE": 0.560},
        "persona_agent:persona=off": {"MAE": 0.277, "RMSE": 0.542},
        "persona_agent:memory=off": {"MAE": 0.348, "RMSE": 0.661},
        "persona_agent:action=off": {"MAE": 0.375, "RMSE": 0.756},
    },
}


def reported(column: str | None, system: str, score: str) -> float | None:
    """The paper's figure of a system, where the task is one of its columns and the figure is known."""
    return _TABLE.get(column or "", {}).get(system, {}).get(score)
