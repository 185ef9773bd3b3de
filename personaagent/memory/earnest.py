"""Whether what a user said can bear a fact about the user: of themselves, and in earnest (by rules, four languages)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from personaagent.memory.own_words import own_words
from personaagent.text import skeleton

_SUPPOSED = re.compile(
    r"\b(?:suppose|supposing|imagine|pretend|hypothetically|let's say|if i were|what if|angenommen|stell dir vor|"
    r"wenn ich \w+ ware|supposons|imaginons|si j'etais|supongamos|imagina|si (?:yo )?fuera)\b"
)
_JOKE = re.compile(r"\b(?:just kidding|kidding|joke|haha\w*|lol|scherz|spass|blague|je plaisante|broma|jaja\w*)\b")
_TASK = re.compile(
    r"^(?:please )?(?:translate|write|rephrase|proofread|summari[sz]e|correct this|ubersetze|schreib|traduis|ecris|"
    r"traduce|escribe)\b"
)
_OTHERS = (
    r"wife|husband|partner|son|daughter|mother|mum|mom|father|dad|brother|sister|friend|boss|colleague|neighbou?r|"
    r"frau|mann|sohn|tochter|mutter|vater|bruder|schwester|freund\w*|chef\w*|femme|mari|fils|fille|mere|pere|frere|soeur|"
    r"amie?|esposa|marido|hij[oa]|madre|padre|herman[oa]|amig[oa]|jefe"
)
_ANOTHER = re.compile(rf"^\W*(?:my|meine?|mon|ma|mi) (?:\w+ )?(?P<who>{_OTHERS})\b(?!'s (?:name|birthday))")
_QUOTED = re.compile(r"[\"“«„].+?[\"”»“]")
_FIRST = re.compile(r"\b(?:i|i'm|i've|me|my|mine|ich|mir|mich|meine?\w*|je|j'\w+|moi|mon|ma|mes|yo|mi|mis|me)\b")

_I = re.compile(r"\b(?:i|i'm|i've|my|ich|mir|mich|meine?\w*|je|j'\w+|mon|ma|mes|yo|soy|tengo|estoy|mi|mis)\b")
_ASKS = re.compile(
    r"^\W*(?:(?:and|so|please|und|et|y) )?(?:what|which|who|how|when|where|why|can|could|should|shall|may|do|does|did|"
    r"is|are|am|will|would|was|wann|wo|wie|wer|welche\w*|warum|kann|soll\w*|darf|quel\w*|quoi|comment|quand|pourquoi|"
    r"est-ce|puis|peux|dois|que|cual\w*|como|cuando|donde|por que|puedo|debo)\b"
)
_OF_TALK = re.compile(r"\b(?:i (?:meant?|said|asked|see)|ich (?:meinte|sagte)|je voulais dire|quise decir)\b")
_SENTENCE = re.compile(r"[^.!?\n]+[.!?]*")
TOLD_CHARS = 500  # of a message; what is longer is pasted


def tells(message: str) -> bool:
    """Whether a message says something of the user rather than only asking: "I'm vegetarian. What shall I cook?"."""
    sentences = (skeleton(found[0]) for found in _SENTENCE.finditer(own_words(message[:TOLD_CHARS])))
    return any(
        _I.search(_QUOTED.sub(" ", said))
        and not (said.endswith("?") or _ASKS.match(said) or _OF_TALK.search(said) or _in_play(said))
        for said in sentences
    )


def bears(fact: str, said: Iterable[str]) -> bool:
    """Whether at least one of the sentences that a fact stands on is about the user and meant in earnest.

    A fact that names the person whom a sentence is about ("The user's wife loves jazz.") may stand on it.
    """
    told = skeleton(fact)
    return any(_bears(told, skeleton(sentence)) for sentence in said)


def of_oneself(text: str) -> bool:
    """Whether somebody speaks of themselves in it."""
    return _FIRST.search(skeleton(text)) is not None


def _bears(fact: str, sentence: str) -> bool:
    outside = _QUOTED.sub(" ", sentence)
    if _in_play(sentence):
        return False
    if outside != sentence and not _FIRST.search(outside):
        return False  # all that could be the user's is a quotation
    another = _ANOTHER.match(outside)
    return another is None or another["who"] in fact


def _in_play(sentence: str) -> bool:
    """Supposed, joked, or to be worked on: whatever it says, it does not say it of the user."""
    return bool(_SUPPOSED.search(sentence) or _JOKE.search(sentence) or _TASK.match(sentence))
