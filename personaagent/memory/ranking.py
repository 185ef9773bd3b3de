"""What text stands for an interaction, and how found ones are ranked: fused score, age, near-duplicates.

``docs/memory.md`` gives the reasons and the measurements behind the choices made here.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from difflib import SequenceMatcher
from math import log

from personaagent.ports import Point, Vectors
from personaagent.types import Interaction, Recall

RECENCY_SHARE = 0.2  # of the score fades with age: one half-life costs about seven ranks, any age about fifteen
WORDS_COMPARED = 64  # longer queries are near-duplicates only when they are equal
WORDS_A_SLIP = 8  # one word in so many may be missing, added or misspelled
TYPO_RATIO = 0.75

_WORD = re.compile(r"\w+")
_FIRST_COMBINING = "\u0300"


def dense_text(interaction: Interaction) -> str:
    """What is embedded: the query alone, because a query is all there is when a memory is looked for."""
    return interaction.query


def lexical_text(interaction: Interaction) -> str:
    """What words are counted of: what the user said, query and ground truth; never an answer of the agent."""
    return f"{interaction.query}\n{interaction.ground_truth}" if interaction.ground_truth else interaction.query


def point_of(interaction: Interaction, vector: Vectors) -> Point:
    """The interaction as the index keeps it; ``vector`` is the embedded ``dense_text``."""
    return Point(
        id=interaction.id,
        user_id=interaction.user_id,
        vector=vector,
        text=lexical_text(interaction),
        created_at=interaction.created_at,
        task=interaction.task,
        thread_id=interaction.thread_id,
    )


def by_words(query: str, past: Sequence[Interaction]) -> list[Recall]:
    """Those that share words with the query, a rarer word weighing more: what a search is without an index."""
    asked = set(words_of(query))
    shared = [(interaction, asked.intersection(words_of(lexical_text(interaction)))) for interaction in past]
    seen = Counter(word for _, words in shared for word in words)
    weight = {word: log(1 + len(past) / times) for word, times in seen.items()}
    return [Recall(interaction=i, score=sum(weight[word] for word in words)) for i, words in shared if words]


def ranked(found: Sequence[Recall], k: int, half_life_days: float) -> list[Recall]:
    """The best k of one search's results by fused score and recency, near-duplicates sharing one place.

    Age counts from the newest of the results, never from the clock: so a simulation of a past turn ranks as the turn
    itself did, and a user who comes back after a year finds the memories in the order in which they were left.
    """
    if not found:
        return []
    newest = max(recall.interaction.created_at for recall in found)
    aged = [
        replace(recall, score=recall.score * recency(newest - recall.interaction.created_at, half_life_days))
        for recall in found
    ]
    aged.sort(key=lambda recall: (-recall.score, -recall.interaction.created_at.timestamp(), recall.interaction.id))
    return _collapsed(aged, k)


def recency(age: timedelta, half_life_days: float) -> float:
    """The factor on a score: 1 for no age, towards 0.8 for a great one; the fading part halves each half-life."""
    halvings: float = max(age, timedelta(0)) / timedelta(days=half_life_days)
    return 1.0 - RECENCY_SHARE + RECENCY_SHARE * float(0.5**halvings)


def _collapsed(best_first: Sequence[Recall], k: int) -> list[Recall]:
    """One recall a group of near-duplicates, in the place of the group's best.

    A labelled one stands for its group before an unlabelled one, since only a label tells anything about the user;
    among equals the best one does, which for the same words is the newest.
    """
    groups: list[tuple[Words, Recall]] = []
    for recall in best_first:
        full, labelled = len(groups) == k, _labelled(recall)
        if full and (not labelled or all(_labelled(chosen) for _, chosen in groups)):
            continue  # it can neither take a place nor stand for the one that has it
        words = Words.of(recall.interaction.query)
        same = (place for place, (known, _) in enumerate(groups) if same_question(known, words))
        place = next(same, None)
        if place is None:
            if not full:
                groups.append((words, recall))
        elif labelled and not _labelled(groups[place][1]):
            known, chosen = groups[place]
            groups[place] = known, replace(recall, score=chosen.score)
    return [recall for _, recall in groups]


def _labelled(recall: Recall) -> bool:
    return recall.interaction.ground_truth is not None


@dataclass(frozen=True, slots=True)
class Words:
    """A text's words, and which they are: every pair of results is compared, most differ in many words at once."""

    all: Sequence[str]
    known: frozenset[str]

    @classmethod
    def of(cls, text: str) -> Words:
        """The words of a text."""
        words = words_of(text)
        return cls(words, frozenset(words))


def words_of(text: str) -> list[str]:
    """The words as they are compared: no case, no accents, no punctuation."""
    if text.isascii():
        return _WORD.findall(text.casefold())
    folded = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text).casefold())
    plain = [char for char in folded if char < _FIRST_COMBINING or not unicodedata.combining(char)]
    return _WORD.findall("".join(plain))


def same_question(one: Words, other: Words) -> bool:
    """Whether two word sequences ask the same: equal but for one slip in eight words.

    A slip is a missing or added word or a typo. Another number or another word in place of one is no slip: a task's
    queries share a long template and differ in just that word.
    """
    if one.all == other.all:
        return bool(one.all)
    lengths = len(one.all), len(other.all)
    slips = min(lengths) // WORDS_A_SLIP
    if abs(lengths[0] - lengths[1]) > slips or slips == 0 or max(lengths) > WORDS_COMPARED:
        return False
    differing = one.known ^ other.known
    if len(differing) > 2 * slips or any(map(str.isdigit, "".join(differing))):
        return False
    found = 0
    for kind, a, b, c, d in SequenceMatcher(None, one.all, other.all, autojunk=False).get_opcodes():
        if kind == "equal":
            continue
        if kind == "replace" and not _typos(one.all[a:b], other.all[c:d]):
            return False
        found += max(b - a, d - c)
    return found <= slips


def _typos(one: Sequence[str], other: Sequence[str]) -> bool:
    return len(one) == len(other) and all(
        SequenceMatcher(None, a, b, autojunk=False).ratio() >= TYPO_RATIO for a, b in zip(one, other, strict=True)
    )
