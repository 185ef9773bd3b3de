"""Which texts speak of what the user names ("my divorce"): those that have all of its words, in any of their forms.

What is deleted is chosen by words alone, since a text that only means something alike may be another matter; that is
shown beside it, and stays. Stop words and stems are of the language that the naming words are of.
"""

from __future__ import annotations

import re
from typing import Final

from personaagent.errors import InputError
from personaagent.inputs import MAX_MATTER_CHARS
from personaagent.memory.index_common import stem
from personaagent.text import CJK, clean, skeleton
from personaagent.types import Interaction

LANGUAGES: Final = (
    "english", "german", "french", "spanish", "italian", "portuguese", "dutch", "russian", "swedish", "danish",
    "norwegian", "finnish", "hungarian", "romanian", "turkish", "greek",
)  # fmt: skip
_WORD = re.compile(r"[^\W_]+")
_JOINED = re.compile(rf"[{CJK}\u0590-\u06ff\u0e00-\u0e7f]")  # scripts that join words, or articles to them
# what the lists of stop words leave out
_MINE = re.compile(r"^(?:我的?|私の|僕の|俺の|내|제|나의)\s*|\bмо(?:ем|ей|их|его|ему|им|ю|я|е|и|й)\b")  # noqa: RUF001
_SCRIPTS: Final = {"russian": re.compile("[\u0400-\u04ff]"), "greek": re.compile("[\u0370-\u03ff]")}


class About:
    """The matter that ``text`` names. Raises InputError where it has no word that tells one matter from another."""

    def __init__(self, text: str) -> None:
        named = " ".join(clean(text).split())
        if not named or len(named) > MAX_MATTER_CHARS:
            raise InputError(f"what to forget is named in 1 to {MAX_MATTER_CHARS} characters, these are {len(named)}")
        words = _words(_MINE.sub("", _folded(named)))
        self._joined = frozenset(skeleton(word) for word in words if _JOINED.search(word))
        spaced = [word for word in words if not _JOINED.search(word)]
        self._language = _language(spaced)
        self._wanted = frozenset(term for word in spaced if (term := _term(self._language, word)))
        if not (self._joined or self._wanted):
            raise InputError(f"{named!r} has no word that tells what to forget: name the matter itself")
        self._terms: dict[str, int] = {}

    def __contains__(self, text: object) -> bool:
        """Whether the text has all of the words."""
        text = str(text)
        folded = skeleton(text) if self._joined else ""
        if not all(word in folded for word in self._joined):
            return False
        return not self._wanted or self._wanted <= {self._of(word) for word in set(_words(text))}

    def _of(self, word: str) -> int:
        if word not in self._terms:
            self._terms[word] = _term(self._language, word)
        return self._terms[word]


def names(message: str, matter: object) -> bool:
    """Whether the message names that matter."""
    try:
        return isinstance(matter, str) and message in About(matter)
    except InputError:
        return False


def _language(words: list[str]) -> str:
    """The language with the most stop words among them; not one that has all of them there where English has not.

    "son" alone is no French "his".
    """
    known = [name for name, script in _SCRIPTS.items() if script.search(" ".join(words))] or LANGUAGES
    told = {name: sum(_term(name, word) != 0 for word in words) for name in known}
    return min(known, key=lambda name: told[name] or (0 if name == known[0] else len(words) + 1))


def said(interaction: Interaction) -> str:
    """The user's own words in it."""
    words = interaction.query, interaction.ground_truth, interaction.comment
    return "\n".join(word for word in words if word)


def echoed(interaction: Interaction) -> str:
    """What else may repeat the user's words: the answers, and what tools were asked and told."""
    calls = [f"{trace.arguments} {trace.brief}" for trace in interaction.tools]
    return "\n".join([interaction.response or "", interaction.rejected or "", *calls])


def _folded(text: str) -> str:
    return text.casefold().replace("ё", "е")  # noqa: RUF001


def _words(text: str) -> list[str]:
    return _WORD.findall(_folded(text))


def _term(language: str, word: str) -> int:
    """The word's stem as a number, 0 of a stop word; a word with a digit has its own."""
    if any(map(str.isdigit, word)):
        return hash(word) or 1
    return stem(word, language)
