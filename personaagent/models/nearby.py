"""Model servers that people run on their own machine, found on their usual ports; found is offered, never taken."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from personaagent.text import one_line

USUAL: Final = {"Ollama": 11434, "LM Studio": 1234, "llama-server": 8080}
PROBE_S = 0.5  # of each port, all at once
MAX_NAME_CHARS = 80


@dataclass(frozen=True, slots=True)
class Nearby:
    """A server on loopback that lists models: its usual name, the base URL, and the first of its models."""

    name: str
    base_url: str
    model: str


async def nearby(ports: dict[str, int] = USUAL) -> list[Nearby]:
    """The servers that answer ``GET /v1/models`` on loopback, in the order of ``ports``; never raises."""
    import httpx

    async with httpx.AsyncClient(trust_env=False, timeout=PROBE_S) as client:  # no proxy reaches this machine's ports

        async def probed(name: str, port: int) -> Nearby | None:
            url = f"http://127.0.0.1:{port}/v1"
            try:
                listed = (await client.get(f"{url}/models")).raise_for_status().json()["data"]
                # an embedding model cannot answer
                names = [str(model["id"]) for model in listed if "embed" not in str(model["id"]).casefold()]
            except (httpx.HTTPError, ValueError, KeyError, TypeError):
                return None
            return Nearby(name, url, one_line(names[0], MAX_NAME_CHARS)) if names else None

        found = await asyncio.gather(*(probed(name, port) for name, port in ports.items()))
    return [server for server in found if server is not None]
