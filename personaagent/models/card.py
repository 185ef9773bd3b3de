"""What an endpoint's model can do: found once, kept in the data folder, read by turns, alignment and the doctor."""

from __future__ import annotations

import asyncio
import json
import os
import re
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from personaagent.errors import ContextTooLong, ModelError, ModelRefused

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


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


ROUTE_S: Final = 3.0  # that a route may take to tell the context size
OLLAMA_CONTEXT: Final = 4_096  # what Ollama gives a model that nobody gave more; what is beyond it is cut silently
TOOLS_S: Final = 20.0  # that the two questions about tools may take a turn that needs to know
_KEYS: Final = ("loaded_context_length", "max_model_len", "n_ctx", "context_window", "context_length",
                "max_context_length", "max_input_tokens")  # fmt: skip
QUIET: Final[Any] = {"tags": ["nostream"]}

# a question that needs no tool, where one invites itself, and one that cannot do without; few words, since a small
# model on a CPU reads forty tokens a second
ASSISTANT: Final = "You are the personal assistant of one user. Call a tool only where it is needed."
NEEDS_NONE: Final = "Suggest one name for a grey cat."
NEEDS_ONE: Final = "What is 48217 * 9133? Use the calculator."
ASKED: Final = [  # of all else, so that it is read once
    SystemMessage("You are the personal assistant of one user."),
    HumanMessage("Are you ready? If so, count to ten."),
]
BRIEFLY, AT_LENGTH = 16, 1_500  # tokens: what shows a call; what a model that thinks first may need
TOOLS: Final[list[dict[str, Any]]] = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": what,
            "parameters": {"type": "object", "properties": {argument: {"type": "string"}}},
        },
    }
    for name, what, argument in (
        ("calculator", "Work out an expression.", "expression"),
        ("recall", "Search what the user said before.", "query"),
    )
]
SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"ready": {"type": "string", "enum": ["yes", "no"]}},
    "required": ["ready"],
    "additionalProperties": False,
}


async def context_of(url: str, model: str, api_key: str) -> int | None:
    """The tokens that the endpoint says its model takes; None where it says nothing in time.

    Asked are ``/props`` (llama.cpp), ``/models`` (vLLM, LM Studio, OpenRouter and others) and Ollama's own routes.
    """
    import httpx

    parts = urlsplit(url)
    root = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    headers = {"Authorization": f"Bearer {api_key}"}
    async with httpx.AsyncClient(timeout=ROUTE_S, headers=headers, trust_env=parts.hostname != "127.0.0.1") as client:

        async def told(method: str, address: str, **body: Any) -> dict[str, Any]:
            try:
                reply = await client.request(method, address, json=body or None)
                value = reply.json() if reply.status_code == 200 else {}
            except (httpx.HTTPError, httpx.InvalidURL, ValueError, RecursionError):
                return {}
            return value if isinstance(value, dict) else {}

        props, models, loaded = await asyncio.gather(
            told("GET", f"{root}/props"), told("GET", f"{url.rstrip('/')}/models"), told("GET", f"{root}/api/ps")
        )
        if size := _number(_mapping(props.get("default_generation_settings")).get("n_ctx")):
            return size
        if size := _of_entries(models.get("data"), model):
            return size
        if "models" not in loaded:
            return None
        if size := _of_entries(loaded["models"], model):
            return size
        return _of_ollama(await told("POST", f"{root}/api/show", model=model))


async def tool_use(chat: BaseChatModel) -> ToolUse | None:
    """How the model calls tools, by two questions at most; None where it does not answer them now.

    One that calls a tool where none is needed is not asked the other, which shares the first one's beginning.
    """
    try:
        none = await _with_tools(chat, NEEDS_NONE, BRIEFLY)
        if _calls(none) or not none.text.strip():
            return "badly"
        one = await _with_tools(chat, NEEDS_ONE, 6 * BRIEFLY)
    except ModelRefused:
        return "none"
    except ModelError:
        return None
    return "well" if [call["name"] for call in one.tool_calls] == ["calculator"] else "badly"


async def _with_tools(chat: BaseChatModel, question: str, tokens: int) -> AIMessage:
    """The answer; one that was cut off before its first word, in its thinking, is given more room."""
    asked = [SystemMessage(ASSISTANT), HumanMessage(question)]
    bound = chat.bind_tools(TOOLS).bind(stream=False, max_tokens=tokens)
    reply: AIMessage = await bound.ainvoke(asked, config=QUIET)
    cut = reply.response_metadata.get("finish_reason") == "length"
    if cut and not _calls(reply) and not reply.text.strip():
        reply = await bound.bind(max_tokens=AT_LENGTH).ainvoke(asked, config=QUIET)
    return reply


