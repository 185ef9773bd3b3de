"""The result as a Markdown table, floors beside every score."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from evals.metrics import Pair, absolute_errors, accuracy, interval, macro_f1, mae, rmse, unparsable
from evals.records import Answered
from evals.tasks import Task


def table(task: Task, rows: Sequence[Answered], systems: Sequence[str]) -> str:
    """One line a system: scores with a 95 % interval, unreadable answers, and what a query costs."""
    first, second = ("MAE", "RMSE") if task.metric == "mae" else ("accuracy", "macro F1")
    lines = [
        f"| system | rows | {first} (95 %) | {second} | unparsable | calls / query | tokens / query | s / query |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for system in systems:
        mine = [row for row in rows if row.system == system]
        if mine:
            lines.append(_line(task, system, mine))
    return "\n".join(lines)


def _line(task: Task, system: str, rows: Sequence[Answered]) -> str:
    pairs: list[Pair] = [(row.answer, row.truth) for row in rows]
    by_user: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        pair = (row.answer, row.truth)
        by_user[row.user_id].append(absolute_errors([pair])[0] if task.metric == "mae" else accuracy([pair]))
    low, high = interval(by_user)
    score = mae(pairs) if task.metric == "mae" else accuracy(pairs)
    other = rmse(pairs) if task.metric == "mae" else macro_f1(pairs, task.choices)
    count = len(rows)
    return (
        f"| {system} | {count} | {score:.3f} ({low:.2f}-{high:.2f}) | {other:.3f} "
        f"| {unparsable(pairs, task.choices):.1%} | {sum(r.calls for r in rows) / count:.2f} "
        f"| {sum(r.input_tokens + r.output_tokens for r in rows) / count:.0f} "
        f"| {sum(r.seconds for r in rows) / count:.2f} |"
    )
