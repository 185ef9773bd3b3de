"""An OpenAI-compatible endpoint on loopback that answers by a function, for tests of the front doors."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = Callable[[dict[str, Any]], dict[str, Any]]


def obliging(body: dict[str, Any]) -> dict[str, Any]:
    """Answer by the form that is asked for: an enum's first value, an empty object, else plain text."""
    form = body.get("response_format", {}).get("json_schema", {}).get("schema")
    if form is None:
        return {"content": f"You said: {body['messages'][-1]['content'][-200:]}"}
    return {"content": json.dumps(_fill(form))}


def _fill(schema: dict[str, Any]) -> Any:
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object":
        return {name: _fill(inner) for name, inner in schema.get("properties", {}).items()}
    return {"array": [], "string": "", "number": 0, "integer": 0, "boolean": False}.get(str(kind))


@contextmanager
def endpoint(reply: Reply = obliging, *, seconds: float = 0.0) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield the base URL and the list of request bodies as they come in; each call takes ``seconds``."""
    seen: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append(body)
            time.sleep(seconds)
            message = {"role": "assistant", "content": None} | reply(body)
            finish = "tool_calls" if message.get("tool_calls") else "stop"
            usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
            base = {"id": "stub", "created": 0, "model": body.get("model", "stub")}
            if not body.get("stream"):
                choice = {"index": 0, "message": message, "finish_reason": finish}
                self._send(base | {"object": "chat.completion", "choices": [choice], "usage": usage})
                return
            for n, call in enumerate(message.get("tool_calls") or []):
                call["index"] = n
            chunks: list[dict[str, Any]] = [
                {"choices": [{"index": 0, "delta": message, "finish_reason": None}]},
                {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]},
                {"choices": [], "usage": usage},
            ]
            lines = [json.dumps(base | {"object": "chat.completion.chunk"} | chunk) for chunk in chunks]
            text = "".join(f"data: {line}\n\n" for line in [*lines, "[DONE]"])
            self._write(text.encode(), "text/event-stream")

        def do_GET(self) -> None:
            self._send({"object": "list", "data": [{"id": "stub", "object": "model"}]})

        def _send(self, value: dict[str, Any]) -> None:
            self._write(json.dumps(value).encode(), "application/json")

        def _write(self, data: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """Keep the test output quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", seen
    finally:
        server.shutdown()
        server.server_close()
