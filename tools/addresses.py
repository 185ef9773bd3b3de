"""Which addresses a call would reach, and which of them nobody but the model has named.

Whatever a model was told, by a memory or a page, can leave by an address that it writes: in the path, the query or the
host's name, or by how it is spelt. So a call goes out by itself only to an address, letter for letter, that the user
wrote in this turn or that a search returned in this thread, unasked; for any other the user is asked, each time, and a
simulation reaches none at all.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from personaagent.errors import EmptyQuery
from personaagent.turn import query_of

if TYPE_CHECKING:
    from langchain_core.messages import AnyMessage

_APART = re.compile(r"[\s<>\"'`|„“”«»]+")
_INNER = re.compile(r"[()\[\]{}]+")
_SCHEMED = re.compile(r"https?://[!-~]+", re.IGNORECASE)  # also in a script that sets no spaces
_HOST = r"(?:(?:[\w-]+\.)+[^\W\d_][\w-]+\.?|\d+(?:\.\d+){3}|\d{8,10}|0x[0-9a-f]+|\[[0-9a-f:.]+\]|localhost)"
_ADDRESS = re.compile(
    rf"[a-z][a-z0-9+.-]*://|^(?:https?|wss?|ftps?|file|data):|^//|^(?:[^\s/?#@]+@)?{_HOST}[:/?#]|^www\.\S",
    re.IGNORECASE,
)
_NAMED = re.compile(r"ur[il]s?\b|href|links?\b|host|domain|website|endpoint|webhook", re.IGNORECASE)  # of an argument
_WEB = ("https://", "http://")
_IGNORED = re.compile(r"[\x00-\x20]+")  # by whoever reads an address
_DOTS = str.maketrans("\u3002\uff0e\uff61\\", ".../")  # read as dots and slashes by some
MAX_FORMS = 8
_AROUND = ".,;:!?)]}*_"


def addresses_in(arguments: object, named: bool = False) -> list[str]:
    """The texts among a call's arguments that are, or hold, an address, at any depth, keys included.

    Whatever is ``named`` one, by its key, is taken for one.
    """
    if isinstance(arguments, str):
        return [arguments] if arguments and (named or _is_address(arguments)) else []
    if isinstance(arguments, Mapping):
        keys = addresses_in(list(map(str, arguments)))
        return keys + [
            found
            for key, value in arguments.items()
            for found in addresses_in(value, named or bool(_NAMED.search(str(key))))
        ]
    inner = arguments if isinstance(arguments, list | tuple | set) else ()
    return [found for value in inner for found in addresses_in(value, named)]


def known_addresses(messages: Sequence[AnyMessage], searches: Collection[str]) -> frozenset[str]:
    """What the user wrote in this turn and what tools of these names returned, each as ``same`` compares it.

    What a search was asked for is not what it found: an address among its words is none that it gave.
    """
    try:
        known = _spellings(query_of(messages))
    except EmptyQuery:
        known = set()
    from langchain_core.messages import AIMessage, ToolMessage

    asked = {
        c["id"]: json.dumps(c["args"], default=str) for m in messages if isinstance(m, AIMessage) for c in m.tool_calls
    }
    for message in messages:
        if isinstance(message, ToolMessage) and message.name in searches and message.status != "error":
            words = unquote(asked.get(message.tool_call_id, "")).lower()
            known |= {found for found in _spellings(message.text) if _core(found) not in words}
    return frozenset(known)


def same(address: str) -> str:
    """The address without the web's scheme and one slash at its end; all else of it counts, letter for letter."""
    for scheme in _WEB:
        address = address.removeprefix(scheme)
    return address.removesuffix("/")


def unknown_addresses(arguments: Mapping[str, Any], known: Collection[str]) -> list[str]:
    """The addresses among the arguments that are not among these."""
    return [found for found in addresses_in(arguments) if same(found) not in known]


def _core(address: str) -> str:
    return unquote(address).partition("#")[0].lower().strip(f"{_AROUND}/?&=")


def _is_address(text: str) -> bool:
    plain = unicodedata.normalize("NFKC", text).translate(_DOTS)
    return any(_ADDRESS.search(_IGNORED.sub("", form)) for form in (plain, unquote(unquote(plain)).translate(_DOTS)))


def _spellings(text: str) -> set[str]:
    """The addresses in a text as a call may write them: as they stand there, the host in small letters, no fragment."""
    found = set()
    for form in _written(text):
        whole = form if "://" in form else f"//{form}"
        try:
            parts = urlsplit(whole)
        except ValueError:
            continue
        lowered = whole.replace(parts.netloc, parts.netloc.lower(), 1).removeprefix("//")
        scheme, apart, rest = lowered.partition("://")
        lowered = f"{scheme.lower()}{apart}{rest}"
        found |= {same(one) for one in (form, lowered, lowered.partition("#")[0])}
    return found


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
