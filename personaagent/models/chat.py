"""Chat models by role, from settings: one OpenAI-compatible endpoint, or the embedded model where none is set."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from personaagent.errors import SetupError
from personaagent.models import constrained
from personaagent.models.embedded import embedded_base_url, embedded_name
from personaagent.ports import Role
from personaagent.settings import Settings

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import BaseMessage

OPENAI = "https://api.openai.com/v1"


class ModelsFromSettings:
    """Implements ``ports.Models``. Making it does no I/O; the first ``chat`` imports the client and starts the model.

    The embedded model runs when neither OPENAI_API_KEY nor OPENAI_BASE_URL is set.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._key = settings.openai_api_key.get_secret_value().strip() if settings.openai_api_key else ""
        self._url = (settings.openai_base_url or "").strip()
        self.embedded = not (self._key or self._url)
        self._url = self._url or OPENAI
        self.tool_calling = settings.tool_calling == "on" or (settings.tool_calling == "auto" and not self.embedded)
        self._opening = threading.Lock()
        # a connection belongs to the event loop it was opened on, and a server may run several
        self._opened: dict[tuple[asyncio.AbstractEventLoop, Role], Any] = {}

    def name(self, role: Role) -> str:
        """The model's name, for records."""
        if self.embedded:
            return embedded_name(self._settings)
        named: str | None = getattr(self._settings, f"{role}_model")
        return named or self._settings.model

    def where(self) -> str:
        """Where the models run, for messages: the endpoint's URL without what may be a password in it."""
        return "the embedded model" if self.embedded else re.sub(r"//[^/]*@", "//", self._url)

    async def chat(self, role: Role) -> BaseChatModel:
        """The chat model of a role, for the running event loop.

        Raises SetupError where the embedded model cannot run or OPENAI_BASE_URL is not a URL.
        """
        loop = asyncio.get_running_loop()
        if (loop, role) not in self._opened:
            url = await embedded_base_url(self._settings) if self.embedded else _checked_url(self._url)
            await asyncio.to_thread(self._open, loop, role, url)
        model: BaseChatModel = self._opened[loop, role]
        return model

    async def choose(self, role: Role, messages: Sequence[BaseMessage], choices: Sequence[str]) -> str:
        """Ask for exactly one of ``choices``; raises ModelOutputInvalid for anything else."""
        return await constrained.choose(await self.chat(role), messages, choices, grammar=self.embedded)

    async def structured(
        self, role: Role, messages: Sequence[BaseMessage], schema: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Ask for a JSON object of that JSON schema; raises ModelOutputInvalid when it is not of that form."""
        return await constrained.structured(await self.chat(role), messages, schema)

    async def close(self) -> None:
        """Close the connections of the running event loop; the embedded model runs on until the process ends."""
        loop = asyncio.get_running_loop()
        with self._opening:
            clients = [self._opened.pop(key).http_async_client for key in list(self._opened) if key[0] is loop]
        for client in clients:
            await client.aclose()

    def _open(self, loop: asyncio.AbstractEventLoop, role: Role, url: str) -> None:
        import openai

        from personaagent.models.client import MeteredChat

        settings, model = self._settings, self.name(role)
        # one slot serves the embedded calls in turn, so the last of them waits for the others
        timeout = settings.model_timeout_s * (settings.max_concurrency if self.embedded else 1)
        with self._opening:
            for key in [key for key in self._opened if key[0].is_closed()]:
                del self._opened[key]
            if (loop, role) in self._opened:
                return
            self._opened[loop, role] = MeteredChat(
                role=role,
                where=self.where(),
                model=model,
                tags=[f"role:{role}"],
                metadata={"role": role},
                base_url=url,
                api_key=SecretStr(self._key or "none"),
                temperature=0,
                timeout=timeout,
                stream_chunk_timeout=timeout,
                max_retries=0 if self.embedded else settings.model_retries,
                stream_usage=True,
                # a proxy of the environment cannot reach into this process
                http_async_client=openai.DefaultAsyncHttpxClient(timeout=timeout, trust_env=not self.embedded),
            )


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # unbalanced brackets, or a port beyond 65535
        usable = False
    if not usable:
        raise SetupError("OPENAI_BASE_URL is not a URL: write it like http://localhost:11434/v1")
    return url
