"""A LangSmith on loopback that records what arrives: runs, feedback, and a hub of prompts."""

from __future__ import annotations

import gzip
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs
from uuid import uuid4

import zstandard
from langsmith.utils import get_env_var

PROJECT = "0b6a0c6e-0000-4000-8000-00000000beef"


class LangSmithStub:
    """What arrived. ``raw`` is every body, decompressed; ``runs`` are merged by id; ``prompts`` is the hub."""

    def __init__(self) -> None:
        self.url = ""
        self.raw: list[str] = []
        self.runs: dict[str, dict[str, Any]] = {}
        self.feedback: list[dict[str, Any]] = []
        self.prompts: dict[str, list[dict[str, Any]]] = {}  # commits by name, oldest first
        self.hub_calls: list[str] = []
        self.down = False
        self.content_type = ""  # of the request that is being answered
        self.seconds = 0.0  # that every answer takes
        self.requests: list[str] = []  # every one, as "METHOD /path"
        self.datasets: dict[str, dict[str, Any]] = {}  # by id
        self.examples: dict[str, list[dict[str, Any]]] = {}  # by dataset
        self.experiments: dict[str, dict[str, Any]] = {}  # by id

    def root(self, name: str) -> dict[str, Any]:
        """The newest root run of that name."""
        return [r for r in self.runs.values() if r.get("name") == name and not r.get("parent_run_id")][-1]

    def sent(self) -> str:
        """Everything that arrived, as one text."""
        return "\n".join(self.raw)

    def take_multipart(self, body: bytes, content_type: str) -> None:
        message = message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
        for part in message.walk():
            if part.is_multipart():
                continue
            name = str(part.get_param("name", header="content-disposition"))
            value = json.loads(part.get_payload(decode=True))  # type: ignore[arg-type]
            kind, key, *field = name.split(".")
            if kind == "feedback":
                self.feedback.append(value)
                continue
            run = self.runs.setdefault(key, {})
            run.update({field[0]: value} if field else {k: v for k, v in value.items() if v is not None})

    def evaluation(self, method: str, path: str, body: bytes) -> Any:
        """Answer the routes of data sets and experiments; None for every other."""
        route, _, query = path.partition("?")
        asked = {key: values[0] for key, values in parse_qs(query).items()}
        now = "2026-01-01T00:00:00Z"
        if route == "/datasets" and method == "POST":
            made = json.loads(body) | {"id": str(uuid4()), "created_at": now, "tenant_id": PROJECT}
            self.datasets[made["id"]], self.examples[made["id"]] = made, []
            return made
        if route == "/datasets":
            return [d for d in self.datasets.values() if d["name"] == asked.get("name")]
        if found := re.search(r"/datasets/([\w-]+)/examples$", route):
            self.examples[found[1]] += _examples(body, self.content_type, found[1])
            return {"count": len(self.examples[found[1]]), "example_ids": [e["id"] for e in self.examples[found[1]]]}
        if found := re.fullmatch(r"/datasets/([\w-]+)", route):
            return self.datasets[found[1]]
        if route == "/examples":
            return self.examples[asked["dataset"]][int(asked.get("offset", 0)) :]
        if route == "/sessions" and method == "POST":
            made = json.loads(body) | {"start_time": now, "tenant_id": PROJECT}
            self.experiments[made["id"]] = made
            return made
        if (found := re.fullmatch(r"/sessions/([\w-]+)", route)) and found[1] in self.experiments:
            told = json.loads(body) if body else {}
            self.experiments[found[1]].update({k: v for k, v in told.items() if v is not None})
            return self.experiments[found[1]]
        return None

    def hub(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """Answer the routes that the client's pull and push of prompts use."""
        self.hub_calls.append(f"{method} {path}")
        if path == "/settings":
            return 200, {"id": str(uuid4()), "display_name": "test", "created_at": "2026-01-01T00:00:00Z"}
        if path == "/repos" and method == "POST":
            self.prompts[body["repo_handle"]] = []
            return 200, {"repo": _repo(body["repo_handle"])}
        if found := re.fullmatch(r"/repos/[\w-]+/([\w-]+)", path):
            return (200, {"repo": _repo(found[1])}) if found[1] in self.prompts else (404, {})
        if found := re.fullmatch(r"/commits/[\w-]+/([\w-]+)/?([\w-]*)(?:\?.*)?", path):
            if found[1] not in self.prompts:
                return 404, {"detail": "not found"}
            commits = self.prompts[found[1]]
            if method == "POST":
                made = {"commit_hash": f"{len(commits) + 1:08x}", "id": str(uuid4()), "manifest": body["manifest"]}
                commits.append(made)
                return 200, {"commit": made}
            if not found[2]:
                return 200, {"commits": commits[::-1], "total": len(commits)}
            return (200, {**commits[-1], "examples": []}) if commits else (404, {})
        return 404, {}


def _examples(body: bytes, content_type: str, dataset_id: str) -> list[dict[str, Any]]:
    """The examples of a multipart upload: parts are named ``ID`` and ``ID.inputs`` and the like."""
    made: dict[str, dict[str, Any]] = {}
    message = message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    for part in message.walk():
        if not part.is_multipart():
            key, *field = str(part.get_param("name", header="content-disposition")).split(".")
            value = json.loads(part.get_payload(decode=True))  # type: ignore[arg-type]
            made.setdefault(key, {"id": key, "dataset_id": dataset_id, "created_at": "2026-01-01T00:00:00Z"})
            made[key].update({field[0]: value} if field else {k: v for k, v in value.items() if v is not None})
    return list(made.values())


def forget_environment() -> None:
    """Let LangSmith's client read LANGSMITH_* anew, which it keeps once it did."""
    get_env_var.cache_clear()  # type: ignore[attr-defined]


def _repo(name: str) -> dict[str, Any]:
    now = "2026-01-01T00:00:00Z"
    counts = dict.fromkeys(("num_likes", "num_downloads", "num_views", "num_commits"), 0)
    return {
        "repo_handle": name, "description": "", "readme": "", "id": str(uuid4()), "tenant_id": str(uuid4()),
        "created_at": now, "updated_at": now, "is_public": False, "is_archived": False, "tags": [],
        "original_repo_id": None, "upstream_repo_id": None, "owner": None, "full_name": f"-/{name}", **counts,
    }  # fmt: skip


@contextmanager
def langsmith_stub() -> Iterator[LangSmithStub]:
    """Yield a running stub; ``stub.url`` is its LANGSMITH_ENDPOINT."""
    stub = LangSmithStub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self, method: str) -> None:
            body = self._body()
            path = self.path
            stub.content_type = self.headers.get("Content-Type", "")
            stub.requests.append(f"{method} {path}")
            time.sleep(stub.seconds)
            if stub.down:
                return self._send(503, {"detail": "down"})
            if path == "/info":
                batch = {"use_multipart_endpoint": True, "size_limit": 100, "size_limit_bytes": 20_000_000,
                         "scale_up_nthreads_limit": 2, "scale_up_qsize_trigger": 1000,
                         "scale_down_nempty_trigger": 4}  # fmt: skip
                return self._send(200, {"version": "0.13.0", "batch_ingest_config": batch,
                                        "instance_flags": {"zstd_compression_enabled": True,
                                                           "dataset_examples_multipart_enabled": True}})  # fmt: skip
            if (answer := stub.evaluation(method, path, body)) is not None:
                return self._send(200, answer)
            if path.startswith("/sessions"):
                return self._send(200, [{"id": PROJECT, "name": "default", "tenant_id": PROJECT,
                                         "reference_dataset_id": None, "start_time": "2026-01-01T00:00Z"}])  # fmt: skip
            if body:
                stub.raw.append(body.decode("utf-8", "replace"))
            if path == "/runs/multipart":
                stub.take_multipart(body, self.headers["Content-Type"])
                return self._send(202, {})
            if path == "/feedback":
                stub.feedback.append(json.loads(body))
                return self._send(200, {})
            return self._send(*stub.hub(method, path, json.loads(body) if body else None))

        def do_GET(self) -> None:
            self._answer("GET")

        def do_POST(self) -> None:
            self._answer("POST")

        def do_PATCH(self) -> None:
            self._answer("PATCH")

        def _body(self) -> bytes:
            data = b""
            if self.headers.get("Transfer-Encoding") == "chunked":
                while size := int(self.rfile.readline().strip(), 16):
                    data += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            else:
                data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            match self.headers.get("Content-Encoding"):
                case "zstd":
                    return zstandard.ZstdDecompressor().decompressobj().decompress(data)
                case "gzip":
                    return gzip.decompress(data)
            return data

        def _send(self, status: int, value: Any) -> None:
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """Keep the test output quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
