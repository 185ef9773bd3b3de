"""The one chat model class: ``ChatOpenAI`` that counts its calls and names its failures. Imports in seconds."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import openai
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_openai import ChatOpenAI

from personaagent.errors import (
    ContextTooLong,
    ModelDenied,
    ModelError,
    ModelOutputInvalid,
    ModelRefused,
    ModelUnreachable,
)
from personaagent.models.card import FORMS, SPARED, VARYING, Cards, refusal
from personaagent.models.meter import counting
from personaagent.models.replies import CallFilter, ThinkingFilter, answers_alone, names_in
from personaagent.models.tokens import count_messages
from personaagent.ports import Role
from personaagent.text import one_line
from personaagent.turn import CUT

LEAST_CONTEXT = 512  # tokens; a refusal that leaves less is about something else


class MeteredChat(ChatOpenAI):
    """A chat model of one role. Every call is counted (``models.meter``) and raises ModelError, nothing else.

    What the endpoint refuses of a request by name is left out from then on, and kept on its card.
    """

    role: Role = "agent"
    where: str = "the endpoint"  # how messages call it
    cards: Any = None  # ``Cards``; None: nothing is learnt
    card_key: str = ""

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        without: tuple[str, ...] = ()
        while True:
            try:
                result = await self._generated(messages, stop, run_manager, without=without, **kwargs)
            except ModelRefused as error:
                without += (self._spared(error, messages, kwargs, without),)
            else:
                self._keep(without)
                return result

    async def _generated(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        with counting(self.role, messages) as call, translated(self.where, self.model_name):
            result = await super()._agenerate(messages, *args, **kwargs)
            call.received(result.generations[0].message)
            return answers_alone(result)

    async def _astream(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        without: tuple[str, ...] = ()
        while True:
            came = False
            try:
                async for chunk in self._streamed(messages, *args, without=without, **kwargs):
                    if not came:
                        self._keep(without)
                    came = True
                    yield chunk
                return
            except ModelRefused as error:
                if came:
                    raise
                without += (self._spared(error, messages, {**kwargs, "stream": True}, without),)

    async def _streamed(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        if "stream" in self._refused(kwargs.get("without", ())):
            result = await self._generated(messages, *args, **kwargs)
            yield ChatGenerationChunk(message=_in_one(result.generations[0].message))
            return
        came, finished, thinking = False, False, ThinkingFilter()
        calls = CallFilter(names_in(kwargs.get("tools"), messages))
        with counting(self.role, messages) as call, translated(self.where, self.model_name):
            async for chunk in super()._astream(messages, *args, **kwargs):
                came = True
                finished = finished or "finish_reason" in _metadata(chunk)
                call.received(chunk.message)
                yield _part(chunk, calls.feed(thinking.feed(chunk.text))) if chunk.text else chunk
            if not came:
                raise ModelOutputInvalid(
                    f"{self.where} did not stream a chat completion of {self.model_name}: "
                    "check OPENAI_BASE_URL, it mostly ends in /v1"
                )
            rest = calls.feed(thinking.end()) + calls.end()
            if rest or calls.found or not finished:
                ending = {} if finished else {"finish_reason": CUT}
                last = AIMessageChunk(content=rest, tool_call_chunks=calls.chunks(), response_metadata=ending)
                yield ChatGenerationChunk(message=last)

    def _get_request_payload(
        self, input_: Any, *, stop: list[str] | None = None, without: tuple[str, ...] = (), **kwargs: Any
    ) -> dict[str, Any]:
        payload: dict[str, Any] = super()._get_request_payload(input_, stop=stop, **kwargs)
        for parameter in self._refused(without):
            match parameter:
                case "max_completion_tokens":
                    if parameter in payload:
                        payload["max_tokens"] = payload.pop(parameter)
                case "system":
                    payload["messages"] = _without_system(payload["messages"])
                case "tools":
                    for name in ("tools", "tool_choice", "parallel_tool_calls"):
                        payload.pop(name, None)
                case _:
                    payload.pop(parameter, None)
        return payload if "response_format" in payload or self._use_responses_api(payload) else _as_they_are(payload)

    def _refused(self, without: tuple[str, ...] = ()) -> frozenset[str]:
        """What a request goes without: by the card, and by what this call has been refused."""
        kept = self.cards.get(self.card_key).refused - FORMS if isinstance(self.cards, Cards) else frozenset()
        return kept.union(without)

    def _spared(
        self, error: ModelRefused, messages: list[BaseMessage], kwargs: dict[str, Any], without: tuple[str, ...]
    ) -> str:
        """What to ask without once more; raises the refusal where nothing of that request can be spared."""
        if not isinstance(self.cards, Cards):
            raise error
        if isinstance(error, ContextTooLong):
            limit = error.limit or int(count_messages(messages) * 0.75)
            if error.of_context and limit >= LEAST_CONTEXT:
                self.cards.note(self.card_key, context=limit, context_from="refusal")
            raise error
        name = error.parameter
        if name in FORMS and name in kwargs:
            self.cards.refuse(self.card_key, name)
        if name not in SPARED or name in self._refused(without) or (name in VARYING and not kwargs.get(name)):
            raise error
        return name

    def _keep(self, without: tuple[str, ...]) -> None:
        """Keep what a request was refused with and answered without."""
        for parameter in without:
            self.cards.refuse(self.card_key, parameter)


def _as_they_are(payload: dict[str, Any]) -> dict[str, Any]:
    """The same request, whose messages and tools the client does not search for names to rewrite: they have none."""
    plain = {name: payload.pop(name) for name in ("messages", "tools") if name in payload}
    return {**payload, "messages": [], "extra_body": {**(payload.get("extra_body") or {}), **plain}}


def _in_one(message: BaseMessage) -> AIMessageChunk:
    """A whole answer as a stream of one part."""
    calls = [
        {
            "name": call["name"],
            "args": json.dumps(call["args"]),
            "id": call["id"],
            "index": n,
            "type": "tool_call_chunk",
        }
        for n, call in enumerate(getattr(message, "tool_calls", []))
    ]
    told = message.model_dump(exclude={"type", "tool_calls", "invalid_tool_calls"})
    return AIMessageChunk(**told, tool_call_chunks=calls)


def _metadata(chunk: ChatGenerationChunk) -> dict[str, Any]:
    return {**(chunk.generation_info or {}), **chunk.message.response_metadata}


def _without_system(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages with the system message in front of the first one of the user."""
    system = "\n\n".join(str(m["content"]) for m in messages if m["role"] in {"system", "developer"})
    rest = [dict(m) for m in messages if m["role"] not in {"system", "developer"}]
    if not system:
        return rest
    if not rest or rest[0]["role"] != "user":
        return [{"role": "user", "content": system}, *rest]
    told = rest[0]["content"]
    text = [{"type": "text", "text": system}]
    rest[0]["content"] = f"{system}\n\n{told}" if isinstance(told, str) else [*text, *told]
    return rest


