"""What an endpoint does wrong, over real HTTP on loopback, becomes a named error of one line."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from personaagent.errors import (
    ContextTooLong,
    ModelDenied,
    ModelError,
    ModelOutputInvalid,
    ModelRefused,
    ModelUnreachable,
    SetupError,
)
from personaagent.models.chat import ModelsFromSettings
from personaagent.models.meter import metering
from personaagent.settings import Settings

HANG = None
Raw = bytes | None
ENDLESS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 9999\r\n\r\n"


def http(status: int, body: str, kind: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status} x\r\nContent-Type: {kind}\r\nContent-Length: {len(body.encode())}\r\n"
    return f"{head}Connection: close\r\n\r\n{body}".encode()


@asynccontextmanager
async def answering(raw: Raw, **settings: Any) -> AsyncIterator[ModelsFromSettings]:
    """Models at a server that answers every request with these bytes (None: not at all), and then closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            if raw is None:
                await reader.read()  # until the client gives up
            else:
                await reader.read(65536)
                writer.write(raw)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    models = at(url, **settings)
    try:
        yield models
    finally:
        await models.close()
        server.close()


def at(url: str, **settings: Any) -> ModelsFromSettings:
    given: dict[str, Any] = {"openai_base_url": url, "openai_api_key": "sk-secret", "model_retries": 0, "model": "m1"}
    return ModelsFromSettings(Settings(**(given | settings)))


def error_body(message: str) -> str:
    return json.dumps({"error": {"message": message, "type": "x"}})


async def invoked(models: ModelsFromSettings) -> None:
    await (await models.chat("agent")).ainvoke([HumanMessage("hello")])


async def streamed(models: ModelsFromSettings) -> None:
    async for _ in (await models.chat("agent")).astream([HumanMessage("hello")]):
        pass


CASES: list[tuple[str, Raw, type[ModelError], str]] = [
    ("wrong key", http(401, error_body("bad key sk-secret")), ModelDenied, "OPENAI_API_KEY"),
    ("forbidden", http(403, error_body("no")), ModelDenied, "OPENAI_API_KEY"),
    ("unknown model", http(404, error_body("no such model")), ModelUnreachable, "PERSONAAGENT_MODEL"),
    ("no quota", http(429, error_body("slow down")), ModelUnreachable, "slow down"),
    ("server error", http(500, error_body("boom")), ModelUnreachable, "boom"),
    ("too long", http(400, error_body("prompt is too long\nfor m1")), ContextTooLong, "prompt is too long for m1"),
    ("unprocessable", http(422, "not even json"), ModelRefused, "422"),
    ("a web page", http(200, "<html>hi</html>", "text/html"), ModelOutputInvalid, "/v1"),
    ("broken json", http(200, '{"choices": [', "application/json"), ModelOutputInvalid, "/v1"),
    ("other json", http(200, '{"hello": 1}'), ModelOutputInvalid, "/v1"),
    ("a list", http(200, "[1, 2]"), ModelOutputInvalid, "/v1"),
    ("no choices", http(200, '{"id": "x", "object": "chat.completion", "choices": []}'), ModelOutputInvalid, "/v1"),
    ("not http", b"SSH-2.0-OpenSSH\r\n", ModelUnreachable, "OPENAI_BASE_URL"),
    ("closes at once", b"", ModelUnreachable, "OPENAI_BASE_URL"),
]


@pytest.mark.parametrize("call", [invoked, streamed])
@pytest.mark.parametrize(("raw", "kind", "says"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
async def test_a_failing_endpoint_is_a_named_error(
    call: Callable[[ModelsFromSettings], Any], raw: Raw, kind: type[ModelError], says: str
) -> None:
    async with answering(raw) as models:
        with pytest.raises(ModelError) as caught:
            await call(models)
    assert type(caught.value) is kind
    message = str(caught.value)
    assert says in message
    assert "\n" not in message
    assert "http://127.0.0.1:" in message
    assert "sk-secret" not in message


@pytest.mark.parametrize("call", [invoked, streamed])
async def test_an_endpoint_that_hangs_is_unreachable_after_the_timeout(
    call: Callable[[ModelsFromSettings], Any],
) -> None:
    async with answering(HANG, model_timeout_s=0.2) as models:
        with pytest.raises(ModelUnreachable, match=r"did not answer in time with m1.*PERSONAAGENT_MODEL_TIMEOUT_S"):
            await call(models)


@pytest.mark.parametrize("tail", [b"", b'data: {"choices": [{"index": 0, "delta": {"content": "Hel"}}]}\n\n'])
async def test_a_stream_that_breaks_off_is_unreachable(tail: bytes) -> None:
    async with answering(ENDLESS + tail) as models:
        with pytest.raises(ModelUnreachable):
            await streamed(models)


async def test_a_refused_connection_names_url_and_setting() -> None:
    with pytest.raises(ModelUnreachable, match=r"http://127.0.0.1:9/v1 cannot be reached .* OPENAI_BASE_URL"):
        await invoked(at("http://127.0.0.1:9/v1"))


@pytest.mark.parametrize("url", ["localhost:8080/v1", "not a url", "http://[::1/v1", "http://127.0.0.1:99999/v1"])
async def test_a_base_url_that_is_no_url_names_the_setting(url: str) -> None:
    with pytest.raises(SetupError, match="OPENAI_BASE_URL"):
        await invoked(at(url))


async def test_a_key_that_no_header_takes_is_denied() -> None:
    async with answering(http(200, "{}")) as models:
        with pytest.raises(ModelDenied, match="OPENAI_API_KEY"):
            await invoked(at(models.where(), openai_api_key="käse"))


async def test_a_failed_call_is_counted_without_tokens() -> None:
    async with answering(http(500, "")) as models:
        with metering() as meter, pytest.raises(ModelUnreachable):
            await invoked(models)
    assert (meter.total.calls, meter.total.input_tokens, meter.total.output_tokens) == (1, 0, 0)
    assert not meter.estimated


async def test_a_cancelled_call_stays_cancelled() -> None:
    async with answering(HANG) as models:
        await models.chat("agent")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(invoked(models), 0.1)
