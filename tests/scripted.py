"""Stand-ins for tests: chat models that answer by a script, and an embedder that needs no weights.

models = ScriptedModels(agent=["first answer", ModelUnreachable("down")], choose=lambda role, messages, choices: "b")
reply = await (await models.chat("agent")).ainvoke("hello")
assert models.calls[0].messages[-1].text == "hello"
"""

from __future__ import annotations

import asyncio
import json
import re
import zlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field

from personaagent.errors import ModelOutputInvalid
from personaagent.models.card import Card
from personaagent.models.constrained import match_choice
from personaagent.models.meter import counting
from personaagent.models.tokens import count_tokens
from personaagent.ports import Role, Vectors

Reply = str | AIMessage | Exception
Answer = Callable[[list[BaseMessage], list[dict[str, Any]]], Reply]
Script = str | Sequence[Reply] | Answer  # always the same, one after the other, or a function(messages, tools)
Choose = Callable[[Role, list[BaseMessage], list[str]], str | Exception]
Structured = Callable[[Role, list[BaseMessage], dict[str, Any]], dict[str, Any] | Exception]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call that a scripted model got; ``tools`` are the bound tools in OpenAI's form."""

    role: Role
    kind: Literal["chat", "choose", "structured"]
    messages: list[BaseMessage]
    tools: list[dict[str, Any]] = field(default_factory=list)
    kwargs: dict[str, Any] = field(default_factory=dict)

    @property
    def tool_names(self) -> list[str]:
        return [tool["function"]["name"] for tool in self.tools]

    @property
    def text(self) -> str:
        """Everything that the model was shown, as one text."""
        return "\n".join(message.text for message in self.messages)


class ScriptedModel(BaseChatModel):
    """A chat model that answers by a script, counts usage like the real one, streams word by word, records calls."""

    script: Any = "ok"
    role: Role = "agent"
    latency: float = 0.0
    calls: list[Call] = Field(default_factory=list)
    before: Callable[[Role], Exception | None] | None = None  # failure injection
    position: int = 0

    def __init__(self, script: Script = "ok", **kwargs: Any) -> None:
        super().__init__(**{"script": script, **kwargs})

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, AIMessage]:
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        raise AssertionError("the project is async only: use ainvoke or astream")

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with counting(self.role, messages) as call:
            message = await self._answer(messages, kwargs)
            call.received(message)
            return ChatResult(generations=[ChatGeneration(message=message)])

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        with counting(self.role, messages) as call:
            message = await self._answer(messages, kwargs)
            call.received(message)
            for chunk in _chunks(message):
                if run_manager:
                    await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk

    async def _answer(self, messages: list[BaseMessage], kwargs: dict[str, Any]) -> AIMessage:
        tools = kwargs.pop("tools", [])
        self.calls.append(Call(role=self.role, kind="chat", messages=list(messages), tools=tools, kwargs=kwargs))
        await asyncio.sleep(self.latency)
        reply = (self.before(self.role) if self.before else None) or self._next(messages, tools)
        if isinstance(reply, Exception):
            raise reply
        message = AIMessage(reply) if isinstance(reply, str) else reply
        if message.usage_metadata:
            return message
        sent, came = sum(count_tokens(m.text) for m in messages), count_tokens(message.text)
        usage = {"input_tokens": sent, "output_tokens": came, "total_tokens": sent + came}
        return message.model_copy(update={"usage_metadata": usage})

    def _next(self, messages: list[BaseMessage], tools: list[dict[str, Any]]) -> Reply:
        if isinstance(self.script, str):
            return self.script
        if callable(self.script):
            reply: Reply = self.script(list(messages), tools)
            return reply
        assert self.position < len(self.script), f"the script of {self.role} ended after {self.position} answers"
        self.position += 1
        listed: Sequence[Reply] = self.script
        return listed[self.position - 1]


