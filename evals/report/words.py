"""What a report says in words; the same sentences in HTML and Markdown."""

from __future__ import annotations

from statistics import median

from personaagent.evals.metrics import lower_is_better
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
