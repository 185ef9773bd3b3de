"""OpenAI's chat completions before the user's own agent, so that any chat UI or SDK talks to a personalized one.

The user is whoever the bearer key signs in, never the body's ``user``. The client's messages are the conversation, the
last of them is asked, and its system messages are instructions of this turn, below the frame like any task's. What
stands beside an answer (memories, clauses, the interaction's id) is in the field ``personaagent``.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from time import time
from typing import Annotated, Any, Final, Literal
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from sse_starlette import ServerSentEvent
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from personaagent.app.server.api.routes import json_body, signed_in, status_of
from personaagent.app.server.page.house import HEADERS, Door
from personaagent.app.server.streaming import ANSWER, failure, streamed, until_gone, whole
from personaagent.app.server.turns import Answer, Event, Question, Said, Token
from personaagent.context import Context
from personaagent.errors import InputError, NotSignedIn, PersonaAgentError, TooManyRequests

BASE: Final = "/v1"
PERSONAL: Final = "personaagent"
TEMPORARY: Final = "personaagent-temporary"  # answers without persona and memory, and keeps nothing
MODELS: Final = (PERSONAL, TEMPORARY)
MAX_MESSAGES: Final = 2_000
EARLIER: Final = 80  # newest messages that are put before the model, as far as its budget takes them
_TEXT: Final = frozenset({"text", "input_text", "refusal"})  # types of parts
_TYPES: Final = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}


class UnknownModel(InputError):
    """No model of that name is served."""


class Unsupported(InputError):
    """What a client asks for is not done here, and to leave it out silently would mislead."""


class _Open(BaseModel):
    """Clients send many more fields; those that only shape how a model samples are the deployment's to set."""

    model_config = ConfigDict(extra="ignore")


class ImageUrl(_Open):
    """Where a picture is."""

    url: str


class Part(_Open):
    """A part of a message: text, or a picture that is in it whole."""

    type: str
    text: str = ""
    image_url: ImageUrl | None = None


class ChatMessage(_Open):
    """A message of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None

    def read(self) -> str:
        """Its text, ``[image]`` for each picture; raises Unsupported for sound and files."""
        if not isinstance(self.content, list):
            return self.content or ""
        if other := [part.type for part in self.content if part.type not in {*_TEXT, "image_url"}]:
            raise Unsupported(f"a message has a part of type {other[0][:40]!r}, and only text and pictures are read")
        return "\n".join(part.text if part.type in _TEXT else "[image]" for part in self.content)

    def asked(self) -> tuple[str, tuple[str, ...]]:
        """Its text, and its pictures as ``data:`` addresses; raises Unsupported, also for one that would be fetched."""
        self.read()
        parts = self.content if isinstance(self.content, list) else []
        pictures = tuple(part.image_url.url if part.image_url else "" for part in parts if part.type == "image_url")
        if not all(one.startswith("data:image/") for one in pictures):
            raise Unsupported("no picture is fetched from an address: send it whole (data:image/png;base64,...)")
        if not pictures:
            return self.read(), ()
        return "\n".join(part.text for part in parts if part.type in _TEXT), pictures


class StreamOptions(_Open):
    """Whether a last chunk says what the turn cost."""

    include_usage: bool = False


class Completion(_Open):
    """The body of ``POST /v1/chat/completions``, as far as it means something here."""

    model: Annotated[str, StringConstraints(max_length=256)] = PERSONAL
    messages: list[ChatMessage] = Field(min_length=1, max_length=MAX_MESSAGES)
    stream: bool | None = None
    stop: str | list[str] | None = None
    logprobs: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = None
    tools: list[Any] | None = None
    functions: list[Any] | None = None
    response_format: dict[str, Any] | None = None
    metadata: dict[str, str] | None = None

    def check(self) -> None:
        """Raises UnknownModel or Unsupported where something is asked for that there is not."""
        if self.model not in MODELS:
            raise UnknownModel(f"there is no model {self.model[:80]!r}: {' and '.join(MODELS)} are served")
        if self.tools or self.functions:
            raise Unsupported("tools of the client are not called: the agent has its own, see docs/tools.md")
        if self.n not in {None, 1}:
            raise Unsupported("one answer is given: leave n out")
        if self.stop:
            raise Unsupported("no answer is cut at a word: leave stop out")
        if self.logprobs:
            raise Unsupported("no probabilities of tokens are told: leave logprobs out")
        if self.response_format and self.response_format.get("type") != "text":
            raise Unsupported("no response_format is followed: for a choice of answers use /api/v1/me/turns")

    def question(self, user_id: str) -> Question:
        """The turn of this user; raises UnknownModel, Unsupported, InvalidContext."""
        self.check()
        *before, asked = self.messages
        if asked.role != "user":
            raise InputError(f"the last message is of role {asked.role!r}: it must be the user's")
        system = "\n\n".join(text for one in before if one.role in {"system", "developer"} and (text := one.read()))
        told = (self.metadata or {}).get("task")
        context = Context(
            user_id=user_id, task=told, instructions=system.strip() or None, personalize=self.model == PERSONAL
        )
        thread = (self.metadata or {}).get("thread_id", "")
        earlier = [
            Said(role="user" if one.role == "user" else "assistant", text=one.read())
            for one in before[-EARLIER:]
            if one.role in {"user", "assistant"} and one.content
        ]
        text, pictures = asked.asked()
        return Question(
            text=text, pictures=pictures, context=context, thread_id=_thread(thread), earlier=tuple(earlier)
        )


def openai_routes(door: Door) -> list[Route]:
    """The two routes that clients of OpenAI's need."""

    async def models(request: Request) -> Response:
        try:
            await signed_in(door, request)
        except PersonaAgentError as error:
            return _failed(error)
        listed = [{"id": name, "object": "model", "created": 0, "owned_by": "personaagent"} for name in MODELS]
        return JSONResponse({"object": "list", "data": listed}, headers=HEADERS)

    async def completions(request: Request) -> Response:
        try:
            user_id = await signed_in(door, request)
            asked = await _body(request)
            events = door.turns.ask(user_id, asked.question(user_id))
            if asked.stream:
                usage = asked.stream_options is not None and asked.stream_options.include_usage
                return await streamed(request, events, lambda found: _chunks(found, asked.model, usage=usage))
            return JSONResponse(_completion(await until_gone(request, whole(events)), asked.model), headers=HEADERS)
        except PersonaAgentError as error:
            return _failed(error)
        except ClientDisconnect:
            return Response(status_code=400)

    return [
        Route(f"{BASE}/models", models, methods=["GET"]),
        Route(f"{BASE}/chat/completions", completions, methods=["POST"]),
    ]


