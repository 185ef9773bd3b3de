"""What tells a user's labels apart, as clauses: words that speak for a label, confused labels, telling examples.

All is counted over the user's own labelled interactions, weighted by recency and belief (``statistics.Row``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import log, sqrt

from personaagent.labels.answers import bare
from personaagent.labels.statistics import EVIDENCE, MIN_ROWS, Row, label_weights
from personaagent.persona.proposers.words import words_in
from personaagent.rules import broken_rule
from personaagent.text import one_line
from personaagent.types import Clause, Simulation

SIGNS = 12  # words a label
LABELS = 4  # labels of a task that get signs
PAIRS = 3  # pairs of labels of a task that are held against each other
LABELS_SHOWN = 5  # labels of a task that get examples
EXAMPLES = 2  # of a label
EXAMPLE_CHARS = 70
MIN_ODDS = log(2)  # a sign is at least twice as common with its label as without


def sign_clauses(task: str, rows: Sequence[Row]) -> list[Clause]:
    """One clause a common label: the words whose log-odds speak most for it, with the newest rows that have them."""
    clauses = []
    for label, _ in label_weights(rows).most_common(LABELS):
        inside, outside = _sides(rows, label)
        if len(inside) >= MIN_ROWS and outside and (telling := _telling(inside, outside)):
            text = f'Signs of "{label}" in "{task}": {", ".join(telling)}.'
            clauses.append(Clause(text=text, evidence=_with(inside, telling)))
    return clauses


def contrast_clauses(task: str, rows: Sequence[Row], simulations: Sequence[Simulation]) -> list[Clause]:
    """One clause a pair of labels: how often the user chose each, and the words that decide between the two.

    The pairs are those that the incumbent confused, the most often confused first, and then the two commonest labels.
    """
    weights = label_weights(rows)
    clauses = []
    for wanted, given in _confused(rows, weights, simulations)[:PAIRS]:
        mine, other = ([row for row in rows if row.label == label] for label in (wanted, given))
        share = 100 * weights[wanted] / (weights[wanted] + weights[given])
        # rounded to 10 %, or the clause would be another one after every label
        parts = [f'"{wanted}" {10 * round(share / 10)} %, "{given}" {100 - 10 * round(share / 10)} % of the time']
        evidence = [row.interaction.id for row in [*other, *mine][-EVIDENCE:]]
        for label, inside, outside in ((wanted, mine, other), (given, other, mine)):
            if telling := _telling(inside, outside) if outside else []:
                parts.append(f'"{label}" for {", ".join(telling)}')
        text = f'Between "{wanted}" and "{given}" in "{task}": {"; ".join(parts)}.'
        clauses.append(Clause(text=text, evidence=tuple(evidence)))
    return clauses


def example_clauses(task: str, rows: Sequence[Row], simulations: Sequence[Simulation]) -> list[Clause]:
    """One clause a common label: how questions begin that the user gave it to.

    First one that the incumbent got wrong, then the most typical: a question whose words speak for its label, newer
    ones before older.
    """
    missed = {s.interaction_id for s in simulations if s.loss > 0 and s.error is None}
    clauses = []
    for label, _ in label_weights(rows).most_common(LABELS_SHOWN):
        typical = _typical(rows, label)
        wrong = [row for row in typical if row.interaction.id in missed][:1]
        chosen: dict[str, str] = {}
        for row in [*wrong, *typical]:
            excerpt = one_line(row.interaction.query.strip().partition("\n")[0], EXAMPLE_CHARS).replace('"', "'")
            if excerpt and broken_rule(row.interaction.query[:1_000]) is None:
                chosen.setdefault(excerpt, row.interaction.id)
        shown = dict(list(chosen.items())[:EXAMPLES])
        if shown:
            told = "; ".join(f'"{excerpt}"' for excerpt in shown)
            clauses.append(Clause(text=f'"{label}" in "{task}" was: {told}', evidence=tuple(shown.values())))
    return clauses


def _confused(
    rows: Sequence[Row], weights: Mapping[str, float], simulations: Iterable[Simulation]
) -> list[tuple[str, str]]:
    """Pairs (wanted, given) of the user's own labels."""
    labels = {bare(row.label): row.label for row in rows}
    mine = {row.interaction.id: row.label for row in rows}
    counted: Counter[tuple[str, str]] = Counter()
    for simulation in simulations:
        wanted, given = mine.get(simulation.interaction_id), labels.get(bare(simulation.actual))
        if wanted is not None and given is not None and wanted != given:
            counted[wanted, given] += 1
    commonest = sorted(weights, key=lambda label: -weights[label])[:2]
    pairs = [pair for pair, _ in counted.most_common()]
    if len(commonest) == 2:
        pairs.append((commonest[0], commonest[1]))
    return list({frozenset(pair): pair for pair in reversed(pairs)}.values())[::-1]


def _typical(rows: Sequence[Row], label: str) -> list[Row]:
    inside, outside = _sides(rows, label)
    signs = set(_telling(inside, outside, limit=50)) if outside else set()
    numbered = sorted(
        enumerate(inside), key=lambda pair: (len(signs & words_in(pair[1].interaction.query)), pair[0]), reverse=True
    )
    return [row for _, row in numbered]


def _telling(inside: Sequence[Row], outside: Sequence[Row], *, limit: int = SIGNS) -> list[str]:
    """The words of ``inside`` whose log-odds against ``outside`` are highest, among those that several rows share."""
    here, there = _frequencies(inside), _frequencies(outside)
    shared = Counter(word for row in inside for word in words_in(row.interaction.query))
    size_here, size_there = sum(row.weight for row in inside), sum(row.weight for row in outside)
    scores: dict[str, float] = {}
    for word, count in shared.items():
        odds = log((here[word] + 0.5) / (size_here + 1)) - log((there.get(word, 0) + 0.5) / (size_there + 1))
        if count >= MIN_ROWS and odds > MIN_ODDS and broken_rule(word) is None:
            scores[word] = odds * sqrt(count)
    return sorted(scores, key=lambda word: (-scores[word], word))[:limit]


def _sides(rows: Sequence[Row], label: str) -> tuple[list[Row], list[Row]]:
    return [row for row in rows if row.label == label], [row for row in rows if row.label != label]


def _with(rows: Sequence[Row], telling: Sequence[str]) -> tuple[str, ...]:
    found = [row.interaction.id for row in rows if words_in(row.interaction.query) & set(telling)]
    return tuple(found[-EVIDENCE:])


def _frequencies(rows: Sequence[Row]) -> dict[str, float]:
    found: dict[str, float] = {}
    for row in rows:
        for word in words_in(row.interaction.query):
            found[word] = found.get(word, 0.0) + row.weight
    return found
