"""What every test stands on: no network but loopback, no settings of the developer, a data folder of its own.

Those folders are in memory where there is room: an index is made for every second test, with 400 syncs to the disk.

Being here puts ``tests/`` on ``sys.path``, so tests import ``scripted`` and ``stub_endpoint`` by name.
"""

from __future__ import annotations

import ipaddress
import os
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest

from personaagent.settings import Settings

OURS = ("OPENAI_", "LANGSMITH_", "LANGCHAIN_", "PERSONAAGENT_", "QDRANT_", "DATABASE_URL")
KEPT = "PERSONAAGENT_TEST_"  # where tests find a Postgres or a Qdrant server, if there is one


SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 (pytest makes a folder of its own in it, which only we can read)
ROOM = 4 << 30  # bytes; an index takes 28 MB until its test is over


def pytest_configure() -> None:
    """Have pytest make its folders in memory, unless somebody chose a place for them or they would not fit there."""
    chosen = {"PYTEST_DEBUG_TEMPROOT", "TMPDIR"} & os.environ.keys()
    if not chosen and SHARED_MEMORY.is_dir() and os.access(SHARED_MEMORY, os.W_OK):
        runs_programs = not os.statvfs(SHARED_MEMORY).f_flag & os.ST_NOEXEC
        if runs_programs and shutil.disk_usage(SHARED_MEMORY).free >= ROOM:
            os.environ["PYTEST_DEBUG_TEMPROOT"] = str(SHARED_MEMORY)


class NetworkBlockedError(OSError):
    """A test reached for the network."""


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Settings start from their defaults, whatever the developer's environment and ``.env`` say; yields the home."""
    for name in os.environ:
        if name.startswith(OURS) and not name.startswith(KEPT):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    monkeypatch.setenv("PERSONAAGENT_HOME", str(home))
    monkeypatch.setenv("LANGSMITH_TRACING", "false")
    monkeypatch.setitem(Settings.model_config, "env_file", None)
    return home


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Outside of integration tests, only loopback and Unix sockets can be reached."""
    if "integration" in request.path.parts:
        return
    monkeypatch.setattr(socket.socket, "connect", _guarded(socket.socket.connect))
    monkeypatch.setattr(socket.socket, "connect_ex", _guarded(socket.socket.connect_ex))
    resolve = socket.getaddrinfo

    def resolve_loopback(host: Any, *args: Any, **kwargs: Any) -> Any:
        _check(host)
        return resolve(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve_loopback)


def _guarded(connect: Any) -> Any:
    def guarded(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            _check(address[0])
        return connect(self, address)

    return guarded


def _check(host: Any) -> None:
    name = host.decode() if isinstance(host, bytes) else host
    if name in (None, "", "localhost"):
        return
    try:
        loopback = ipaddress.ip_address(name).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise NetworkBlockedError(f"a test reached for {name}: tests use loopback only")
