"""Curves: how the leading score moves with one number, all else equal, within a sheet or from sheet to sheet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from personaagent.errors import InputError
from personaagent.evals.report.collect import Sheet
from personaagent.evals.stats import Interval
from personaagent.evals.systems.registry import defaults, label, parse

ACROSS = {"history": "rows of history", "recall_k": "memories", "flip": "share of wrong truths"}
SAME = ("task", "data", "users", "limit", "embedder", "history", "recall_k", "flip", "turn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One score over one number; each line has its points by the number, ascending."""

    score: str
    axis: str
    lines: Mapping[str, Sequence[tuple[float, Interval]]]


def within(sheet: Sheet) -> list[Curve]:
    """A curve for every numeric argument in which at least two finished systems of the sheet differ alone."""
    found: dict[str, dict[str, dict[float, Interval]]] = {}
    specs = [(line, parsed) for line in sheet.lines if line.rows == line.planned and (parsed := _parsed(line.system))]
    varied: set[str] = set().union(*(arguments for _, (_, arguments) in specs))
    for line, (name, arguments) in specs:
        known = defaults(name)
        for key in sorted(varied & known.keys()):
            if isinstance(known[key], bool) or arguments.get("alignment") is False:
                continue
            rest = {k: v for k, v in arguments.items() if k != key}
            points = found.setdefault(key, {}).setdefault(label(name, rest), {})
            points[float(arguments.get(key, known[key]))] = line.scores[sheet.leading]
    return [
        Curve(score=sheet.leading, axis=key, lines={name: sorted(points.items()) for name, points in kept.items()})
        for key, lines in found.items()
        if (kept := {name: points for name, points in lines.items() if len(points) > 1})
    ]


def across(sheets: Sequence[Sheet]) -> Iterator[tuple[str, Curve]]:
    """Task and curve for every number in which sheets of the same data and model differ alone."""
    for key, axis in ACROSS.items():
        groups: dict[tuple[Any, ...], list[Sheet]] = {}
        for sheet in sheets:
            if _number(sheet, key) is not None:
                rest = (*(sheet.about.get(name) for name in SAME if name != key), sheet.about["models"]["agent"])
                groups.setdefault(rest, []).append(sheet)
        for group in groups.values():
            if len(group) > 1:
                yield group[0].about["task"], _over(group, key, axis)


def _over(group: Sequence[Sheet], key: str, axis: str) -> Curve:
    lines: dict[str, list[tuple[float, Interval]]] = {}
    for sheet in sorted(group, key=lambda sheet: _number(sheet, key) or 0.0):
        for line in sheet.lines:
            if line.rows == line.planned:
                point = (_number(sheet, key) or 0.0, line.scores[sheet.leading])
                lines.setdefault(line.system, []).append(point)
    return Curve(score=group[0].leading, axis=axis, lines=lines)


def _number(sheet: Sheet, key: str) -> float | None:
    value = sheet.about.get(key, 0.0 if key == "flip" else None)
    return None if value is None else float(value)


def _parsed(system: str) -> tuple[str, dict[str, Any]] | None:
    try:
        return parse(system)
    except InputError:  # recorded by a version that had other systems
        return None
