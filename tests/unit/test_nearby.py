"""Model servers on this machine are found where they are, and offered."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from personaagent.app.small_model import Nearby, described, nearby, notice
from scripted import ScriptedModels

LISTED = {"/v1/models": {"data": [{"id": "nomic-embed-text"}, {"id": "llama3.2:3b"}]}}


@pytest.fixture
def serve() -> Iterator[object]:
    servers: list[HTTPServer] = []

    def start(pages: dict[str, object]) -> int:
        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                page = pages.get(self.path)
                self.send_response(404 if page is None else 200)
                self.end_headers()
                self.wfile.write(json.dumps(page).encode())

            def log_message(self, *_: object) -> None:
                """Nothing is logged."""

        server = HTTPServer(("127.0.0.1", 0), Page)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return server.server_port

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


async def test_what_lists_models_is_found_and_anything_else_is_not(serve) -> None:  # type: ignore[no-untyped-def]
    ports = {
        "Ollama": serve(LISTED),
        "a web site": serve({"/": {}}),
        "other JSON": serve({"/v1/models": ["llama"]}),
        "no model": serve({"/v1/models": {"data": []}}),
        "nothing": 1,
    }
    assert await nearby(ports) == [Nearby("Ollama", f"http://127.0.0.1:{ports['Ollama']}/v1", "llama3.2:3b")]


def test_what_was_found_is_offered_with_its_settings() -> None:
    told = described("SmolLM2", [Nearby("Ollama", "http://127.0.0.1:11434/v1", "a model; rm")])
    assert "OPENAI_BASE_URL=http://127.0.0.1:11434/v1 PERSONAAGENT_MODEL='a model; rm'" in told
    assert "OPENAI_API_KEY" in described("SmolLM2", [])


async def test_with_an_endpoint_nothing_is_said() -> None:
    assert await notice(ScriptedModels()) is None
    assert "embedded" in str(await notice(ScriptedModels(embedded=True)))
