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


def refusing(message: str, status: int = 400, **told: Any) -> dict[str, Any]:
    """A reply that refuses the request."""
    return {"refused": (status, {"error": {"message": message, "type": "invalid_request_error", **told}})}


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
def endpoint(
    reply: Reply = obliging, *, seconds: float = 0.0, routes: dict[str, Any] | None = None
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield the base URL and the list of request bodies as they come in; each call takes ``seconds``.

    ``routes`` are further addresses and what they answer. A reply's ``finish_reason`` is the answer's; None: a stream
    that just ends.
    """
    seen: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if not self.path.startswith("/v1/"):
                known = (routes or {}).get(self.path)
                self._send({} if known is None else known, 404 if known is None else 200)
                return
            seen.append(body)
            time.sleep(seconds)
            told = reply(body)
            if "refused" in told:
                self._send(told["refused"][1], told["refused"][0])
                return
            message = {"role": "assistant", "content": None} | told
            finish = message.pop("finish_reason", "tool_calls" if message.get("tool_calls") else "stop")
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
            if finish is None:
                chunks = chunks[:1]
            lines = [json.dumps(base | {"object": "chat.completion.chunk"} | chunk) for chunk in chunks]
            text = "".join(f"data: {line}\n\n" for line in [*lines, "[DONE]"])
            self._write(text.encode(), "text/event-stream")

        def do_GET(self) -> None:
            known = {"/v1/models": {"object": "list", "data": [{"id": "stub", "object": "model"}]}} | (routes or {})
            found = known.get(self.path)
            self._send({"error": "no such route"} if found is None else found, 404 if found is None else 200)

        def _send(self, value: dict[str, Any], status: int = 200) -> None:
            self._write(json.dumps(value).encode(), "application/json", status)

        def _write(self, data: bytes, kind: str, status: int = 200) -> None:
            self.send_response(status)
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
