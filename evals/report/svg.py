"""What a report draws: SVG, curves of a score over one number, and the geometry of the learned personas."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from personaagent.errors import InputError
from personaagent.evals.report.collect import Sheet
from personaagent.evals.stats import Interval
from personaagent.evals.systems.registry import defaults, label, parse
from personaagent.ports import Vectors

BAR, LEFT, WIDTH = 26, 250, 680


def bars(figures: Sequence[tuple[str, Interval]], title: str, ours: str) -> str:
    """One horizontal bar a system with its interval."""
    top = max((figure.high for _, figure in figures), default=0.0) or 1.0
    scale = (WIDTH - LEFT - 60) / top
    height = BAR * len(figures) + 8
    parts = []
    for place, (name, figure) in enumerate(figures):
        y = place * BAR + 6
        middle, end = y + 8, LEFT + figure.value * scale
        kind = "bar ours" if name.partition(":")[0] == ours else "bar"
        low, high = LEFT + figure.low * scale, LEFT + figure.high * scale
        parts.append(
            f'<text x="{LEFT - 8}" y="{y + 12}" text-anchor="end">{escape(short(name))}</text>'
            f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{max(1.0, end - LEFT):.1f}" height="16" rx="2"/>'
            f'<path class="whisker" d="M{low:.1f} {middle}H{high:.1f}M{low:.1f} {y + 4}v8M{high:.1f} {y + 4}v8"/>'
            f'<text x="{max(end, high) + 6:.1f}" y="{y + 12}">{figure.value:.3f}</text>'
        )
    return _svg(WIDTH, height, title, "".join(parts))


def curve(lines: Mapping[str, Sequence[tuple[float, Interval]]], title: str, axis: str, ours: str) -> str:
    """Lines over a few numbers, which stand at equal distances, with the intervals as whiskers; names below."""
    all_points = list(chain.from_iterable(lines.values()))
    numbers = sorted({number for number, _ in all_points})
    top = max((figure.high for _, figure in all_points), default=0.0) or 1.0
    left, right, floor = 40, 430, 180
    step = (right - left - 40) / max(1, len(numbers) - 1)
    place = {number: left + 20 + step * index for index, number in enumerate(numbers)}

    def y(value: float) -> float:
        return floor - (floor - 20) * value / top

    parts = [f'<path class="axis" d="M{left} {y(0):.1f}H{right}M{left} {y(0):.1f}V{y(top):.1f}"/>']
    parts += [f'<text x="{x:.1f}" y="{floor + 16}" text-anchor="middle">{n:g}</text>' for n, x in place.items()]
    parts += [f'<text x="{left - 4}" y="{y(v) + 4:.1f}" text-anchor="end">{v:.2f}</text>' for v in (0.0, top)]
    parts.append(f'<text x="{(left + right) / 2}" y="{floor + 34}" text-anchor="middle">{escape(axis)}</text>')
    for index, (name, points) in enumerate(lines.items()):
        shift = 4.0 * (index - (len(lines) - 1) / 2)  # so that whiskers do not hide each other
        spots = [(place[n] + shift, y(one.low), y(one.value), y(one.high)) for n, one in points]
        kind = "line ours" if name.partition(":")[0] == ours else "line"
        dash = f' stroke-dasharray="{2 + 3 * index} 3"' if index else ""
        parts += _drawn(spots, kind, dash)
        row = floor + 54 + 17 * index
        parts.append(f'<path class="{kind}" d="M{left} {row - 4}h36"{dash}/>')
        parts.append(f'<text x="{left + 44}" y="{row}">{escape(short(name, 50))}</text>')
    return _svg(right + 10, floor + 46 + 17 * len(lines), title, "".join(parts))


def _drawn(spots: Sequence[tuple[float, float, float, float]], kind: str, dash: str) -> list[str]:
    """A line over the middles of the spots (x, low, middle, high), with a whisker and a dot for each."""
    road = " ".join(f"{x:.1f},{middle:.1f}" for x, _, middle, _ in spots)
    return [
        f'<polyline class="{kind}" points="{road}"{dash}/>',
        *(
            f'<path class="whisker" d="M{x:.1f} {low:.1f}V{high:.1f}"/>'
            f'<circle class="dot" cx="{x:.1f}" cy="{middle:.1f}" r="3"/>'
            for x, low, middle, high in spots
        ),
    ]


def heat(names: Sequence[str], values: Sequence[Sequence[float]], title: str) -> str:
    """A square of shares from 0 to 1."""
    cell, margin = 44, 120
    size = margin + cell * len(names)
    parts = []
    for row, name in enumerate(names):
        y = margin + row * cell
        parts.append(f'<text x="{margin - 6}" y="{y + 27}" text-anchor="end">{escape(short(name, 15))}</text>')
        turn = f"translate({margin + row * cell + 26} {margin - 6}) rotate(-50)"
        parts.append(f'<text transform="{turn}">{escape(short(name, 15))}</text>')
        for column, value in enumerate(values[row]):
            x = margin + column * cell
            parts.append(
                f'<rect class="cell" x="{x}" y="{y}" width="{cell - 2}" height="{cell - 2}" '
                f'fill-opacity="{0.08 + 0.72 * value:.2f}"/>'
                f'<text x="{x + 21}" y="{y + 26}" text-anchor="middle">{value:.2f}</text>'
            )
    return _svg(size + 40, size, title, "".join(parts))


def scatter(names: Sequence[str], points: NDArray[np.float64], title: str) -> str:
    """A map of named points."""
    low, high = points.min(axis=0), points.max(axis=0)
    span = np.where(high - low < 1e-9, 1.0, high - low)
    parts = []
    for name, point in zip(names, points, strict=True):
        x, y = 40 + 260 * float((point[0] - low[0]) / span[0]), 24 + 200 * float((point[1] - low[1]) / span[1])
        parts.append(f'<circle class="point" cx="{x:.1f}" cy="{y:.1f}" r="6"/>')
        parts.append(f'<text x="{x + 10:.1f}" y="{y + 4:.1f}">{escape(short(name, 18))}</text>')
    return _svg(440, 250, title, "".join(parts))


def short(name: str, most: int = 30) -> str:
    """A name that fits."""
    return name if len(name) <= most else name[: most - 1] + "…"


def _svg(width: int, height: int, title: str, inside: str) -> str:
    # on a phone a drawing scrolls rather than shrinking until nobody can read it
    style = f"max-width:{width}px;min-width:{0.8 * width:.0f}px"
    return (
        f'<div class="wide"><svg viewBox="0 0 {width} {height}" style="{style}" role="img" '
        f'aria-label="{escape(title, quote=True)}"><title>{escape(title)}</title>{inside}</svg></div>'
    )


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


_WORD = re.compile(r"\w{3,}")


def jaccard(texts: Sequence[str]) -> list[list[float]]:
    """The share of words that two personas have in common, for all pairs; 1 for two empty ones."""
    words = [set(_WORD.findall(text.lower())) for text in texts]
    return [[len(a & b) / len(a | b) if a | b else 1.0 for b in words] for a in words]


def plane(vectors: Vectors) -> NDArray[np.float64]:
    """The two principal components of the vectors, shape (n, 2); with a fixed sign, so that a map stays the same."""
    centred = vectors.astype(np.float64) - vectors.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    found = np.zeros((len(vectors), 2))
    for place, axis in enumerate(axes[:2]):
        sign = 1.0 if axis[int(np.argmax(np.abs(axis)))] >= 0 else -1.0
        found[:, place] = centred @ axis * sign
    return found