def _calls(reply: AIMessage) -> bool:
    """Whether it is a call, or the beginning of one in whatever form."""
    named = any(tool["function"]["name"] in reply.text for tool in TOOLS)
    return bool(reply.tool_calls or reply.invalid_tool_calls or named)


async def look_at(chat: BaseChatModel, cards: Cards, key: str, seconds: float) -> Card:
    """Try everything that a turn, an alignment and an evaluation may ask of the model; what is not known in time stays.

    Raises ModelError where the plain question, as a turn asks it, fails.
    """
    ends = time.monotonic() + seconds
    with suppress(TimeoutError):
        await asyncio.wait_for(_speed(chat, cards, key), seconds)

    async def within(work: Callable[[], Awaitable[Mapping[str, Any]]]) -> None:
        left = ends - time.monotonic()
        if left > 0:
            try:
                cards.note(key, **await asyncio.wait_for(work(), left))
            except (TimeoutError, ModelError):
                return

    async def tools() -> Mapping[str, Any]:
        found = await tool_use(chat)
        refused = "tools" in cards.get(key).refused
        return {"tools": "none"} if refused else {} if found is None else {"tools": found}

    async def forms() -> Mapping[str, Any]:
        return {"schema": await _takes_schema(chat)}

    async def odds() -> Mapping[str, Any]:
        told = await _tells_logprobs(chat)
        refused = cards.get(key).refused
        return {"logprobs": told} if told else {"logprobs": False, "refused": refused | {"logprobs"}}

    await asyncio.gather(within(odds), within(forms), within(tools))
    return cards.get(key)


async def _speed(chat: BaseChatModel, cards: Cards, key: str) -> None:
    """A streamed answer, with all that a turn sends: system role, temperature, usage of the stream."""
    from personaagent.models.meter import metering

    began, first, thinks, tokens = time.monotonic(), 0.0, False, 0
    with metering() as meter:
        async for chunk in chat.bind(max_tokens=BRIEFLY).astream(ASKED, config=QUIET):
            first = first or time.monotonic()
            thinks = thinks or bool(chunk.additional_kwargs.get("reasoning_content"))
            tokens += bool(chunk.text)
    spent = max(time.monotonic() - (first or began), 1e-3)
    cards.note(key, tokens_per_s=round(max(tokens, meter.total.output_tokens) / spent, 1), thinks=thinks or tokens == 0)


async def _takes_schema(chat: BaseChatModel) -> bool:
    form = {"type": "json_schema", "json_schema": {"name": "ready", "schema": SCHEMA, "strict": True}}
    bound = chat.bind(stream=False, max_tokens=32, response_format=form)
    try:
        reply = await bound.ainvoke(ASKED, config=QUIET)
    except ModelRefused:
        return False
    return reply.text.replace(" ", "").replace("\n", "") in {'{"ready":"yes"}', '{"ready":"no"}'}


async def _tells_logprobs(chat: BaseChatModel) -> bool:
    bound = chat.bind(stream=False, logprobs=True, top_logprobs=5, max_tokens=1)
    try:
        reply = await bound.ainvoke(ASKED, config=QUIET)
    except ModelRefused:
        return False
    content = (reply.response_metadata.get("logprobs") or {}).get("content") or [{}]
    return bool(content[0].get("top_logprobs"))


def _of_entries(entries: object, model: str) -> int | None:
    """The context size in a list of models: that of the named one, or of the only one."""
    found = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    named = [e for e in found if model in (e.get("id"), e.get("model"), e.get("name"))] or found
    if len(named) != 1:
        return None
    for told in (named[0], _mapping(named[0].get("meta")), _mapping(named[0].get("top_provider"))):
        for key in _KEYS:
            if size := _number(told.get(key)):
                return size
    return None


def _of_ollama(shown: Mapping[str, Any]) -> int | None:
    """What Ollama will give the model when it loads it."""
    if "model_info" not in shown:
        return None
    for line in str(shown.get("parameters") or "").splitlines():
        name, _, value = line.strip().partition(" ")
        if name == "num_ctx" and value.strip().isdigit():
            return int(value)
    trained = [v for k, v in _mapping(shown["model_info"]).items() if str(k).endswith(".context_length")]
    return min([OLLAMA_CONTEXT, *(size for v in trained if (size := _number(v)))])


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: object) -> int | None:
    return value if type(value) is int and value >= 256 else None
