"""Fetching the LaMP benchmark for users who have a network: what comes is checked to be JSON, then kept."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Literal

import httpx

from personaagent.errors import InputError, SetupError
from personaagent.evals.tasks.lamp import KINDS

BASE = "https://ciir.cs.umass.edu/downloads/LaMP"
By = Literal["user", "time"]
PARTS = ("questions", "outputs")


def address(kind: str, part: str, *, by: By, split: str, base: str = BASE) -> str:
    """Where the benchmark keeps a file of a task, of the user or of the time split."""
    folder = KINDS[kind].folder
    root = f"{base}/time/{folder}" if by == "time" else f"{base}/{folder}"
    return f"{root}/{split}/{split}_{part}.json"


def files_of(kind: str, cache: Path, *, by: By = "user", split: str = "dev") -> tuple[Path, Path]:
    """Where the pair is kept, whether it is there or not."""
    folder = cache / kind / by
    return folder / f"{split}_questions.json", folder / f"{split}_outputs.json"


async def fetch(
    kind: str, cache: Path, *, by: By = "user", split: str = "dev", transport: httpx.AsyncBaseTransport | None = None
) -> tuple[Path, Path]:
    """Download the pair where it is not kept yet; raises SetupError without a network or for what is not JSON."""
    if kind not in KINDS:
        raise InputError(f"there is no benchmark {kind!r}; there are: {', '.join(KINDS)}")
    paths = files_of(kind, cache, by=by, split=split)
    async with httpx.AsyncClient(timeout=120, follow_redirects=True, transport=transport) as client:
        for part, path in zip(PARTS, paths, strict=True):
            if not await asyncio.to_thread(path.exists):
                data = await _get(address(kind, part, by=by, split=split), client)
                await asyncio.to_thread(_keep, path, data)
    return paths


async def _get(url: str, client: httpx.AsyncClient) -> bytes:
    try:
        reply = await client.get(url)
        reply.raise_for_status()
    except httpx.HTTPError as error:
        raise SetupError(f"{url} cannot be fetched ({error}): download it elsewhere and give --file") from error
    # a wrong path answers 200 with a page
    try:
        await asyncio.to_thread(json.loads, reply.content)
    except ValueError as error:
        raise SetupError(f"{url} answered something that is not JSON: the benchmark may have moved") from error
    return reply.content


def _keep(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(data)
    part.replace(path)
