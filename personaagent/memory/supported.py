"""Whether the words of a fact have any support in what the user said, where somebody else's words were read as well.

A model that read a foreign text may write down what it asks for, in other words or another language, and no list of
words sees that. What it can not do is to make the user have said it: of rows that hold more than the user's own words
(material to be labelled, a quotation, a pasted mail) a fact must, part by part, share a word with what is the user's
own in them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from personaagent.memory.earnest import of_oneself
from personaagent.text import CJK, own_words, skeleton
from personaagent.types import Interaction

MIN_LETTERS = 4  # of a word that tells something, and of a common beginning
TEMPLATE_WORDS = 3  # in a row, in two questions of a task: not said by the user, but pasted or the task's own

PART_WORDS = 3
SENTENCE_WORDS = 2

_WORD = re.compile(r"[^\W\d_]+")
_BETWEEN = re.compile(r"(?<=[.!?।])\s+|(?<=[。！？])\s*|\s*[,;，；、]\s*|\s+[–—-]\s+")  # noqa: RUF001  # as they are written
_ENDS = ".!?。！？।"  # noqa: RUF001  # as they are written
_UNSPACED = re.compile(rf"[{CJK}\u0e00-\u0e7f]")
_COMMON = frozenset(
    re.findall(
        r"\w+",
        "about after again also answer answers anything because been before being category choose does each ever every "
        "everything first from have having here into just label like likes more most much never only other over prefer "
        "prefers question questions said same says should some such than that their them then there these they this "
        "those through under used user users very want wants were what when where which while will with would your",
    )
)


def supported(fact: str, evidence: Sequence[Interaction]) -> bool:
    """Whether a fact may stand on these interactions: all is the user's own, or each part of it says some of what is.

    A wanted answer is the user's own where it is a choice, speaks of them, or says what another one says too.
    """
    if all(_own_only(row) for row in evidence):
        return True
    closed = [row for row in evidence if row.choices]
    chosen = _words(" ".join(row.ground_truth or "" for row in closed))  # a label may be short
    said = _repeated(closed) | _signs(" ".join(chosen)) | _said_freely([row for row in evidence if not row.choices])
    return all(_alike(_signs(part), said) or chosen & _words(part) - _COMMON for part in parts(fact))


def parts(text: str) -> list[str]:
    """What a text says, part by part; one or two words, or the one of a sentence, belong to the part before."""
    found: list[str] = []
    for part in _BETWEEN.split(text):
        if found and _length(part) < (SENTENCE_WORDS if found[-1][-1] in _ENDS else PART_WORDS):
            found[-1] += f", {part.strip()}"
        elif any(map(str.isalnum, part)):
            found.append(part.strip())
    return found


def _length(part: str) -> int:
    """How many words it has; of scripts without spaces, characters."""
    return sum(len(word) if _UNSPACED.search(word) else 1 for word in _WORD.findall(part))


def _own_only(row: Interaction) -> bool:
    return not row.ground_truth and _own(row) == " ".join(row.query.split())


def _own(row: Interaction) -> str:
    return own_words(row.query, shortest=1)


def _said_freely(free: Sequence[Interaction]) -> set[str]:
    """What is the user's own where an answer is free: their words, and of the answers what is said of them or twice."""
    answers = [(row.ground_truth or "", _signs(row.ground_truth or "")) for row in free]
    times = Counter(word for _, signs in answers for word in signs)
    own = [_signs(_own(row)) for row in free] + [signs for answer, signs in answers if of_oneself(answer)]
    return {word for word, count in times.items() if count > 1}.union(*own)


def _repeated(closed: Iterable[Interaction]) -> set[str]:
    """Words of several questions of a closed task, but not the text that is the same in two of them."""
    texts = [_WORD.findall(skeleton(_own(row))) for row in closed]
    runs = Counter(run for words in texts for run in set(_runs(words)))
    counted: Counter[str] = Counter()
    for words in texts:
        same = {word for run in _runs(words) if runs[run] > 1 for word in run}
        counted.update(_signs(" ".join(word for word in words if word not in same)))
    return {word for word, times in counted.items() if times > 1}


def _runs(words: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(words[at : at + TEMPLATE_WORDS]) for at in range(len(words) - TEMPLATE_WORDS + 1)]


def _words(text: str) -> set[str]:
    return set(_WORD.findall(skeleton(text)))


def _signs(text: str) -> set[str]:
    """Words that tell something; of scripts without spaces, each two characters in a row."""
    found = set()
    for word in _WORD.findall(skeleton(text)):
        if _UNSPACED.search(word):
            found |= {word[at : at + 2] for at in range(len(word) - 1)}
        elif len(word) >= MIN_LETTERS and word not in _COMMON:
            found.add(word)
    return found


def _alike(some: Iterable[str], others: Iterable[str]) -> bool:
    known = tuple(others)
    return any(one.startswith(other) or other.startswith(one) for one in some for other in known)
