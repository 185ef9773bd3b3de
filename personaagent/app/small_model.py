"""What a user without an endpoint is told: what the embedded model is good for, and how to get a better one."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from personaagent.ports import Models
from personaagent.text import one_line


async def notice(models: Models) -> str | None:
    """The first line of a conversation on the embedded model; None where an endpoint answers."""
    return described(models.name("agent"), await nearby()) if models.embedded else None


def described(model: str, servers: Sequence[Nearby]) -> str:
    """What the model can do, and the settings of a better one: of a server found here, or of any."""
    can = (
        f"{model}, a tiny embedded model, answers: good for picking from known answers (--choice), poor at talk and "
        "facts, and it learns only from what you correct."
    )
    if not servers:
        return f"{can} For a better one set OPENAI_API_KEY, or OPENAI_BASE_URL to any OpenAI-compatible server."
    server = servers[0]
    return (
        f"{can} {server.name} runs on this machine: to use it, set OPENAI_BASE_URL={server.base_url} "
        f"PERSONAAGENT_MODEL={shlex.quote(server.model)}"
    )


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
