"""Where a taste has turned: older labels that the newest ones contradict are no longer counted.

Fading by age alone is slow when a taste turns at once: the old labels are many, the new ones few. So older labels are
asked to foretell the newest: where they do so clearly worse than the labels' own shares would, the user has changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from math import comb

from personaagent.labels.answers import bare
from personaagent.labels.drift import tells_of, turn_clause, turned_since
from personaagent.labels.statistics import MIN_ROWS, task_name
from personaagent.persona.proposers.words import words_in
from personaagent.types import Clause, Interaction, Section, Sections

WINDOWS = (5, 7, 9, 12, 16, 21, 28, 37, 49, 65, 86, 114)  # newest labels that may be of another taste
MIN_OLDER = 5  # labels that foretell
CHANCE = 0.04  # a contradiction as strong comes by luck no more often than this
CLEAR = 2 / 3  # of the rows with a word have one label, so that the word speaks for it


def since_turn(history: Sequence[Interaction], incumbent: Sections) -> tuple[list[Interaction], list[Clause]]:
    """Return what of the labelled ``history`` (oldest first) still holds, and a clause for each task that has turned.

    Tasks turn each for itself. A turn that the incumbent tells of stays until a later one is seen. Only labels that
    come back can be foretold, so free text never turns.
    """
    tasks: dict[str, list[Interaction]] = {}
    for interaction in history:
        tasks.setdefault(task_name(interaction.task), []).append(interaction)
    current: set[str] = set()
    clauses = []
    for name, all_rows in tasks.items():
        told = turned_since(incumbent, name)
        rows = [row for row in all_rows if told is None or row.created_at >= told]
        held = rows[-turned(rows) :] if rows else []
        current |= {row.id for row in held}
        if held and len(held) < len(rows):
            clauses.append(turn_clause(name, held))
        elif told is not None:
            clauses += filter(partial(tells_of, name), incumbent.get(Section.WHO, ()))
    return [interaction for interaction in history if interaction.id in current], clauses


def turned(rows: Sequence[Interaction]) -> int:
    """How many of a task's newest rows are of the taste that holds now; all of them where it has not turned."""
    labels = [bare(row.ground_truth or "") for row in rows]
    texts = [words_in(row.query) for row in rows]
    found, least = len(rows), CHANCE
    for window in WINDOWS:
        older = len(rows) - window
        if older < MIN_OLDER:
            break
        chance = _luck(texts[:older], labels[:older], texts[older:], labels[older:])
        if chance < least:
            found, least = window, chance
    return found


def _luck(
    texts: Sequence[set[str]], labels: Sequence[str], new_texts: Sequence[set[str]], new_labels: Sequence[str]
) -> float:
    """The probability that labels without any bearing on the words are foretold as badly as these; 1 for nothing."""
    spoken = _spoken(texts, labels)
    shares = Counter(new_labels)
    told = right = 0
    expected = 0.0
    for text, label in zip(new_texts, new_labels, strict=True):
        votes = Counter(spoken[word] for word in text if word in spoken).most_common(2)
        if not votes or (len(votes) == 2 and votes[0][1] == votes[1][1]):
            continue
        told += 1
        right += votes[0][0] == label
        expected += shares[votes[0][0]] / len(new_labels)
    if not told:
        return 1.0
    base = expected / told
    return float(sum(comb(told, n) * base**n * (1 - base) ** (told - n) for n in range(right + 1)))


def _spoken(texts: Sequence[set[str]], labels: Sequence[str]) -> dict[str, str]:
    """The label that each word speaks for, of words in several rows that clearly go with one."""
    counts: dict[str, Counter[str]] = {}
    for text, label in zip(texts, labels, strict=True):
        for word in text:
            counts.setdefault(word, Counter())[label] += 1
    tops = {word: (count.most_common(1)[0], count.total()) for word, count in counts.items()}
    return {word: label for word, ((label, n), total) in tops.items() if total >= MIN_ROWS and n >= CLEAR * total}
