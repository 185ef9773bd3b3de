"""An OpenAI-compatible endpoint on loopback that takes a fixed time for every call, in a process of its own.

``with running(seconds=0.2) as url``. It answers by the form that is asked for: a tool where tools are forced, an
object where a JSON schema is given, the second choice of an enum, else a sentence. So any optimizer that speaks to an
OpenAI endpoint can be timed on the same calls, whatever it asks.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

USAGE = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
TOOLS = ("recommend", "OptimizedPromptOutput")  # called first where they are offered


@contextmanager
def running(seconds: float) -> Iterator[str]:
    """The endpoint's base URL, while its process runs."""
    command = [sys.executable, str(Path(__file__)), "--seconds", str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 (our own file)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(10)


def fill(schema: dict[str, Any], defs: dict[str, Any] | None = None) -> Any:
    """A value of that JSON schema."""
    defs = defs or schema.get("$defs", {})
    if "$ref" in schema:
        return fill(defs[schema["$ref"].rsplit("/", 1)[-1]], defs)
    if "anyOf" in schema:
        return fill(schema["anyOf"][0], defs)
    if "enum" in schema:
        return schema["enum"][-1]
    kind = schema.get("type")
    if kind == "object":
        return {name: fill(inner, defs) for name, inner in schema.get("properties", {}).items()}
    if kind == "array":
        return [fill(schema["items"], defs)] if "items" in schema else []
    return {"number": 1, "integer": 1, "boolean": True}.get(str(kind), "Likes strong tea with milk.")


def reply(body: dict[str, Any]) -> dict[str, Any]:
    """The assistant's message for this request."""
    form = body.get("response_format", {}).get("json_schema", {}).get("schema")
    if form is not None:
        return {"role": "assistant", "content": json.dumps(fill(form))}
    tools = {tool["function"]["name"]: tool["function"] for tool in body.get("tools", [])}
    if tools:
        name = next((name for name in TOOLS if name in tools), next(iter(tools)))
        call = {"name": name, "arguments": json.dumps(fill(tools[name].get("parameters", {})))}
        return {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function", "function": call}]}
    text = "<IMPROVED_VARIABLE>Likes strong tea with milk.</IMPROVED_VARIABLE>"
    return {"role": "assistant", "content": text}


async def serve(seconds: float) -> None:
    """Serve until the process ends; prints the base URL first."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = next(int(line[15:]) for line in head.splitlines() if line.startswith("content-length:"))
                body = json.loads(await reader.readexactly(length))
                await asyncio.sleep(seconds)
                message = reply(body)
                done = "tool_calls" if "tool_calls" in message else "stop"
                answer = json.dumps(
                    {
                        "id": "x", "object": "chat.completion", "created": 0, "model": body["model"], "usage": USAGE,
                        "choices": [{"index": 0, "message": message, "finish_reason": done}],
                    }
                ).encode()  # fmt: skip
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ")
                writer.write(str(len(answer)).encode() + b"\r\n\r\n" + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.2)
    asyncio.run(serve(parser.parse_args().seconds))
