"""Asking an endpoint what its model can do: its context size by the routes that servers have, the rest by trying."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from personaagent.errors import ModelError, ModelRefused
from personaagent.models.card import Card, Cards, ToolUse

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

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