def _part(chunk: ChatGenerationChunk, text: str) -> ChatGenerationChunk:
    """The chunk with what of its text is answer."""
    if text == chunk.text:
        return chunk
    message = chunk.message.model_copy(update={"content": text})
    return ChatGenerationChunk(message=message, generation_info=chunk.generation_info)


_TOOLS = re.compile(r"\bnot support (?:tool|function)", re.IGNORECASE)  # Ollama's words among others
_REFUSING = frozenset({400, 404, 413, 422, 500, 501})
_FIXED = re.compile(r"requires? --|role|template|context|exceeds?|not support", re.IGNORECASE)  # no trying again mends
_TOO_SLOW = "{where} did not answer in time with {model}: try again or raise PERSONAAGENT_MODEL_TIMEOUT_S"
_MEANINGS: tuple[tuple[tuple[type[openai.OpenAIError], ...], type[ModelError], str], ...] = (  # the first that fits
    (
        (openai.AuthenticationError, openai.PermissionDeniedError),
        ModelDenied,
        "{where} refuses the key for {model} ({status}): check OPENAI_API_KEY",
    ),
    ((openai.APITimeoutError,), ModelUnreachable, _TOO_SLOW),
    ((openai.APIConnectionError,), ModelUnreachable, "{where} cannot be reached ({root}): check OPENAI_BASE_URL"),
    (
        (openai.NotFoundError,),
        ModelUnreachable,
        "{where} has no model {model} (404): check PERSONAAGENT_MODEL and OPENAI_BASE_URL",
    ),
    (
        (openai.RateLimitError,),
        ModelUnreachable,
        "{where} has no capacity or quota left for {model} ({said}): try again later",
    ),
    (
        (openai.InternalServerError,),
        ModelUnreachable,
        "{where} fails with {model} ({status}, {said}): try again later",
    ),
    ((openai.APIStatusError,), ModelRefused, "{where} refuses the request to {model} ({status}, {said})"),
    (
        (openai.LengthFinishReasonError, openai.ContentFilterFinishReasonError),
        ModelOutputInvalid,
        "the answer of {model} at {where} breaks off ({said})",
    ),
    (
        (openai.APIResponseValidationError,),
        ModelOutputInvalid,
        "{where} did not return a chat completion of {model}: check OPENAI_BASE_URL",
    ),
    ((openai.OpenAIError,), ModelError, "{where} failed with {model} ({said})"),
)


@contextmanager
def translated(where: str, model: str) -> Iterator[None]:
    """Raise what the client libraries raise inside as a ModelError of one line; cancellation passes through."""
    try:
        yield
    except ModelError:
        raise
    except openai.OpenAIError as error:
        raise _of_client(error, where, model) from error
    except TimeoutError as error:  # langchain-openai's, for a stream that stalls
        raise ModelUnreachable(_TOO_SLOW.format(where=where, model=model)) from error
    except UnicodeEncodeError as error:
        raise ModelDenied(f"{where} was not asked: OPENAI_API_KEY has characters that no key has") from error
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        # what langchain-openai makes of a body that is no chat completion
        raise ModelOutputInvalid(
            f"{where} did not return a chat completion of {model} ({one_line(str(error), 120)}): "
            "check OPENAI_BASE_URL, it mostly ends in /v1"
        ) from error


def _of_client(error: openai.OpenAIError, where: str, model: str) -> ModelError:
    body = getattr(error, "body", None)
    about = body if isinstance(body, dict) else {}
    said = one_line(str(about.get("message") or getattr(error, "message", error)), 200)
    status = getattr(error, "status_code", 0)
    if status in _REFUSING or (status >= 500 and _FIXED.search(said)):
        mend = ": PERSONAAGENT_TOOL_CALLING=off does without tools" if _TOOLS.search(said) else ""
        found = refusal(
            f"{where} refuses the request to {model} ({status}, {said}){mend}",
            body or getattr(error, "message", error),
            about.get("param"),
        )
        if found.parameter or isinstance(found, ContextTooLong) or status in (400, 413, 422):
            return found
    raised, told = next((raised, told) for kinds, raised, told in _MEANINGS if isinstance(error, kinds))
    return raised(told.format(where=where, model=model, status=status, said=said, root=_root(error)))


def _root(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return one_line(str(error) or type(error).__name__, 120)
