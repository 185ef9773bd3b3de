"""Which addresses a call would reach, and which of them nobody but the model has named.

Whatever a model was told, by a memory or a page, can leave by an address that it writes: in the path, the query or the
host's name. So a call goes out by itself only to an address, letter for letter, that the user wrote in this turn or
that a search returned in this thread; for any other the user is asked, each time, and a simulation reaches none at all.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from personaagent.errors import EmptyQuery
from personaagent.turn import query_of

if TYPE_CHECKING:
    from langchain_core.messages import AnyMessage

_APART = re.compile(r"[\s<>\"'`|„“”«»]+")
_INNER = re.compile(r"[()\[\]{}]+")
_SCHEMED = re.compile(r"https?://[!-~]+", re.IGNORECASE)  # also in a script that sets no spaces
_HOST = r"(?:(?:[\w-]+\.)+[a-z][\w-]+|\d+(?:\.\d+){3})"
_ADDRESS = re.compile(rf"[a-z][a-z0-9+.-]*://|^(?:{_HOST}[:/?#]|www\.\S)", re.IGNORECASE)
_IGNORED = re.compile(r"[\x00-\x20]+")  # by whoever reads an address
MAX_FORMS = 8
_AROUND = ".,;:!?)]}*_"


def addresses_in(arguments: object) -> list[str]:
    """The texts among a call's arguments that are, or hold, an address; at any depth."""
    if isinstance(arguments, str):
        return [arguments] if _ADDRESS.search(_IGNORED.sub("", arguments)) else []
    inner = arguments.values() if isinstance(arguments, Mapping) else arguments if isinstance(arguments, list) else ()
    return [found for value in inner for found in addresses_in(value)]


def known_addresses(messages: Sequence[AnyMessage], searches: Collection[str]) -> frozenset[str]:
    """What the user wrote in this turn and what tools of these names returned, each as ``same`` compares it."""
    try:
        texts = [query_of(messages)]
    except EmptyQuery:
        texts = []
    from langchain_core.messages import ToolMessage

    texts += [m.text for m in messages if isinstance(m, ToolMessage) and m.name in searches and m.status != "error"]
    return frozenset(same(found) for text in texts for found in _written(text))


def same(address: str) -> str:
    """The address as it is asked for: without scheme, fragment and final slash, the host in small letters."""
    told = _IGNORED.sub("", address)
    try:
        parts = urlsplit(told if "://" in told else f"//{told}")
    except ValueError:
        return told
    path = parts.path.rstrip("/") + (f"?{parts.query}" if parts.query else "")
    return f"{parts.netloc.lower()}{path}"


def unknown_addresses(arguments: Mapping[str, Any], known: Collection[str]) -> list[str]:
    """The addresses among the arguments that are not among these."""
    return [found for found in addresses_in(arguments) if same(found) not in known]


def _written(text: str) -> set[str]:
    """What could be an address in a text, with and without what stands around it."""
    words = [word for word in _APART.split(text) if "." in word]
    pieces = {
        *words,
        *_SCHEMED.findall(text),
        *(piece for word in words for piece in _INNER.split(word) if "." in piece),
    }
    return {form for piece in pieces for form in _trimmed(piece)}


def _trimmed(piece: str) -> list[str]:
    """The piece, and what is left of it without one, two or more marks at its end."""
    forms = [piece, piece.lstrip(_AROUND)]
    while len(forms) < MAX_FORMS and forms[-1] and forms[-1][-1] in _AROUND:
        forms.append(forms[-1][:-1])
    return forms
