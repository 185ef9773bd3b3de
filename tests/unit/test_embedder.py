"""The embedded embedder's contract, what it says when a file is missing, and the endpoint's error mapping."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr

from personaagent.errors import ModelDenied, ModelError, ModelOutputInvalid, ModelUnreachable, SetupError
from personaagent.models import embedder as module
from personaagent.models.embedder import EndpointEmbedder, MiniLMEmbedder, embedder_from
from personaagent.settings import Settings


@pytest.fixture(scope="module")
def embedder() -> MiniLMEmbedder:
    return MiniLMEmbedder()


ODD = ["", "   ", "\x00", "a\ud800b", "😀" * 3000, "word " * 50_000, "x" * 100_000, "東京タワー", "\u202e\n\t"]


async def test_vectors_are_unit_length_finite_and_of_the_named_shape(embedder: MiniLMEmbedder) -> None:
    vectors = await embedder.embed(ODD)
    assert vectors.shape == (len(ODD), embedder.dim) == (len(ODD), 384)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(len(ODD)), abs=1e-5)


async def test_no_texts_give_no_vectors(embedder: MiniLMEmbedder) -> None:
    assert (await embedder.embed([])).shape == (0, 384)


async def test_meaning_is_nearer_than_wording(embedder: MiniLMEmbedder) -> None:
    query, near, far = await embedder.embed(
        ["How do I cook pasta?", "Boil the spaghetti in salted water", "How do I file my taxes?"]
    )
    assert query @ near > query @ far


async def test_a_vector_does_not_depend_on_the_batch_it_came_in() -> None:
    texts = ["short", "a much longer text about the weather in the mountains " * 6, "middling length of text"]
    alone = [(await MiniLMEmbedder().embed([text]))[0] for text in texts[:2]]
    together = await MiniLMEmbedder().embed([*texts, texts[0]])
    assert np.array_equal(together[0], alone[0])
    assert np.array_equal(together[1], alone[1])
    assert np.array_equal(together[3], together[0])


async def test_short_texts_share_a_run_and_long_ones_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    embedder, runs = MiniLMEmbedder(), list[int]()
    vectors = embedder._vectors

    def watched(session: Any, texts: Any) -> Any:
        runs.append(len(texts))
        return vectors(session, texts)

    monkeypatch.setattr(embedder, "_vectors", watched)
    texts = [*(f"{'very ' * n}short" for n in range(8)), *(f"a long text about {n} things " * 30 for n in range(2))]
    together = await embedder.embed(texts)
    assert runs == [8, 1, 1]
    assert np.array_equal(together, [(await MiniLMEmbedder().embed([text]))[0] for text in texts])


async def test_text_beyond_256_tokens_does_not_count(embedder: MiniLMEmbedder) -> None:
    start = "apple " * 260
    one, other = await embedder.embed([start, start + "a wholly different ending"])
    assert np.array_equal(one, other)


async def test_many_texts_are_embedded_two_pieces_at_once_each_in_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TEXTS_A_THREAD", 1)
    embedder, both, at_work = MiniLMEmbedder(), threading.Barrier(2, timeout=10), list[int]()
    vectors, counting = embedder._vectors, threading.Lock()

    def watched(session: Any, texts: Any) -> Any:
        with counting:
            at_work.append(threading.get_ident())
        both.wait()  # breaks where only one is at work
        return vectors(session, texts)

    monkeypatch.setattr(embedder, "_vectors", watched)
    texts = [f"text number {n}" for n in range(6)]
    found = await embedder.embed(texts)
    assert all(one != other for one, other in zip(at_work[::2], at_work[1::2], strict=True))
    assert embedder._load()[1].get_session_options().intra_op_num_threads == 1
    alone = MiniLMEmbedder()
    assert np.array_equal(found, [(await alone.embed([text]))[0] for text in texts])


async def test_the_model_keeps_no_pattern_of_memory_and_no_copy_of_its_file(embedder: MiniLMEmbedder) -> None:
    await embedder.embed(["x"])
    session = embedder._load()[1]
    options = session.get_session_options()
    assert options.enable_cpu_mem_arena  # without it the threads' heaps keep 60 to 130 MB after long texts
    assert not options.enable_mem_pattern
    assert session._model_bytes is None


async def test_the_cache_is_bounded_and_callers_cannot_spoil_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CACHED_VECTORS", 2)
    embedder = MiniLMEmbedder()
    runs: list[str] = []
    embed = embedder._embed
    monkeypatch.setattr(embedder, "_embed", lambda keys: (runs.extend(keys), embed(keys))[1])
    first = await embedder.embed(["a"])
    first[:] = np.nan
    assert np.isfinite(await embedder.embed(["a"])).all()
    await embedder.embed(["b"])
    await embedder.embed(["a"])
    await embedder.embed(["c"])  # pushes b out, which was used least recently
    await embedder.embed(["a", "b"])
    assert runs == ["a", "b", "c", "b"]


async def test_many_callers_at_once_load_the_model_once(monkeypatch: pytest.MonkeyPatch) -> None:
    embedder = MiniLMEmbedder()
    loads: list[int] = []
    session = embedder._session
    monkeypatch.setattr(embedder, "_session", lambda: (loads.append(1), session())[1])
    results = await asyncio.gather(*(embedder.embed([f"text {n % 4}"]) for n in range(20)))
    assert len(loads) == 1
    assert np.array_equal(results[0], results[4])


async def test_embedding_leaves_the_event_loop_free(embedder: MiniLMEmbedder) -> None:
    work = asyncio.ensure_future(embedder.embed([f"text number {n} " * 40 for n in range(8)]))
    beats = 0
    while not work.done():
        await asyncio.sleep(0)
        beats += 1
    assert beats > 10


async def test_a_missing_package_names_the_command_that_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MODEL_PACKAGE", "not_installed_anywhere")
    with pytest.raises(SetupError, match="make setup"):
        await MiniLMEmbedder().embed(["x"])


async def test_other_files_than_the_pinned_ones_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"{}")
    with pytest.raises(SetupError, match="checksum"):
        await MiniLMEmbedder(model=other).embed(["x"])
    with pytest.raises(SetupError, match="checksum"):
        await MiniLMEmbedder(tokenizer=other).embed(["x"])
    with pytest.raises(SetupError, match="cannot be read"):
        await MiniLMEmbedder(tokenizer=tmp_path / "none").embed(["x"])


def test_settings_choose_the_embedder() -> None:
    assert isinstance(embedder_from(Settings(_env_file=None, embedding_model=None)), MiniLMEmbedder)
    chosen = embedder_from(Settings(_env_file=None, embedding_model="big", embedding_dim=3))
    assert (chosen.name, chosen.dim) == ("endpoint:big", 3)


# ---- the endpoint ----

Answer = Callable[[dict[str, Any]], tuple[int, Any]]


@asynccontextmanager
async def endpoint(answer: Answer, **options: Any) -> AsyncIterator[EndpointEmbedder]:
    """An embedder on a small HTTP server that answers each request body with a status and a JSON document."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length:")[1].split("\r\n")[0])
        status, document = answer(json.loads(await reader.readexactly(length)))
        body = json.dumps(document).encode()
        writer.write(
            f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nConnection: close\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        settings = {"retries": 0, "timeout_s": 5.0, **options}
        yield EndpointEmbedder("m", 3, base_url=f"http://127.0.0.1:{port}/v1", api_key=SecretStr("k"), **settings)


def data(*rows: list[float]) -> tuple[int, Any]:
    listed = [{"object": "embedding", "index": i, "embedding": row} for i, row in enumerate(rows)]
    return 200, {"object": "list", "model": "m", "data": listed, "usage": {"prompt_tokens": 1, "total_tokens": 1}}


async def test_endpoint_vectors_are_made_unit_length_and_blank_text_is_never_sent() -> None:
    sent: list[Any] = []

    def answer(body: dict[str, Any]) -> tuple[int, Any]:
        sent.extend(body["input"])
        return data(*([3.0, 0.0, 4.0] for _ in body["input"]))

    async with endpoint(answer) as embedder:
        vectors = await embedder.embed(["hello", "", "  "])
        assert (await embedder.embed([])).shape == (0, 3)
    assert vectors == pytest.approx(np.array([[0.6, 0, 0.8]] * 3))
    assert all(isinstance(text, str) and text.strip() for text in sent)


TOO_LONG = {"error": {"message": "input is too long: 512 tokens at most"}}
OF_TEI = {
    "error": "Input validation error: `inputs` must have less than 512 tokens. Given: 1350",
    "error_type": "Validation",
}


@pytest.mark.parametrize(("status", "said"), [(400, TOO_LONG), (413, TOO_LONG), (500, TOO_LONG), (413, OF_TEI)])
async def test_a_text_that_is_too_long_is_cut_and_costs_no_other(status: int, said: dict[str, Any]) -> None:
    def answer(body: dict[str, Any]) -> tuple[int, Any]:
        if any(len(text) > 600 for text in body["input"]):
            return status, said
        return data(*([1.0, float(len(text)), 0.0] for text in body["input"]))

    async with endpoint(answer) as embedder:
        vectors = await embedder.embed(["a", "bb", "x" * 5_400, "cccc"])
    assert [round(float(row[1] / row[0])) for row in vectors] == [1, 2, 337, 4]


REFUSALS: list[tuple[tuple[int, Any], type[Exception], str]] = [
    ((401, {"error": {"message": "bad key"}}), ModelDenied, "OPENAI_API_KEY"),
    ((403, {"error": {"message": "no"}}), ModelDenied, "OPENAI_API_KEY"),
    ((429, {"error": {"message": "slow down"}}), ModelUnreachable, "OPENAI_BASE_URL"),
    ((500, {"error": {"message": "boom"}}), ModelUnreachable, "OPENAI_BASE_URL"),
    ((404, {"error": {"message": "no such model"}}), ModelError, "PERSONAAGENT_EMBEDDING_MODEL"),
    (data([1.0, 2.0]), SetupError, "PERSONAAGENT_EMBEDDING_DIM=2"),
    (data([0.0, 0.0, 0.0]), ModelOutputInvalid, "zero"),
    (data([1.0, float("nan"), 0.0]), ModelOutputInvalid, "finite"),
    (data([1.0, 0.0, 0.0], [1.0, 0.0, 0.0]), ModelOutputInvalid, "2 vectors for 1"),
    ((200, {"object": "list", "data": []}), ModelOutputInvalid, "127.0.0.1"),
]


@pytest.mark.parametrize(("reply", "error", "hint"), REFUSALS, ids=range(len(REFUSALS)))
async def test_what_an_endpoint_refuses_has_a_name_and_a_hint(
    reply: tuple[int, Any], error: type[Exception], hint: str
) -> None:
    async with endpoint(lambda body: reply) as embedder:
        with pytest.raises(error, match=hint):
            await embedder.embed(["x"])


async def test_an_endpoint_that_is_not_there_is_unreachable() -> None:
    embedder = EndpointEmbedder("m", 3, base_url="http://127.0.0.1:9/v1", api_key=SecretStr("k"), retries=0)
    call: Awaitable[Any] = embedder.embed(["x"])
    with pytest.raises(ModelUnreachable):
        await call


async def test_an_endpoint_without_a_key_says_which_setting_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SetupError, match="OPENAI_API_KEY"):
        await EndpointEmbedder("m", 3, base_url="http://127.0.0.1:9/v1").embed(["x"])
