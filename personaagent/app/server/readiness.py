"""Whether this process can serve: its ledger, its index and its model endpoint, asked briefly and not too often."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Final, Literal

from personaagent.errors import ModelUnreachable, PersonaAgentError

if TYPE_CHECKING:
    from personaagent.graph.services import Services

Part = Literal["ledger", "index", "model"]
Status = Literal["ok", "degraded", "down"]
PATIENCE_S: Final = 3.0
FRESH_S: Final = 5.0  # anybody may ask, and asking must not become load on what is asked
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """``down``: no turn can be answered and kept; ``degraded``: turns go on without memory; with each part's word."""

    status: Status
    parts: dict[Part, Literal["ok", "down"]]


class Probe:
    """Asks the parts of these services; an answer holds for ``FRESH_S`` seconds."""

    def __init__(self, services: Services, *, patience_s: float = PATIENCE_S, fresh_s: float = FRESH_S) -> None:
        self._services = services
        self._patience_s = patience_s
        self._fresh_s = fresh_s
        self._asking = asyncio.Lock()
        self._last: tuple[float, Readiness] | None = None

    async def ready(self) -> Readiness:
        """How it is now, or was some seconds ago."""
        async with self._asking:
            if self._last is None or monotonic() - self._last[0] > self._fresh_s:
                self._last = monotonic(), await self._ask()
            return self._last[1]

    async def _ask(self) -> Readiness:
        services = self._services
        ledger, index, model = await asyncio.gather(
            self._answers("ledger", services.outbox.depth),
            self._answers("index", services.index.count),
            self._answers("model", self._model),
        )
        status: Status = "ok" if index else "degraded"
        if not (ledger and model):
            status = "down"
        words: dict[Part, Literal["ok", "down"]] = {
            "ledger": "ok" if ledger else "down",
            "index": "ok" if index else "down",
            "model": "ok" if model else "down",
        }
        return Readiness(status=status, parts=words)

    async def _answers(self, part: Part, ask: Callable[[], Awaitable[object]]) -> bool:
        try:
            async with asyncio.timeout(self._patience_s):
                await ask()
        except (PersonaAgentError, TimeoutError) as error:
            # the reason may name addresses: it is for the log, not for whoever asks
            _log.warning("not ready: %s: %s", part, str(error) or "no answer in time")
            return False
        return True

    async def _model(self) -> None:
        """Raise ModelUnreachable unless something answers at the endpoint, whatever it says without a key."""
        import httpx

        url = self._services.settings.openai_base_url
        if not url:
            return  # the embedded model runs in this process, and OpenAI's own endpoint is not ours to watch
        client = await asyncio.to_thread(httpx.AsyncClient, timeout=self._patience_s)  # making it reads certificates
        async with client:
            try:
                await client.get(f"{url.rstrip('/')}/models")
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise ModelUnreachable(f"the model endpoint cannot be reached ({type(error).__name__})") from error
