"""The model endpoint of the load test, in a process of its own: slow, failing now and then, and watching for leaks.

Every user has a canary, ``canary-<hex>``, which they write into all they say. The endpoint repeats each canary that it
was shown, so a memory of another user shows in the answer, and counts calls that showed it several (``GET /stats``).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

USAGE = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
CANARY = re.compile(r"canary-[0-9a-f]{12}")
TOOL_TURNS = 10  # every so manieth turn of a user calls a tool
_TURN = re.compile(r"turn (\d+)\b")


@contextmanager
def running(seconds: float, fail_every: int) -> Iterator[str]:
    """The endpoint's base URL, while its process runs; every ``fail_every``-th call fails (0: none)."""
    command = [sys.executable, "-m", "evals.perf.load_endpoint"]
    given = ["--seconds", str(seconds), "--fail-every", str(fail_every)]
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen([*command, *given], cwd=root, stdout=subprocess.PIPE, text=True)  # noqa: S603
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
    """The assistant's message: a choice or an object where a form is asked for, now and then a tool call, else text."""
    said = [str(message.get("content") or "") for message in body["messages"]]
    text = "\n".join(said)
    form = body.get("response_format", {}).get("json_schema", {}).get("schema")
    if form is not None:
        return {"role": "assistant", "content": json.dumps(_filled(form, said[0]))}
    tools = {tool["function"]["name"]: tool["function"] for tool in body.get("tools", [])}
    turn = _TURN.search(said[-1])
    if "recall" in tools and body["messages"][-1]["role"] == "user" and turn and int(turn[1]) % TOOL_TURNS == 0:
        call = {"name": "recall", "arguments": json.dumps({"query": "what to drink", "k": 5})}
        return {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function", "function": call}]}
    return {"role": "assistant", "content": f"Some tea, as ever. {' '.join(_canaries(text))}"}


def _filled(schema: dict[str, Any], text: str) -> Any:
    """Like ``fill``, but of a closed set the value that the system message names most: so a persona makes it right."""
    value = fill(schema)
    for name, inner in schema.get("properties", {}).items():
        if "enum" in inner:
            value[name] = max(inner["enum"], key=text.count)
    return value


def _canaries(text: str) -> list[str]:
    return sorted(set(CANARY.findall(text)))


async def serve(seconds: float, fail_every: int) -> None:
    """Serve until the process ends; prints the base URL first."""
    stats: Counter[str] = Counter()

    async def answer(head: str, raw: bytes) -> tuple[int, str, bytes]:
        if head.startswith("GET"):
            return 200, "application/json", json.dumps(stats).encode()
        stats["calls"] += 1
        number, body = stats["calls"], json.loads(raw)
        await asyncio.sleep(seconds)
        stats["crossed"] += len(_canaries(raw.decode())) > 1
        if fail_every and number % fail_every == 0:
            stats["failed"] += 1
            return 500, "application/json", b'{"error": {"message": "injected", "type": "server_error"}}'
        message = reply(body)
        base = {"id": "x", "created": 0, "model": body["model"]}
        finish = "tool_calls" if "tool_calls" in message else "stop"
        if not body.get("stream"):
            choice = {"index": 0, "message": message, "finish_reason": finish}
            whole = base | {"object": "chat.completion", "usage": USAGE, "choices": [choice]}
            return 200, "application/json", json.dumps(whole).encode()
        for index, call in enumerate(message.get("tool_calls", [])):
            call["index"] = index
        parts: list[dict[str, Any]] = [
            {"choices": [{"index": 0, "delta": message, "finish_reason": None}]},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]},
            {"choices": [], "usage": USAGE},
        ]
        lines = [json.dumps(base | {"object": "chat.completion.chunk"} | part) for part in parts]
        return 200, "text/event-stream", "".join(f"data: {line}\n\n" for line in [*lines, "[DONE]"]).encode()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
                status, kind, data = await answer(head, await reader.readexactly(int(length[1]) if length else 0))
                lines = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(data)}\r\n\r\n"
                writer.write(lines.encode() + data)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.2)
    parser.add_argument("--fail-every", type=int, default=0)
    given = parser.parse_args()
    asyncio.run(serve(given.seconds, given.fail_every))
