"""A real ``langgraph dev`` process for integration tests, and clients of it that sign in as somebody."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

ROOT = Path(__file__).resolve().parents[1]


@contextmanager
def langgraph_dev(home: Path, base_url: str, *, jobs: int = 10, **settings: str) -> Iterator[str]:
    """Yield the URL of a server over this data folder and model endpoint that works on ``jobs`` runs at once.

    ``home/server.log`` is what it says.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = home / "server.log"
    langgraph = str(Path(sys.executable).with_name("langgraph"))
    command = [langgraph, "dev", "--config", str(ROOT / "langgraph.json"), "--no-browser", "--no-reload"]
    with log.open("w") as out:
        process = subprocess.Popen(
            [*command, "--port", str(port), "--n-jobs-per-worker", str(jobs)],
            cwd=home,  # the server keeps threads in .langgraph_api of its folder, where two would mix theirs
            env=os.environ
            | {
                "OPENAI_BASE_URL": base_url,
                "OPENAI_API_KEY": "none",
                "PERSONAAGENT_HOME": str(home),
                "LANGSMITH_TRACING": "false",
                "PERSONAAGENT_TOOL_CALLING": "off",
            }
            | settings,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        try:
            _await_ok(f"http://127.0.0.1:{port}", process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(20)


def client_of(url: str, user_id: str) -> LangGraphClient:
    """A client of a server in development mode."""
    return get_client(url=url, api_key=None, headers={"X-User-Id": user_id})


def _await_ok(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(240):
        if process.poll() is not None:
            break
        try:
            if httpx.get(f"{url}/ok").status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.25)
    pytest.fail(log.read_text()[-4000:])
