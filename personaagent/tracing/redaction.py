"""What a trace may tell: texts by the deployment's choice, the user's id never.

``full``    texts leave as they are.
``masked``  texts of a live turn leave with secrets, addresses and numbers masked; what is remembered (persona, pins,
            facts, recalled interactions, tool results, system prompts, every alignment) leaves as length and hash.
``none``    every text leaves as length and hash.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from functools import lru_cache
from typing import Any, Final, Literal
from uuid import UUID

from langchain_core.messages import BaseMessage
from pydantic import BaseModel

from personaagent.masking import mask_secrets
from personaagent.ownership import is_alignment_thread
from personaagent.telemetry import hashed_user, keyed_hash

Content = Literal["masked", "full", "none"]
MAX_DEPTH: Final = 40

# whose it is: never in clear; ``owner`` is a digest without a salt, which a list of user ids would undo
USER_KEYS: Final = frozenset({"user_id", "langgraph_auth_user_id", "identity", "display_name", "owner"})
DROPPED: Final = frozenset({"langgraph_auth_user", "langgraph_auth_permissions", "permissions"})
THREAD_KEYS: Final = frozenset({"thread_id", "session_id", "conversation_id"})
REMEMBERED: Final = frozenset(
    """persona pins profile recalled facts sections base incumbent teach judge simulations judged losses critiques
    candidates rejected committed interaction rolled_back recorded instructions brief""".split()  # noqa: SIM905
)
# names of things, not texts: they stay where they look like one
PLAIN: Final = frozenset(
    """id lc type role origin proposer status source truth_source outcome finish_reason model model_name model_provider
    object tool_call_id interaction_id interaction_ids run_id trace_id caused_by_runs graph_id assistant_id
    created_at valid_from valid_to before aligned_through labelled_at through evidence run_attempt _type
    graph user alignment caused_by""".split()  # noqa: SIM905
)
PLAIN_PREFIXES: Final = ("langgraph_", "ls_", "lc_", "checkpoint_")
_PLAIN: Final = re.compile(r"[\w.:/|+@-]{1,120}")

_FENCED = re.compile(r'(<data label="[^"]*">\n)(.*?)(\n</data>)', re.DOTALL)
_PERSONAL: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+"), "[masked: email]"),
    (re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"), "[masked: IBAN]"),
    (re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.])"), "[masked: IP address]"),
    (re.compile(r"(?<![\w.+/-])(?:\+|00)\d(?:[ ().-]{0,2}\d){6,14}(?!\w)"), "[masked: phone number]"),
    (re.compile(r"(?<![\w.+/-])\(?0\d{1,4}\)?[ /-](?:[ .-]?\d){5,10}(?!\w)"), "[masked: phone number]"),
    (re.compile(r"(?<![\w.+/-])\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}(?!\w)"), "[masked: phone number]"),
    (
        re.compile(
            r"((?i:\bmy name is|\bmy name's|\bcall me|\bich heiße|\bmein name ist|\bje m'appelle|\bme llamo)\s{1,3})"
            r"[^\W\d_][\w'-]{0,40}(?:\s[A-Z][\w'-]{0,40}){0,3}"
        ),
        r"\1[masked: name]",
    ),
)


def mask_text(text: str) -> str:
    """The text without secrets, email addresses, phone, card and account numbers, IPs, and names that introduce."""
    text = mask_secrets(text)
    for pattern, mark in _PERSONAL:
        text = pattern.sub(mark, text)
    return text


def digest(text: str) -> str:
    """Length and keyed hash in place of a text: equal texts can be told, nothing can be read."""
    return f"[{len(text)} characters, {keyed_hash(text)[:8]}]" if text.strip() else text


class Redaction:
    """What one run's values become on their way out. ``users``: ids in this trace; ``closed``: it tells no text."""

    def __init__(self, content: Content, users: Iterable[str] = (), *, closed: bool = False) -> None:
        self._content = content
        self._users = tuple(sorted({user for user in users if user}))
        self._closed = content == "none" or (closed and content == "masked")

    def value(self, value: Any, *, closed: bool = False) -> Any:
        """The value as JSON may carry it out; ``closed`` tells no text of it unless the content is ``full``."""
        return self._walk(value, "", self._closed or (closed and self._content != "full"), 0)

    def text(self, text: str, key: str = "") -> str:
        """One text by the rule of the run."""
        return self._leaf(text, key, self._closed)

    def metadata(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """A run's metadata, without what the server knows of whoever is signed in."""
        kept = {k: v for k, v in given.items() if k not in DROPPED and not k.startswith(("langgraph_auth", "x-"))}
        walked: dict[str, Any] = self._walk(kept, "", self._closed, 0)
        return walked

    def error(self, error: str) -> str:
        """An error's text; where no text may leave, the names of the exceptions in it."""
        if not self._closed:
            return self._leaf(error, "", False)
        return ", ".join(dict.fromkeys(re.findall(r"\b[A-Z]\w*(?:Error|Exception|Conflict|Interrupt)\b", error)))

    def _walk(self, value: Any, key: str, closed: bool, depth: int) -> Any:
        if depth > MAX_DEPTH:
            return "[too deep]"
        match value:
            case None | bool() | int() | float():
                return value
            case Enum():
                return self._walk(value.value, key, closed, depth + 1)
            case str():
                return self._leaf(value, key, closed)
            case datetime() | UUID():
                return self._scrubbed(str(value))
            case BaseMessage() | BaseModel():
                return self._walk(value.model_dump(), key, closed, depth + 1)
            case Mapping():
                return self._mapping(value, closed, depth)
            case list() | tuple() | set() | frozenset():
                return [self._walk(inner, key, closed, depth + 1) for inner in value]
            case _ if is_dataclass(type(value)):
                told = {field.name: getattr(value, field.name) for field in fields(value)}
                return self._mapping(told, closed, depth)
        return f"[{type(value).__name__}]"

    def _mapping(self, value: Mapping[Any, Any], closed: bool, depth: int) -> dict[str, Any]:
        closed = closed or (self._content == "masked" and _tells_memory(value))
        told: dict[str, Any] = {}
        for name, inner in value.items():
            if name in DROPPED:
                continue
            within = closed or (self._content == "masked" and name in REMEMBERED)
            label = str(name)
            plain = re.fullmatch(r"[\w.$-]{1,60}", label) is not None
            told[self._scrubbed(label) if plain or not within else digest(label)] = self._walk(
                inner, label, within, depth + 1
            )
        return told

    def _leaf(self, text: str, key: str, closed: bool) -> str:
        if key in USER_KEYS:
            return text if text.startswith("user:") else f"user:{hashed_user(text)}"
        if key in THREAD_KEYS:
            return text if _is_random(text) else f"thread:{keyed_hash(text)}"
        if self._content == "full" and not closed:
            return self._scrubbed(text)
        named = key in PLAIN or key.startswith(PLAIN_PREFIXES)
        if named and _PLAIN.fullmatch(text):
            return self._scrubbed(text)
        if closed:
            return digest(text)
        return self._scrubbed(mask_text(_FENCED.sub(lambda m: f"{m[1]}{digest(m[2])}{m[3]}", text)))

    def _scrubbed(self, text: str) -> str:
        if not self._users:
            return text
        return _users_in(self._users).sub(lambda match: f"user:{hashed_user(_as_known(match[0], self._users))}", text)


def _tells_memory(message: Mapping[Any, Any]) -> bool:
    """Whether a mapping is a message that holds what is remembered or was fetched: a system prompt, a tool's result."""
    kinds = {message.get("type"), message.get("role")}
    return "content" in message and bool(kinds & {"system", "developer", "tool"})


def _is_random(thread_id: str) -> bool:
    """Whether a thread id is a UUID that says nothing of its user; that of alignments is made of the user's id."""
    try:
        UUID(thread_id)
    except ValueError:
        return False
    return not is_alignment_thread(thread_id)


@lru_cache(maxsize=256)
def _users_in(users: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(users, key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)", re.IGNORECASE)


def _as_known(found: str, users: tuple[str, ...]) -> str:
    """The user's id as it is written, for one found in another case."""
    return next((user for user in users if user.casefold() == found.casefold()), found)
