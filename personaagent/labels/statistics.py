"""What a user's labelled history says by counting: no model, nothing but labels that the user gave.

Each statement has a kind (``COUNTED``), so that a newer one replaces the older and nothing else.
Counts are weighted by recency, halving every ``half_life`` interactions of the task, so they follow a taste that turns.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from personaagent.labels.answers import number
from personaagent.rules import broken_rule
from personaagent.text import one_line
from personaagent.types import Clause, Fact, FactOperation, Interaction, Section, Turn

HALF_LIFE = 15.0
MIN_ROWS = 2  # labelled interactions of a task below which nothing is said
MAX_TASKS = 4  # the most recently used ones
MAX_LABELS = 5
LEAST_SHARE = 0.025  # of the weight; a label with less is not named
MAX_USED = 16  # labels named as those that the user uses
MAX_LABEL_CHARS = 40
HISTORY = 400  # newest labelled interactions that statistics are made of
EVIDENCE = 8  # newest interactions named per statement

STATISTICS = "statistics"  # the source of facts that are counted
TURNED = "turned"  # the kind of clauses that tell of a taste that turned
COUNTED = frozenset({TURNED, "habits", "tools", "signs", "contrast", "examples"})  # kinds of clauses
_STATISTIC = re.compile(
    r'^(?:Taste in "[^"]*" turned: |(?:Answers|Scores|Length of answers) in "|(?:Signs of|Between|Example of) "'
    r"|Tools (?:to prefer|of little help): )"
)
_SUBJECT = re.compile(r'^(?:Answers|Scores|Length of answers) in "([^"]*)"')


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled interaction of a task and how much it counts (1 for a newest, explicit one)."""

    interaction: Interaction
    label: str
    weight: float


def is_statistic(text: str) -> bool:
    """Whether a text has the form of what is counted, which no model may write as a fact."""
    return _STATISTIC.match(text) is not None


def by_task(history: Sequence[Interaction], half_life: float = HALF_LIFE) -> dict[str, list[Row]]:
    """The rows of each task, oldest first; the most recently used tasks, without rows whose label cannot be shown.

    ``history`` comes oldest first. The task's name is made safe to show; interactions without one share "general".
    """
    tasks: dict[str, list[Interaction]] = {}
    for interaction in reversed(history):
        if _countable(interaction):
            tasks.setdefault(task_name(interaction.task), []).append(interaction)
    newest = [task for task in tasks if broken_rule(task) is None][:MAX_TASKS]
    return {
        task: [
            Row(i, _shown(i.ground_truth or "", MAX_LABEL_CHARS), 0.5 ** (age / half_life) * _belief(i))
            for age, i in enumerate(tasks[task])
        ][::-1]
        for task in newest
    }


def task_name(task: str | None) -> str:
    """What a clause calls a task."""
    return _shown(task or "general", 60)


def label_weights(rows: Sequence[Row]) -> Counter[str]:
    """The weight of each label."""
    weights: Counter[str] = Counter()
    for row in rows:
        weights[row.label] += row.weight  # type: ignore[assignment]  # Counter is typed for int, and adds floats
    return weights


def is_closed(rows: Sequence[Row]) -> bool:
    """Whether the answers are labels: from a list of choices, or short and repeated."""
    if all(row.interaction.choices for row in rows):
        return True
    labels = {row.label for row in rows}
    return len(labels) <= len(rows) / 2 and all(
        len(row.interaction.ground_truth or "") <= MAX_LABEL_CHARS for row in rows
    )


def describe(history: Sequence[Interaction], half_life: float = HALF_LIFE) -> list[Clause]:
    """One statement a task: the usual labels or the usual scores; of free text none, its rules are in the edits."""
    told = (_habit(task, rows) for task, rows in by_task(history, half_life).items() if len(rows) >= MIN_ROWS)
    return [clause for clause in told if clause is not None]


def ranges(history: Sequence[Interaction], half_life: float = HALF_LIFE) -> list[Clause]:
    """What ``describe`` says, as clauses of a persona: of labels which ones the user uses at all, without their shares.

    How often each is right is in the vote (``personaagent.head``), and would count twice.
    """
    clauses = []
    for task, rows in by_task(history, half_life).items():
        habit = _habit(task, rows) if len(rows) >= MIN_ROWS else None
        weights = label_weights(rows)
        labels = sorted(label for label, weight in weights.items() if weight / weights.total() >= LEAST_SHARE)
        if habit is not None and is_closed(rows) and any(number(label) is None for label in labels):
            habit = replace(habit, text=f'Answers in "{task}", all that there were: {", ".join(labels[:MAX_USED])}.')
        clauses += [habit] if habit is not None else []
    return clauses