class ScriptedModels:
    """Implements ``ports.Models`` by scripts, one a role; a role without one answers ``default``.

    ``choose`` answers the first choice unless scripted; ``structured`` refuses unless scripted.
    """

    def __init__(
        self,
        default: Script = "ok",
        *,
        agent: Script | None = None,
        simulator: Script | None = None,
        critic: Script | None = None,
        editor: Script | None = None,
        summarizer: Script | None = None,
        choose: Choose | None = None,
        structured: Structured | None = None,
        embedded: bool = False,
        tool_calling: bool = True,
        known: Card | None = None,
        latency: float = 0.0,
    ) -> None:
        self.embedded = embedded
        self.tool_calling = tool_calling
        self.known = known or Card()
        self.calls: list[Call] = []
        self._latency = latency
        self._choose = choose or (lambda role, messages, choices: choices[0])
        self._structured = structured or (lambda role, messages, schema: ModelOutputInvalid("nothing is scripted"))
        self._failures: dict[Role, list[Exception]] = {}
        scripts: dict[Role, Script | None] = {
            "agent": agent, "simulator": simulator, "critic": critic, "editor": editor, "summarizer": summarizer
        }  # fmt: skip
        self._models = {
            role: ScriptedModel(
                default if script is None else script,
                role=role,
                latency=latency,
                before=self._failure,
            )
            for role, script in scripts.items()
        }
        for model in self._models.values():
            model.calls = self.calls

    def fail(self, role: Role, error: Exception, times: int = 1) -> None:
        """Let the role's next calls raise this error."""
        self._failures.setdefault(role, []).extend([error] * times)

    def calls_of(self, role: Role, kind: str | None = None) -> list[Call]:
        return [call for call in self.calls if call.role == role and kind in (None, call.kind)]

    def name(self, role: Role) -> str:
        return f"scripted-{role}"

    async def card(self, role: Role) -> Card:
        return self.known

    async def chat(self, role: Role) -> BaseChatModel:
        return self._models[role]

    async def probabilities(
        self,
        role: Role,
        messages: Sequence[BaseMessage],
        choices: Sequence[str],
    ) -> dict[str, float] | None:
        """It tells none."""
        return None

    async def choose(self, role: Role, messages: Sequence[BaseMessage], choices: Sequence[str]) -> str:
        answer = await self._asked(
            role, "choose", messages, lambda: self._choose(role, list(messages), list(choices)), {"choices": choices}
        )
        found = match_choice(answer, choices)
        if found is None:
            raise ModelOutputInvalid(f"the model answered {answer!r}, which is none of the choices")
        return found

    async def structured(
        self, role: Role, messages: Sequence[BaseMessage], schema: Mapping[str, Any]
    ) -> dict[str, Any]:
        answer: dict[str, Any] = await self._asked(
            role, "structured", messages, lambda: self._structured(role, list(messages), dict(schema)), dict(schema)
        )
        return answer

    async def close(self) -> None:
        """There is nothing to close."""

    def _failure(self, role: Role) -> Exception | None:
        waiting = self._failures.get(role)
        return waiting.pop(0) if waiting else None

    async def _asked(
        self,
        role: Role,
        kind: Literal["choose", "structured"],
        messages: Sequence[BaseMessage],
        answer: Callable[[], Any],
        kwargs: dict[str, Any],
    ) -> Any:
        self.calls.append(Call(role=role, kind=kind, messages=list(messages), kwargs=kwargs))
        with counting(role, messages) as call:
            await asyncio.sleep(self._latency)
            reply = self._failure(role) or answer()
            if isinstance(reply, Exception):
                raise reply
            call.received(AIMessage(str(reply)))
            return reply


class HashEmbedder:
    """Implements ``ports.Embedder``: words and letter triples hashed into 64 signed places; the same everywhere."""

    name = "hash-64"
    dim = 64

    def __init__(self) -> None:
        self.texts: list[str] = []  # everything that was embedded

    async def embed(self, texts: Sequence[str]) -> Vectors:
        self.texts.extend(texts)
        return np.stack([self._vector(text) for text in texts]) if texts else np.empty((0, self.dim), np.float32)

    def _vector(self, text: str) -> Vectors:
        vector = np.zeros(self.dim)
        vector[0] = 1e-3  # an empty text needs a direction too
        for word in re.findall(r"\w+", text.casefold()):
            padded = f"#{word}#"
            for gram in [padded, *(padded[at : at + 3] for at in range(len(padded) - 2))]:
                code = zlib.crc32(gram.encode("utf-8", "replace"))
                vector[code % self.dim] += 1 if code & 0x10000 else -1
        return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


def _chunks(message: AIMessage) -> list[ChatGenerationChunk]:
    calls = [
        tool_call_chunk(name=call["name"], args=json.dumps(call["args"]), id=call["id"], index=at)
        for at, call in enumerate(message.tool_calls)
    ]
    words = [AIMessageChunk(content=word) for word in re.findall(r"\S+\s*|\s+", message.text)]
    last = AIMessageChunk(content="", tool_call_chunks=calls, usage_metadata=message.usage_metadata)
    return [ChatGenerationChunk(message=chunk) for chunk in [*words, last]]
