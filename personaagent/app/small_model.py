"""What a user without an endpoint is told: what the embedded model is good for, and how to get a better one."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from personaagent.models.nearby import Nearby, nearby
from personaagent.ports import Models


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