def statistic_facts(history: Sequence[Interaction], active: Sequence[Fact]) -> list[FactOperation]:
    """The operations that bring the statistical facts up to date; those of tasks not in ``history`` are left alone."""
    known = {match[1]: fact for fact in active if (match := _SUBJECT.match(fact.text)) and fact.source == STATISTICS}
    operations = []
    for clause in describe(history):
        match = _SUBJECT.match(clause.text)
        fact = known.get(match[1]) if match else None
        if fact is not None and fact.text == clause.text:
            continue
        operations.append(
            FactOperation(
                kind="supersede" if fact else "add",
                fact_id=fact.id if fact else None,
                text=clause.text,
                evidence=clause.evidence,
                confidence=round(len(clause.evidence) / (len(clause.evidence) + 2), 2),
                source=STATISTICS,
            )
        )
    return operations


def _habit(task: str, rows: Sequence[Row]) -> Clause | None:
    scores = [number(row.label) for row in rows]
    if all(score is not None for score in scores):
        return _scores(task, rows, [score for score in scores if score is not None])
    return _labels(task, rows) if is_closed(rows) else None


def _labels(task: str, rows: Sequence[Row]) -> Clause:
    weights = label_weights(rows)
    total = sum(weights.values())
    top = [label for label, weight in weights.most_common(MAX_LABELS) if weight / total >= LEAST_SHARE]
    # rounded to 5 %, or the statement would be another one after every label
    shares = ", ".join(f"{label} {max(5, 5 * round(20 * weights[label] / total))} %" for label in top)
    return Clause(
        text=f'Answers in "{task}": {shares} (recent ones weigh most).',
        evidence=_newest([row for row in rows if row.label in top]),
    )


def _scores(task: str, rows: Sequence[Row], scores: Sequence[float]) -> Clause:
    total = sum(row.weight for row in rows)
    mean = sum(row.weight * score for row, score in zip(rows, scores, strict=True)) / total
    spread = (sum(r.weight * (s - mean) ** 2 for r, s in zip(rows, scores, strict=True)) / total) ** 0.5
    usual = label_weights(rows).most_common(1)[0][0]
    text = f'Scores in "{task}": most often {usual}, mean {mean:.1f}, spread {spread:.1f} (recent ones weigh most).'
    return Clause(text=text, evidence=_newest(rows))


def _newest(rows: Sequence[Row]) -> tuple[str, ...]:
    return tuple(row.interaction.id for row in rows[-EVIDENCE:])


def _countable(interaction: Interaction) -> bool:
    truth = interaction.ground_truth
    if not truth or _belief(interaction) <= 0 or (interaction.choices and truth not in interaction.choices):
        return False
    return broken_rule(truth[:MAX_LABEL_CHARS]) is None


def _belief(interaction: Interaction) -> float:
    return interaction.truth_confidence if interaction.truth_confidence is not None else 1.0


def _shown(text: str, limit: int) -> str:
    return one_line(text, limit).replace('"', "'")


def turn_clause(task: str, rows: Sequence[Interaction]) -> Clause:
    """What says that only ``rows`` (oldest first, at least one) and what follows hold in the task of that name."""
    since = rows[0].created_at.astimezone(UTC)
    return Clause(
        text=f'Taste in "{task}" turned: answers from before {since:%Y-%m-%d %H:%M} UTC no longer hold.',
        evidence=tuple(row.id for row in rows[-EVIDENCE:]),
        kind=TURNED,
        turn=Turn(task, since),
    )


def turned_since(sections: Mapping[Section, Sequence[Clause]], task: str | None) -> datetime | None:
    """The moment from which on a persona holds the answers of a task to be true, or None where it tells of no turn."""
    turns = (clause.turn for clause in sections.get(Section.WHO, ()) if tells_of(task_name(task), clause))
    return next((turn.since for turn in turns if turn), None)


def tells_of(task: str, clause: Clause) -> bool:
    """Whether a clause says since when the answers in the task of that name hold."""
    return clause.turn is not None and clause.turn.task == task
