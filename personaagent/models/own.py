"""A chat model and an embedder of the caller's own, any of LangChain's, behind our ports."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable

from personaagent.errors import (
    ModelDenied,
    ModelError,
    ModelOutputInvalid,
    ModelRefused,
    ModelUnreachable,
    PersonaAgentError,
    SetupError,
)
from personaagent.models import constrained
from personaagent.models.card import Card
from personaagent.models.meter import counting
from personaagent.models.replies import ThinkingFilter, answers_alone
from personaagent.ports import Embedder, Models, Role, Vectors
from personaagent.settings import Settings
from personaagent.text import one_line

# what only OpenAI's form of a request knows; other clients pass on or refuse what they do not know
OPENAI_ONLY = ("stream", "response_format", "logprobs", "top_logprobs", "max_tokens", "extra_body")
DENIED, REFUSED = (401, 403), (400, 404, 413, 422)


def own_models(model: object, settings: Settings) -> Models:
    """The models of what the caller handed in: a chat model, ``provider:model``, or something that has every role.

    Raises SetupError where it is none of these, or its provider's package is not installed.
    """
    if isinstance(model, str):
        model = _initialised(model)
    if isinstance(model, BaseChatModel):
        return OwnModels(model, settings)
    if all(hasattr(model, name) for name in ("chat", "choose", "structured", "probabilities", "close")):
        models: Models = model  # type: ignore[assignment]
        return models
    raise SetupError(
        f"model is {type(model).__name__}: give a LangChain chat model, or a string like 'openai:gpt-4o-mini'"
    )


class OwnModels:
    """Implements ``ports.Models`` with one chat model for every role; closing it is left to whoever made it."""

    embedded = False

    def __init__(self, model: BaseChatModel, settings: Settings) -> None:
        self._model = model
        self._name = str(getattr(model, "model_name", None) or getattr(model, "model", None) or type(model).__name__)
        can_call = type(model).bind_tools is not BaseChatModel.bind_tools
        self.tool_calling = settings.tool_calling == "on" or (settings.tool_calling == "auto" and can_call)
        self._openai = any(base.__name__ == "BaseChatOpenAI" for base in type(model).__mro__)
        self._tells_probabilities = self._openai
        self._card = Card(context=settings.model_context, context_from="setting" if settings.model_context else "")

    def name(self, role: Role) -> str:  # noqa: ARG002
        """The model's name, for records."""
        return self._name

    async def chat(self, role: Role) -> BaseChatModel:
        """The model, counted for this role; raises ModelError, nothing else."""
        return CountedChat(inner=self._model, role=role, called=self._name, openai=self._openai)

    async def card(self, role: Role) -> Card:  # noqa: ARG002
        """The context of the settings, and nothing else: a model of one's own is not probed."""
        return self._card

    async def choose(self, role: Role, messages: Sequence[BaseMessage], choices: Sequence[str]) -> str:
        """Ask for exactly one of ``choices``; raises ModelOutputInvalid for anything else."""
        return await constrained.choose(
            await self.chat(role), messages, choices, grammar=False, worded=not self._openai
        )

    async def probabilities(
        self, role: Role, messages: Sequence[BaseMessage], choices: Sequence[str]
    ) -> dict[str, float] | None:
        """The probability of each choice; None where the model tells none, which is not asked again."""
        if not self._tells_probabilities:
            return None
        try:
            found = await constrained.probabilities(await self.chat(role), messages, choices)
        except ModelRefused:
            found = {}
        self._tells_probabilities = found != {}
        return found or None

    async def structured(
        self, role: Role, messages: Sequence[BaseMessage], schema: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Ask for a JSON object of that JSON schema; raises ModelOutputInvalid when it is not of that form."""
        return await constrained.structured(await self.chat(role), messages, schema, worded=not self._openai)

    async def close(self) -> None:
        """The model is not ours to close."""


class CountedChat(BaseChatModel):
    """Any chat model, with its calls counted (``models.meter``) and its failures named."""

    inner: BaseChatModel
    role: Role = "agent"
    called: str = ""
    openai: bool = False

    @property
    def _llm_type(self) -> str:
        return self.inner._llm_type

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, AIMessage]:
        """The tools in the form that the model takes them."""
        bound: Any = self.inner.bind_tools(tools, **kwargs)
        return self.bind(**bound.kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with counting(self.role, messages) as call, _named(self.called):
            result = self.inner._generate(messages, stop, run_manager, **self._known(kwargs))
            call.received(result.generations[0].message)
            return result

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with counting(self.role, messages) as call, _named(self.called):
            result = await self.inner._agenerate(messages, stop, run_manager, **self._known(kwargs))
            call.received(result.generations[0].message)
            return answers_alone(result)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        thinking = ThinkingFilter()
        with counting(self.role, messages) as call, _named(self.called):
            async for chunk in self._chunks(messages, stop, **self._known(kwargs)):
                call.received(chunk.message)
                if isinstance(text := chunk.message.content, str) and text:
                    message = chunk.message.model_copy(update={"content": thinking.feed(text)})
                    chunk = ChatGenerationChunk(message=message, generation_info=chunk.generation_info)  # noqa: PLW2901
                if run_manager is not None:
                    await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk
            if rest := thinking.end():
                yield ChatGenerationChunk(message=_piece(rest))

    async def _chunks(
        self, messages: list[BaseMessage], stop: list[str] | None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        """What the model streams; one that cannot stream answers in one piece."""
        own = type(self.inner)
        if own._astream is BaseChatModel._astream and own._stream is BaseChatModel._stream:
            result = await self.inner._agenerate(messages, stop, **kwargs)
            message: Any = result.generations[0].message
            yield ChatGenerationChunk(message=_piece(message.content, message))
            return
        async for chunk in self.inner._astream(messages, stop, **kwargs):
            yield chunk

    def _known(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        if self.openai:
            return kwargs
        return {name: value for name, value in kwargs.items() if name not in OPENAI_ONLY}


def _piece(content: Any, message: AIMessage | None = None) -> Any:
    from langchain_core.messages import AIMessageChunk
    from langchain_core.messages.tool import tool_call_chunk

    if message is None:
        return AIMessageChunk(content=content)
    import json

    calls = [
        tool_call_chunk(name=call["name"], args=json.dumps(call["args"]), id=call["id"], index=place)
        for place, call in enumerate(message.tool_calls)
    ]
    return AIMessageChunk(content=content, tool_call_chunks=calls, usage_metadata=message.usage_metadata, id=message.id)


def _initialised(name: str) -> BaseChatModel:
    try:
        from langchain.chat_models import init_chat_model
    except ImportError:  # not installed; what langchain-community stands on has it too
        from langchain_classic.chat_models import init_chat_model  # type: ignore[no-redef]
    try:
        model: Any = init_chat_model(name)
    except ImportError as error:
        raise SetupError(f"model {name!r} needs its provider's package ({one_line(str(error), 200)})") from error
    except Exception as error:  # each provider's own: no key, an unknown provider
        raise SetupError(f"model {name!r} cannot be used: {one_line(str(error), 300)}") from error
    return model  # type: ignore[no-any-return]


@contextmanager
def _named(model: str) -> Iterator[None]:
    """Raise what any provider's client raises inside as a ModelError of one line; cancellation passes through."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:
        status = getattr(error, "status_code", None) or getattr(getattr(error, "response", None), "status_code", None)
        said = f"{type(error).__name__}: {one_line(str(error), 200)}"
        if status in DENIED:
            raise ModelDenied(f"{model} refuses the key ({said}): check the key of its provider") from error
        if status in REFUSED:
            raise ModelRefused(f"{model} refuses the request ({said})") from error
        if status is not None or isinstance(error, OSError | TimeoutError):
            raise ModelUnreachable(f"{model} does not answer ({said}): try again later") from error
        raise ModelError(f"{model} failed ({said})") from error


BLANK = "(empty)"  # many refuse an empty text


async def own_embedder(embedder: object) -> Embedder:
    """The embedder of what the caller handed in: LangChain's ``Embeddings``, which is asked once for its dimension, or
    something that implements ``ports.Embedder``. Raises SetupError, ModelError.
    """
    if isinstance(embedder, Embeddings):
        own = OwnEmbedder(embedder)
        await own.measure()
        return own
    if all(hasattr(embedder, name) for name in ("embed", "name", "dim")):
        return embedder  # type: ignore[return-value]
    raise SetupError(f"embedder is {type(embedder).__name__}: give LangChain Embeddings")


class OwnEmbedder:
    """Implements ``ports.Embedder``; vectors are made unit length here. ``dim`` is 0 until ``measure``."""

    def __init__(self, embeddings: Embeddings) -> None:
        self._embeddings = embeddings
        model = next((str(m) for n in ("model", "model_name", "model_id") if (m := getattr(embeddings, n, None))), "")
        self.name = f"own:{type(embeddings).__name__}" + (f":{model}" if model else "")
        self.dim = 0

    async def measure(self) -> None:
        """Ask for one vector, for its dimension; raises ModelError."""
        self.dim = len((await self._rows([BLANK]))[0])

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one unit vector a text, shape (len(texts), dim); raises ModelError."""
        if not texts:
            return np.empty((0, self.dim), np.float32)
        rows = await self._rows([text if text.strip() else BLANK for text in texts])
        vectors = np.asarray(rows, dtype=np.float64)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True) if vectors.ndim == 2 else np.zeros(1)
        if vectors.shape != (len(texts), self.dim) or not np.isfinite(vectors).all() or not lengths.all():
            raise ModelOutputInvalid(f"{self.name} returned vectors that are zero, not finite or not of {self.dim}")
        return np.asarray(vectors / lengths, dtype=np.float32)

    async def _rows(self, texts: list[str]) -> list[list[float]]:
        try:
            rows = await self._embeddings.aembed_documents(texts)
        except PersonaAgentError:
            raise
        except Exception as error:
            raise ModelError(f"{self.name} failed ({type(error).__name__}: {one_line(str(error), 200)})") from error
        if len(rows) != len(texts) or not len(rows[0]):
            raise ModelOutputInvalid(f"{self.name} returned {len(rows)} vectors for {len(texts)} texts")
        return rows
