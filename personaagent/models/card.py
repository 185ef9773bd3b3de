"""What an endpoint's model can do: found once, kept in the data folder, read by turns, alignment and the doctor."""

from __future__ import annotations

import asyncio
import json
import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from personaagent.errors import ContextTooLong, ModelRefused

CONTEXT_UNKNOWN: Final = 8_192  # tokens that are counted on where nobody says how many a model takes
NAME: Final = "endpoints.json"
READ_CHARS: Final = 2_000  # of a refusal
ToolUse = Literal["well", "badly", "none"]

# what a request can be made without; asked once more, the endpoint answers
SPARED: Final = frozenset(
    {
        "temperature",
        "stream",
        "stream_options",
        "max_completion_tokens",
        "tools",
        "system",
        "parallel_tool_calls",
        "tool_choice",
    }
)
# what the caller asks for in another way
FORMS: Final = frozenset({"response_format", "logprobs"})
# what differs from call to call, so that one refusal need not be about all of them
VARYING: Final = FORMS | {"tools", "stream"}

_NAMES: Final = (
    ("temperature", r"\btemperature\b"),
    ("stream_options", r"\bstream_options\b|\binclude_usage\b"),
    ("stream", r"\bstream(?:ing)?\b"),
    ("max_completion_tokens", r"\bmax_completion_tokens\b"),
    ("response_format", r"\bresponse_format\b|\bjson_schema\b|structured output|json mode"),
    ("logprobs", r"\b(?:top_)?logprobs\b|log.?probabilities"),
    ("parallel_tool_calls", r"\bparallel_tool_calls\b"),
    (
        "system",
        r"\bsystem (?:role|message|instruction|prompt|field)|\bdeveloper\b|\broles?\b.{0,60}\bsystem\b|\'system\' role"
        r"|\bonly.{0,20}\buser and assistant\b",
    ),
    ("tools", r"\btools?\b|\btool_choice\b|tool use|function.?call"),
)
_REFUSES: Final = re.compile(
    r"support|not (?:allowed|permitted|available|implemented|enabled|accepted)|unavailable|enabled only|unknown"
    r"|unrecogni[sz]ed|unexpected|extra (?:inputs|fields)|requires? --|to be set|invalid param|verified to stream"
    r"|不支持",
    re.IGNORECASE,
)
_TOO_LONG: Final = re.compile(
    r"context.{0,12}(?:length|size|window|limit)|maximum (?:context|prompt|sequence)|exceed_context"
    r"|too (?:long|many tokens)|(?:request|prompt|input) (?:is )?too large|(?:input|prompt) length"
    r"|(?:prompt|input|request).{0,40}exceeds?|exceeds?.{0,60}(?:tokens|n_ctx|context)|n_ctx|max_model_len"
    r"|inputs.{0,30}must (?:be|have) (?:<|less)|reduce (?:the|your) (?:length|message)",
    re.IGNORECASE,
)
_LIMITS: Final = (
    re.compile(
        r"(?:maximum|max)[\w ]{0,24}(?:context|input|prompt|sequence|model)[\w ]{0,16}?(?:is|of|:|=)?\s*([\d,]{3,})"
    ),
    re.compile(
        r"(?:context (?:size|length|window|limit)|n_ctx|max_model_len|limit)\W{0,6}(?:of|is)?\W{0,3}([\d,]{3,})"
    ),
    re.compile(r"(?:max|maximum|allowed)\b[a-z ]{0,30}\W{0,3}([\d,]{3,})"),
    re.compile(r"([\d,]{3,}) (?:tokens )?maximum|<= ([\d,]{3,})|length should be \[\d+, ?(\d{3,})\]"),
    re.compile(r"(?:>|exceeds?|than|of|at most)(?!ed by)\D{0,40}?([\d,]{3,}) (?:tokens )?(?:maximum|context|limit)?"),
)
_IN_TOKENS: Final = re.compile(r"token|context|n_ctx|model_len", re.IGNORECASE)
_IN_OTHERS: Final = re.compile(r"\b(?:strings?|char(?:acter)?s?|bytes?|[kmg]i?b|arrays?)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One model behind one endpoint. None: not found out."""

    context: int | None = None  # tokens of prompt and answer together
    context_from: str = ""  # setting | endpoint | refusal
    refused: frozenset[str] = frozenset()  # parameters that a request goes without
    tools: ToolUse | None = None
    logprobs: bool | None = None
    schema: bool | None = None
    thinks: bool | None = None
    tokens_per_s: float | None = None

    @property
    def window(self) -> int:
        """Tokens to count on."""
        return self.context or CONTEXT_UNKNOWN


class Cards:
    """The cards of this data folder, one a line of endpoint and model. A folder that cannot be written keeps none."""

    def __init__(self, home: Path) -> None:
        self._path = home / NAME
        self._lock = threading.Lock()
        self._known: dict[str, Card] | None = None
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="cards")

    def get(self, key: str) -> Card:
        """The card of an endpoint's model; an empty one where nothing is known."""
        with self._lock:
            return self._all().get(key, Card())

    def note(self, key: str, **found: Any) -> Card:
        """Keep what was found out, on disk at once or, in an event loop, a moment later; returns the card."""
        with self._lock:
            known = self._all()
            before = known.get(key, Card())
            known[key] = card = replace(before, **found)
            if card != before:
                self._keep(dict(known))
            return card

    def refuse(self, key: str, parameter: str) -> None:
        """Keep that a request goes without a parameter."""
        self.note(key, refused=self.get(key).refused | {parameter})

    def _all(self) -> dict[str, Card]:
        if self._known is None:
            self._known = _read(self._path)
        return self._known

    def settle(self) -> None:
        """Wait until all that was noted is on disk; blocks."""
        self._writer.submit(lambda: None).result()

    def _keep(self, known: dict[str, Card]) -> None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            self._write(known)
        else:  # which may not wait for a file
            self._writer.submit(self._write, known)

    def _write(self, known: dict[str, Card]) -> None:
        told = {key: {**asdict(card), "refused": sorted(card.refused)} for key, card in known.items()}
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            part = self._path.with_suffix(f".{os.getpid()}")
            part.write_text(json.dumps(told, indent=1), encoding="utf-8")
            part.replace(self._path)
        except OSError:
            return  # it is found out again


