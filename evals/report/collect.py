"""From run records to the figures of a report: one sheet a task, data and model, one line a system."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from personaagent.errors import InputError
from personaagent.evals.metrics import Pair, log_likelihood, scores_of, unparsable
from personaagent.evals.records import Answered, Prepared, Records
from personaagent.evals.stats import Interval, interval, lowered, paired

OURS = "persona_agent"
FLOORS = ("majority", "last_label")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One system's figures. Costs are means over rows; preparation is a mean over users."""

    system: str
    rows: int
    planned: int
    scores: Mapping[str, Interval]
    ahead: Interval | None  # PersonaAgent minus this system, in the leading score, on the rows both answered
    likelihood: Interval | None  # mean log-likelihood of the truth, where every row has a probability
    likelihood_ahead: Interval | None  # PersonaAgent minus this system, where both have one
    lowered: Interval | None  # edits: by which share of this system's edit cost PersonaAgent's is lower
    unreadable: float
    errors: int
    calls: float
    tokens: float
    seconds: float
    money: float | None  # a query, by the given prices
    prepared: Mapping[str, float]
    tools: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """All systems on one task with one model."""

    about: Mapping[str, Any]
    surroundings: Mapping[str, Any]
    lines: Sequence[Line]
    answers: Mapping[str, Mapping[str, Answered]]  # system → row id → row
    users: Mapping[str, Mapping[str, Prepared]]  # system → user

    @property
    def leading(self) -> str:
        """The score that leads."""
        return next(iter(scores_of(self.about["metric"], self.about["choices"])))


@dataclass(frozen=True, slots=True)
class Prices:
    """Money for a million tokens, in whatever currency they were given in."""

    input: float
    output: float

    def of(self, row: Answered) -> float:
        """What a row's calls cost."""
        return (row.input_tokens * self.input + row.output_tokens * self.output) / 1e6


def prices_of(text: str) -> Prices:
    """Prices written as ``0.15,0.60``; raises InputError for anything else."""
    try:
        given, made = (float(part) for part in text.split(","))
        if not (0 <= given < float("inf") and 0 <= made < float("inf")):
            raise ValueError(text)
    except ValueError:
        raise InputError(f"--prices is {text!r}: give two numbers, such as 0.15,0.60") from None
    return Prices(given, made)


def sheets(runs: Sequence[Records], prices: Prices | None = None) -> list[Sheet]:
    """The runs by task, data, model and budget, in the order in which they are found."""
    groups: dict[tuple[Any, ...], list[Records]] = {}
    for run in runs:
        about = run.about()
        same = ("task", "data", "history", "recall_k", "limit", "users", "embedder", "flip", "turn")
        groups.setdefault((*(about.get(key) for key in same), about["models"]["agent"]), []).append(run)
    return [_sheet(group, prices) for group in groups.values()]


def _sheet(runs: Sequence[Records], prices: Prices | None) -> Sheet:
    about = runs[0].about()
    answers = {run.about()["system"]: run.rows() for run in runs}
    users = {run.about()["system"]: run.users() for run in runs}
    for name, rows in _floors(answers).items():
        answers.setdefault(name, rows)
    by_user = {system: _by_user(rows) for system, rows in answers.items()}
    lines = [_line(about, name, answers, users.get(name, {}), by_user, prices) for name in sorted(answers, key=_order)]
    return Sheet(
        about=about,
        surroundings=runs[0].surroundings(),
        lines=[line for line in lines if line.rows],
        answers=answers,
        users=users,
    )


def _line(
    about: Mapping[str, Any],
    system: str,
    answers: Mapping[str, Mapping[str, Answered]],
    users: Mapping[str, Prepared],
    by_user: Mapping[str, Mapping[str, Mapping[str, Pair]]],
    prices: Prices | None,
) -> Line:
    rows = answers[system]
    scores, seed = scores_of(about["metric"], about["choices"]), int(about["seed"])
    pairs = {user: list(found.values()) for user, found in by_user[system].items()}
    count, listed = max(1, len(rows)), list(rows.values())
    ahead = _ahead(about, system, answers, by_user)
    sure = {user: list(found.values()) for user, found in _likelihoods(rows).items()}
    return Line(
        system=system,
        rows=len(rows),
        planned=int(about["rows"]),
        scores={name: interval(pairs, score, seed=seed) for name, score in scores.items()},
        ahead=ahead.get("score"),
        likelihood=interval(sure, log_likelihood, seed=seed) if sure else None,
        likelihood_ahead=ahead.get("likelihood"),
        lowered=ahead.get("lowered"),
        unreadable=_unreadable(about, list(chain.from_iterable(pairs.values()))),
        errors=sum(row.error is not None for row in listed),
        calls=sum(row.calls for row in listed) / count,
        tokens=sum(row.input_tokens + row.output_tokens for row in listed) / count,
        seconds=sum(row.seconds for row in listed) / count,
        money=sum(map(prices.of, listed)) / count if prices else None,
        prepared=_prepared(list(users.values())),
        tools=Counter(tool for row in listed for tool in row.tools),
    )