async def _body(request: Request) -> Completion:
    body = await json_body(request)
    try:
        return Completion.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"the {f'field {where}' if where else 'body'}: {first['msg']}") from error


def _thread(given: str) -> str:
    if len(given) > 64 or not given.isprintable():
        raise InputError("metadata.thread_id has 64 characters at most, and no control characters")
    return given or str(uuid4())


def _completion(answer: Answer, model: str) -> dict[str, Any]:
    text = _text(answer)
    return _base(answer.turn_id, model, "chat.completion") | {
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": None},
                "finish_reason": "stop",
                "logprobs": None,
            }
        ],
        "usage": _usage(answer),
        "personaagent": ANSWER.dump_python(answer, mode="json"),
    }


async def _chunks(events: AsyncIterator[Event], model: str, *, usage: bool) -> AsyncIterator[ServerSentEvent]:
    """Chunks in OpenAI's form. A step that turned out not to be the answer cannot be taken back: a line parts them."""
    name, spoken = str(uuid4()), False

    def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> ServerSentEvent:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        told = _base(name, model, "chat.completion.chunk") | {"choices": [choice]} | more
        return ServerSentEvent(json.dumps(told, ensure_ascii=False, separators=(",", ":")), sep="\n")

    async with aclosing(events):  # type: ignore[type-var]
        yield chunk({"role": "assistant", "content": ""})
        try:
            async for event in events:
                if isinstance(event, Token):
                    yield chunk({"content": f"\n\n{event.text}" if event.reset else event.text})
                    spoken = True
                    continue
                if not spoken:
                    yield chunk({"content": _text(event)})
                yield chunk({}, "stop", personaagent=ANSWER.dump_python(event, mode="json"))
                if usage:
                    told = _base(name, model, "chat.completion.chunk") | {"choices": [], "usage": _usage(event)}
                    yield ServerSentEvent(json.dumps(told), sep="\n")
        except PersonaAgentError as error:
            wrong = failure(error)["error"]
            yield ServerSentEvent(json.dumps({"error": _error(wrong["name"], wrong["message"], status_of(error))}))
        yield ServerSentEvent("[DONE]", sep="\n")


def _text(answer: Answer) -> str:
    """The answer, or what the user has to know where a tool waits for them: no client of this kind can ask."""
    if answer.approvals:
        tools = ", ".join(sorted({one.tool for one in answer.approvals}))
        return f"I would have to use {tools}, which needs your approval: ask me on the page, or by /api/v1/me/turns."
    return answer.answer


def _base(name: str, model: str, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{name}", "object": kind, "created": int(time()), "model": model}


def _usage(answer: Answer) -> dict[str, int]:
    used = answer.usage
    return {
        "prompt_tokens": used.input_tokens,
        "completion_tokens": used.output_tokens,
        "total_tokens": used.input_tokens + used.output_tokens,
    }


def _failed(error: PersonaAgentError) -> Response:
    wrong, status = failure(error)["error"], status_of(error)
    response = JSONResponse(
        {"error": _error(wrong["name"], wrong["message"], status)}, status_code=status, headers=HEADERS
    )
    if isinstance(error, TooManyRequests):
        response.headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, NotSignedIn):
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _error(name: str, message: str, status: int) -> dict[str, Any]:
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"message": message, "type": kind, "param": None, "code": name}