def _read(path: Path) -> dict[str, Card]:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return {key: Card(**{**card, "refused": frozenset(card["refused"])}) for key, card in told.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def refusal(message: str, body: object, param: str | None) -> ModelRefused:
    """The error for a refused request: too long, or with the parameter that it is about, where it names one.

    ``body`` is all that the endpoint said, ``param`` the parameter that it named by itself. What is the same in every
    request need only be named: a request without it shows whether that was it (``VARYING`` has the others).
    """
    said = str(_without_echo(body))[:READ_CHARS]
    if (param or "") != "tools" and _TOO_LONG.search(said) and param not in SPARED | FORMS:
        counts_tokens = _IN_TOKENS.search(said) is not None or _IN_OTHERS.search(said) is None
        return ContextTooLong(message, limit_in(said) if counts_tokens else None, of_context=counts_tokens)
    named = f"{param or ''} {said}"
    worded = _REFUSES.search(said) is not None
    for name, pattern in _NAMES:
        if (worded or name not in VARYING) and re.search(pattern, named, re.IGNORECASE | re.ASCII):
            return ModelRefused(message, parameter=name)
    return ModelRefused(message)


def _without_echo(body: object) -> object:
    """What an endpoint said, less what it was sent: validators give that back under ``input``."""
    if isinstance(body, dict):
        return {key: _without_echo(value) for key, value in body.items() if key != "input"}
    return [_without_echo(value) for value in body] if isinstance(body, list) else body


def limit_in(said: str) -> int | None:
    """The tokens that a refusal names as the most, None where it names none."""
    structured = re.search(r"['\"]?n_ctx['\"]?\s*[:=]\s*(\d+)", said)
    if structured:
        return int(structured[1])
    for pattern in _LIMITS:
        if found := pattern.search(said.lower()):
            limit = int(next(filter(None, found.groups())).replace(",", ""))
            if limit >= 256:
                return limit
    return None
