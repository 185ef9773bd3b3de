"""Model answers kept by the whole request, so that nothing is paid twice: a wrapper around any ``ports.Models``.

What a cached call cost when it was made is counted again on every active meter, and its seconds are handed to
``saved_seconds``: so the cost of a query reads the same with and without the cache.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, message_to_dict, messages_from_dict
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable

from personaagent.errors import SetupError
from personaagent.models.card import Card
from personaagent.models.meter import counting, metering
from personaagent.ports import Models, Role
from personaagent.types import Usage


class Saved:
    """Seconds that cached calls took when they were made, and how many calls those were."""

    seconds = 0.0
    calls = 0


_saved: ContextVar[Saved | None] = ContextVar("saved_seconds", default=None)


@contextmanager
def saved_seconds() -> Iterator[Saved]:
    """Collect what the cache saves within this context and the tasks started in it."""
    saved = Saved()
    token = _saved.set(saved)
    try:
        yield saved
    finally:
        _saved.reset(token)


class AnswerCache:
    """Answers by key in one SQLite file; opened at first use, safe between threads and processes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._opened: sqlite3.Connection | None = None

    async def get(self, key: str) -> dict[str, Any] | None:
        """The kept answer, or None."""
        return await asyncio.to_thread(self._get, key)

    async def put(self, key: str, value: Mapping[str, Any]) -> None:
        """Keep an answer; durable when it returns."""
        await asyncio.to_thread(self._put, key, json.dumps(value))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    def _connection(self) -> sqlite3.Connection:
        if self._opened is None:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                opened = sqlite3.connect(self._path, check_same_thread=False, timeout=30)
                opened.execute("PRAGMA journal_mode=WAL")
                opened.execute("CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
            except (sqlite3.Error, OSError) as error:
                raise SetupError(f"the answer cache {self._path} cannot be used ({error}): remove it") from error
            self._opened = opened
        return self._opened

    def _get(self, key: str) -> dict[str, Any] | None:
        with self._lock:
            found = self._connection().execute("SELECT value FROM answers WHERE key = ?", (key,)).fetchone()
        kept: dict[str, Any] | None = json.loads(found[0]) if found else None
        return kept

    def _put(self, key: str, value: str) -> None:
        with self._lock, self._connection() as opened:
            opened.execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", (key, value))


class CachedModels:
    """Implements ``ports.Models`` by another one, asked only for what is not kept yet. Failures are not kept.

    ``answer_tokens`` bounds what the agent answers, live and simulated; other roles are not bound by it.
    """

    def __init__(self, inner: Models, cache: AnswerCache, *, answer_tokens: int | None = None) -> None:
        self._inner = inner
        self._cache = cache
        self._bound = {"max_tokens": answer_tokens} if answer_tokens else {}
        self.embedded = inner.embedded
        self.tool_calling = inner.tool_calling

    def name(self, role: Role) -> str:
        """The model's name, for records."""
        return self._inner.name(role)

    async def card(self, role: Role) -> Card:
        """What the role's model can do."""
        return await self._inner.card(role)

    async def chat(self, role: Role) -> BaseChatModel:
        """The chat model of a role, behind the cache."""
        bound = self._bound if role in ("agent", "simulator") else {}
        return CachedChat(inner=await self._inner.chat(role), owner=self, role=role, bound=bound)

    async def choose(self, role: Role, messages: Sequence[BaseMessage], choices: Sequence[str]) -> str:
        """Ask for exactly one of ``choices``; raises ModelOutputInvalid for anything else."""
        ask = partial(self._inner.choose, role, messages, choices)
        return str(await self.kept("choose", role, messages, {"choices": list(choices)}, ask))

    async def probabilities(
        self, role: Role, messages: Sequence[BaseMessage], choices: Sequence[str]
    ) -> dict[str, float] | None:
        """How likely each of the choices is; None where the endpoint does not tell."""
        asked, ask = {"choices": list(choices)}, partial(self._inner.probabilities, role, messages, choices)
        found: dict[str, float] | None = await self.kept("probabilities", role, messages, asked, ask)
        return found

    async def structured(
        self, role: Role, messages: Sequence[BaseMessage], schema: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Ask for a JSON object of that JSON schema; raises ModelOutputInvalid when it is not of that form."""
        ask = partial(self._inner.structured, role, messages, schema)
        found: dict[str, Any] = await self.kept("structured", role, messages, {"schema": dict(schema)}, ask)
        return found

    async def close(self) -> None:
        """Close the connections of the running event loop, and the cache."""
        await self._inner.close()
        await asyncio.to_thread(self._cache.close)

    async def kept(
        self,
        kind: str,
        role: Role,
        messages: Sequence[BaseMessage],
        asked: Mapping[str, Any],
        ask: Callable[[], Awaitable[Any]],
    ) -> Any:
        """The kept answer to this very request, or what ``ask`` returns (JSON), kept from now on."""
        request = [kind, self.name(role), [_plain(message) for message in messages], asked]
        key = sha256(json.dumps(request, sort_keys=True, default=str).encode()).hexdigest()
        found = await self._cache.get(key)
        if found is not None:
            _recount(role, messages, found)
            return found["answer"]
        began = time.perf_counter()
        with metering() as meter:
            answer = await ask()
        cost = meter.total
        await self._cache.put(
            key,
            {
                "answer": answer,
                "usage": [cost.calls, cost.input_tokens, cost.output_tokens],
                "seconds": time.perf_counter() - began,
            },
        )
        return answer


class CachedChat(BaseChatModel):
    """A chat model behind the cache. It answers at once, so that live and simulated turns share what is kept."""

    inner: Any
    owner: Any
    role: Role
    bound: dict[str, Any] = {}  # noqa: RUF012 (a field; pydantic copies it)

    @property
    def _llm_type(self) -> str:
        return "cached"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, AIMessage]:
        """The same tools in the form that the inner model gives them."""
        bound: Any = self.inner.bind_tools(tools, **kwargs)
        return self.bind(**bound.kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        raise NotImplementedError("models are asked asynchronously: use ainvoke")

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 (the inner call is not traced twice)
        **kwargs: Any,
    ) -> ChatResult:
        kwargs = {**self.bound, **kwargs}

        async def ask() -> dict[str, Any]:
            reply = await self.inner.ainvoke(messages, {"callbacks": []}, stop=stop, **kwargs)
            return message_to_dict(reply)

        kept = await self.owner.kept("chat", self.role, messages, {"stop": stop, **kwargs}, ask)
        return ChatResult(generations=[ChatGeneration(message=messages_from_dict([kept])[0])])


def _plain(message: BaseMessage) -> list[Any]:
    """What of a message is part of the request: an id is not."""
    calls = message.tool_calls if isinstance(message, AIMessage) else None
    return [message.type, message.content, calls, getattr(message, "tool_call_id", None)]


def _recount(role: Role, messages: Sequence[BaseMessage], found: Mapping[str, Any]) -> None:
    calls, sent, came = found["usage"]
    for number in range(calls):
        with counting(role, messages) as call:
            first = number == 0  # the tokens of a request that was asked twice were counted together
            call.usage = Usage(input_tokens=sent if first else 1, output_tokens=came if first else 0)
    saved = _saved.get()
    if saved is not None:
        saved.seconds += found["seconds"]
        saved.calls += calls
