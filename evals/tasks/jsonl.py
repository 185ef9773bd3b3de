"""A user's own data: JSONL rows ``{"user", "query", "response"[, "created_at", "choices"]}``, oldest first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from personaagent.errors import BadRow, InputError
from personaagent.evals.tasks import Metric, Row, Task, json_lines

INSTRUCTIONS = "Answer as this user would."
START = datetime(2000, 1, 1, tzinfo=UTC)
MAX_LABELS = 50  # more different answers than this are free text


def task(path: Path, *, instructions: str = INSTRUCTIONS) -> Task:
    """The task over a file; raises BadRow, and InputError for a file without a row.

    The answer space is what the rows name as ``choices``; without any it is the set of all responses, when they are
    few and mostly repeat. Otherwise answers are free text, scored by ROUGE.
    """
    users: dict[str, list[Row]] = {}
    named: dict[str, None] = {}
    for number, row in json_lines(path, "user", "query", "response"):
        where = f"{path.name} line {number}"
        user, choices = str(row["user"]), _choices(row, where)
        named |= dict.fromkeys(choices)
        users.setdefault(user, []).append(
            Row(
                id=f"{user}-{len(users[user]) if user in users else 0}",
                user_id=user,
                query=str(row["query"]),
                truth=str(row["response"]).strip(),
                created_at=_time(row, where, number),
            )
        )
    if not users:
        raise InputError(f'{path} has no row: give lines like {{"user", "query", "response"}}')
    for rows in users.values():
        rows.sort(key=lambda row: row.created_at)
    labels = tuple(named) or _few([row.truth for rows in users.values() for row in rows])
    metric: Metric = "accuracy" if labels else "rouge"
    return Task(
        name=path.stem, instructions=instructions, choices=labels, metric=metric, users=users, may_be_shown=True
    )


def _choices(row: dict[str, Any], where: str) -> tuple[str, ...]:
    choices = row.get("choices") or []
    if not isinstance(choices, list) or not all(isinstance(choice, str) for choice in choices):
        raise BadRow(f"{where}: choices must be a list of texts")
    return tuple(choices)


def _time(row: dict[str, Any], where: str, number: int) -> datetime:
    told = row.get("created_at")
    if told is None:
        return START + timedelta(minutes=number)
    try:
        moment = datetime.fromisoformat(str(told))
    except ValueError as error:
        raise BadRow(f"{where}: created_at is {told!r}, not a time like 2026-01-31T12:00:00+00:00") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _few(truths: list[str]) -> tuple[str, ...]:
    labels = sorted(set(truths))
    return tuple(labels) if 2 <= len(labels) <= MAX_LABELS and len(labels) * 2 <= len(truths) else ()