def _ahead(
    about: Mapping[str, Any],
    system: str,
    answers: Mapping[str, Mapping[str, Answered]],
    by_user: Mapping[str, Mapping[str, Mapping[str, Pair]]],
) -> dict[str, Interval]:
    """How far PersonaAgent is ahead of another system, where both have finished."""
    ours, theirs = by_user.get(OURS, {}), by_user[system]
    finished = len(answers[system]) == int(about["rows"]) == sum(map(len, ours.values()))
    if system == OURS or not finished:
        return {}
    leading, seed = next(iter(scores_of(about["metric"], about["choices"]).values())), int(about["seed"])
    found = {"score": paired(ours, theirs, leading, seed=seed)}
    if (sure := _likelihoods(answers[system])) and (own := _likelihoods(answers.get(OURS, {}))):
        found["likelihood"] = paired(own, sure, log_likelihood, seed=seed)
    if about["metric"] == "edits":
        found["lowered"] = lowered(ours, theirs, leading, seed=seed)
    return found


def _likelihoods(rows: Mapping[str, Answered]) -> dict[str, dict[str, float]]:
    """The probabilities of the truths by user and row; empty where a row has none."""
    found: dict[str, dict[str, float]] = {}
    for key, row in rows.items():
        if row.p_truth is None:
            return {}
        found.setdefault(row.user_id, {})[key] = row.p_truth
    return found


def commits(sheet: Sheet) -> Iterator[tuple[str, list[int | None], list[int | None]]]:
    """Systems that align on the way: after how many labels each styled user, and each control, got a persona."""
    controls = set(sheet.about.get("controls") or ())
    for line in sheet.lines:
        told = sheet.users.get(line.system, {})
        if sheet.about["metric"] == "edits" and any(user.outcome for user in told.values()):
            after = {name: user.aligned_after for name, user in told.items()}
            styled = [count for name, count in after.items() if name not in controls]
            yield line.system, styled, [count for name, count in after.items() if name in controls]


def _unreadable(about: Mapping[str, Any], pairs: Sequence[Pair]) -> float:
    # a row's own choices are recorded only where the answer is one of them, so what is not is empty
    return unparsable(pairs, about["choices"])


def _prepared(users: Sequence[Prepared]) -> dict[str, float]:
    if not users:
        return {}
    return {
        "calls": sum(user.calls for user in users) / len(users),
        "tokens": sum(user.input_tokens + user.output_tokens for user in users) / len(users),
        "seconds": sum(user.seconds for user in users) / len(users),
    }


def _floors(answers: Mapping[str, Mapping[str, Answered]]) -> dict[str, dict[str, Answered]]:
    """The floors on the rows that were answered, for runs that did not have them among their systems."""
    found: dict[str, dict[str, Answered]] = {"majority": {}, "last_label": {}}
    for rows in answers.values():
        for key, row in rows.items():
            if row.majority or row.last:
                found["majority"][key] = _free(row, row.majority)
                found["last_label"][key] = _free(row, row.last)
    return found


def _free(row: Answered, text: str) -> Answered:
    return replace(
        row, answer=text, p_truth=None, seconds=0.0, calls=0, input_tokens=0, output_tokens=0, tools=(), error=None
    )


def _by_user(rows: Mapping[str, Answered]) -> dict[str, dict[str, Pair]]:
    found: dict[str, dict[str, Pair]] = {}
    for key, row in rows.items():
        found.setdefault(row.user_id, {})[key] = (row.answer, row.truth)
    return found


def _order(system: str) -> tuple[int, str]:
    order = (
        *FLOORS, "nearest_neighbour", "weighted_vote", "no_personalization", "icl", "rag", "pag", "cipher", "react",
        "membank", OURS,
    )  # fmt: skip
    name = system.partition(":")[0]
    # the whole agent stands last, below its ablations
    return (order.index(name) if name in order else len(order), "~" if system == OURS else system)
