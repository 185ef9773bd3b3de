"""The server under load: a real ``langgraph dev`` process that can be killed and started again over the same data."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil  # type: ignore[import-untyped]

ROOT = Path(__file__).resolve().parents[2]
JOBS = 60  # runs at once: fifty users and their alignments
START_S, STOP_S = 90.0, 60.0
SAMPLE_S = 2.0
_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)


@dataclass
class Server:
    """One server over ``folder``, which holds its data, its log and what LangGraph keeps beside the working directory.

    ``totals`` are the counters of its metrics over all of its processes, a killed one's as they were read last.
    """

    folder: Path
    environment: Mapping[str, str]
    config: Mapping[str, Any] = field(default_factory=dict)  # takes the place of the project's; None: leaves it out
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    memory: list[tuple[float, int, float]] = field(default_factory=list)  # (seconds, process number, MB)
    starts: int = 0
    _earlier: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    _latest: dict[str, float] = field(default_factory=dict)
    _began: float = 0.0

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def home(self) -> Path:
        """The data folder."""
        return self.folder / "home"

    @property
    def log(self) -> Path:
        """What all of its processes said."""
        return self.folder / "server.log"

    @property
    def totals(self) -> dict[str, float]:
        """Every counter and histogram part by its full name with labels."""
        names = set(self._earlier) | set(self._latest)
        return {name: self._earlier.get(name, 0.0) + self._latest.get(name, 0.0) for name in names}

    async def start(self) -> None:
        """Start it and wait until it answers; raises RuntimeError with the end of its log."""
        if not self.port:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
            self.home.mkdir(parents=True, exist_ok=True)
            (self.folder / "langgraph.json").write_text(json.dumps(_config(self.config)))
            self._began = time.perf_counter()
        command = [str(Path(sys.executable).with_name("langgraph")), "dev", "--no-browser", "--no-reload"]
        with self.log.open("a") as out:
            self.process = subprocess.Popen(  # noqa: ASYNC220, S603 (our own command)
                [*command, "--port", str(self.port), "--n-jobs-per-worker", str(JOBS)],
                cwd=self.folder,
                env=os.environ | {"PERSONAAGENT_HOME": str(self.home)} | dict(self.environment),
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self.starts += 1
        until = time.perf_counter() + START_S
        async with httpx.AsyncClient() as client:
            while time.perf_counter() < until and self.process.poll() is None:
                try:
                    if (await client.get(f"{self.url}/ok")).status_code == httpx.codes.OK:
                        return
                except httpx.TransportError:
                    await asyncio.sleep(0.2)
        raise RuntimeError(f"the server did not start:\n{self.log.read_text()[-4_000:]}")

    async def kill(self) -> None:
        """SIGKILL: nothing is flushed, nothing is said."""
        assert self.process is not None
        await self.observe()
        self.process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(self.process.wait)
        self._close_books()

    async def stop(self) -> int:
        """SIGTERM, as an orchestrator stops it; returns the exit code. Killed when it has not ended in time."""
        assert self.process is not None
        await self.observe()
        self.process.terminate()
        try:
            code = await asyncio.to_thread(self.process.wait, STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = await asyncio.to_thread(self.process.wait)
        self._close_books()
        return code

    async def watch(self) -> None:
        """Note memory and metrics until cancelled."""
        while True:
            await asyncio.sleep(SAMPLE_S)
            if self.process is None or self.process.poll() is not None:
                continue
            try:
                resident = psutil.Process(self.process.pid).memory_info().rss / 1e6
            except psutil.NoSuchProcess:
                continue
            self.memory.append((time.perf_counter() - self._began, self.starts, resident))
            await self.observe()

    async def observe(self) -> dict[str, float]:
        """Read the metrics of the running process; the last ones where it does not answer."""
        try:
            async with httpx.AsyncClient(timeout=10) as client:
                text = (await client.get(f"{self.url}/metrics")).text
        except httpx.HTTPError:
            return self._latest
        self._latest = {
            f"{name}{{{labels}}}" if labels else name: float(value) for name, labels, value in _SAMPLE.findall(text)
        }
        return self._latest

    def _close_books(self) -> None:
        for name, value in self._latest.items():
            if name.partition("{")[0].endswith(("_total", "_count", "_sum", "_bucket")):
                self._earlier[name] += value
        self._latest = {}


def _config(other: Mapping[str, Any]) -> dict[str, Any]:
    """The project's langgraph.json, for a working directory of its own: LangGraph keeps its state beside it."""
    config: dict[str, Any] = json.loads((ROOT / "langgraph.json").read_text())
    checkpoints = {"path": f"{ROOT / 'evals/perf/load_checkpoints.py'}:checkpointer"}
    config |= {"dependencies": [str(ROOT)], "env": {}, "checkpointer": checkpoints, **other}
    return {key: value for key, value in config.items() if value is not None}
