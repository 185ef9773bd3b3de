"""What QdrantIndex sends, and what it does when the server is busy, wrong or away: checked on a stub over HTTP."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from personaagent.errors import EmbedderChanged, IndexUnavailable, InvalidVector
from personaagent.memory import index_qdrant
from personaagent.memory.index_common import point_id
from personaagent.memory.index_qdrant import QdrantIndex
from personaagent.ports import Point, Where

DIM = 4
OURS = "episodes__test__4"
VECTOR = np.eye(DIM, dtype=np.float32)[0]
WHEN = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
MICROSECONDS = 1767323045678901


@dataclass
class Stub:
    """A Qdrant server as far as the index sees one: it records requests and fails on demand."""

    collections: set[str] = field(default_factory=set)
    indexed: set[str] = field(default_factory=set)
    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    failures: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    fail_on: str = "/points"
    answers: list[Any] = field(default_factory=list)
    url: str = ""

    def sent(self, pattern: str) -> list[Any]:
        return [body for method, path, body in self.requests if re.search(pattern, f"{method} {path}")]

    def answer(self, method: str, path: str, body: Any) -> tuple[int, dict[str, str], Any]:
        self.requests.append((method, path, body))
        if self.failures and self.fail_on in path:
            status, headers = self.failures.pop(0)
            return status, headers, {"status": {"error": "injected"}, "time": 0.0}
        return 200, {}, {"status": "ok", "time": 0.0, "result": self.result(method, path, body)}

    def result(self, method: str, path: str, body: Any) -> Any:
        name = path.split("?", maxsplit=1)[0].removeprefix("/collections").strip("/").split("/")[0]
        if path == "/collections":
            return {"collections": [{"name": name} for name in sorted(self.collections)]}
        if path.endswith("/query/batch"):
            return [{"points": points} for points in self.answers]
        if path.endswith("/count"):
            return {"count": 7}
        if "/points" in path:
            return {"operation_id": 1, "status": "completed"}
        if "/index" in path:
            self.indexed.add(body["field_name"])
            return {"operation_id": 1, "status": "completed"}
        if method == "PUT":
            self.collections.add(name)
            return True
        if method == "DELETE":
            self.collections.discard(name)
            return True
        schema = {key: {"data_type": "keyword", "points": 0} for key in self.indexed}
        config = {
            "params": {},
            "hnsw_config": {"m": 0, "ef_construct": 100, "full_scan_threshold": 10000},
            "optimizer_config": {"deleted_threshold": 0.2, "vacuum_min_vector_number": 9, "default_segment_number": 0,
                                 "flush_interval_sec": 5},
        }  # fmt: skip
        return {"status": "green", "optimizer_status": "ok", "segments_count": 1, "config": config,
                "payload_schema": schema}  # fmt: skip


@pytest.fixture
async def stub(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stub]:
    monkeypatch.setattr(index_qdrant, "BACKOFF_S", 0.001)
    made = Stub()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, path, _ = head.split(" ", 2)
        length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
        raw = await reader.readexactly(int(length[1])) if length else b""
        status, headers, document = made.answer(method, path, json.loads(raw) if raw else None)
        body = json.dumps(document).encode()
        lines = {"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"} | headers
        writer.write(f"HTTP/1.1 {status} X\r\n".encode() + "".join(f"{k}: {v}\r\n" for k, v in lines.items()).encode())
        writer.write(b"\r\n" + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield made


@pytest.fixture
async def index(stub: Stub) -> AsyncIterator[QdrantIndex]:
    made = QdrantIndex(stub.url, None, "test", DIM)
    yield made
    await made.close()


def point(number: int, text: str = "some words", **changes: Any) -> Point:
    return Point(
        id=str(uuid.UUID(int=number)), user_id="ann", vector=VECTOR, text=text, created_at=WHEN, **changes
    )  # fmt: skip


async def test_the_collection_is_made_for_many_tenants(stub: Stub, index: QdrantIndex) -> None:
    await index.count()
    (made,) = stub.sent(f"^PUT /collections/{OURS}$")
    assert made["vectors"] == {"dense": {"size": DIM, "distance": "Cosine"}}
    assert made["sparse_vectors"] == {"lexical": {"modifier": "idf"}}
    assert made["hnsw_config"] == {"m": 0, "payload_m": 16}
    indexes = {body["field_name"]: body["field_schema"] for body in stub.sent("/index")}
    assert indexes == {
        "user_id": {"type": "keyword", "is_tenant": True},
        "created_at": "integer",
        "task": "keyword",
        "thread_id": "keyword",
        "interaction_id": "keyword",
    }


async def test_a_collection_that_is_there_is_not_made_again_and_missing_indexes_are(
    stub: Stub, index: QdrantIndex
) -> None:
    stub.collections.add(OURS)
    stub.indexed.update({"user_id", "created_at", "task"})
    await index.count()
    await index.count()
    assert stub.sent("^PUT /collections/[^/]*$") == []
    assert [body["field_name"] for body in stub.sent("/index")] == ["thread_id", "interaction_id"]


async def test_a_point_holds_what_filters_need_and_nothing_the_user_said(stub: Stub, index: QdrantIndex) -> None:
    await index.upsert([point(1, "walrus walrus", task="news"), point(2, "")])
    ((one, two),) = [body["points"] for body in stub.sent("^PUT .*/points.*wait=true")]
    assert one["id"] == point_id("ann", str(uuid.UUID(int=1)))
    assert one["payload"] == {
        "user_id": "ann",
        "interaction_id": str(uuid.UUID(int=1)),
        "created_at": MICROSECONDS,
        "task": "news",
    }
    assert one["vector"]["dense"] == [1.0, 0.0, 0.0, 0.0]
    assert len(one["vector"]["lexical"]["indices"]) == 1
    assert list(two["vector"]) == ["dense"]
    assert "walrus" not in json.dumps(stub.requests)


async def test_every_leg_and_its_word_statistics_carry_the_users_filter(stub: Stub, index: QdrantIndex) -> None:
    stub.answers = [[], []]
    hidden = str(uuid.UUID(int=9))
    where = Where(
        before=WHEN, since=WHEN - timedelta(seconds=1), task="news", thread_id="t", exclude=frozenset({hidden})
    )
    await index.search("ann", VECTOR, "walrus", 3, where)
    (body,) = stub.sent("/query/batch")
    dense, lexical = body["searches"]
    expected = {
        "must": [
            {"key": "user_id", "match": {"value": "ann"}},
            {"key": "task", "match": {"value": "news"}},
            {"key": "thread_id", "match": {"value": "t"}},
            {"key": "created_at", "range": {"lt": MICROSECONDS, "gte": MICROSECONDS - 1_000_000}},
        ],
        "must_not": [{"has_id": [point_id("ann", hidden)]}],
    }
    assert dense["filter"] == lexical["filter"] == lexical["params"]["idf"]["corpus"] == expected
    assert (dense["using"], lexical["using"]) == ("dense", "lexical")
    assert lexical["query"]["nearest"]["values"] == [1.0]


async def test_results_are_fused_and_a_foreign_payload_is_dropped(stub: Stub, index: QdrantIndex) -> None:
    def row(name: str, score: float, user: str = "ann") -> dict[str, Any]:
        payload = {"user_id": user, "interaction_id": name}
        return {"id": str(uuid.uuid4()), "version": 1, "score": score, "payload": payload}

    stub.answers = [
        [row("a", 0.9), row("foreign", 0.8, "bob"), row("b", 0.7), row("c", 0.6)],
        [row("c", 5.0), row("foreign", 4.0, "bob"), row("d", 3.0)],
    ]
    hits = await index.search("ann", VECTOR, "walrus", 9, Where())
    assert [(hit.id, hit.dense) for hit in hits] == [("c", 0.6), ("a", 0.9), ("b", 0.7), ("d", None)]
    assert hits[0].score == pytest.approx(1 / 63 + 1 / 61)


async def test_a_query_without_words_is_dense_alone(stub: Stub, index: QdrantIndex) -> None:
    stub.answers = [[]]
    await index.search("ann", VECTOR, "the of and", 3, Where())
    assert [leg["using"] for leg in stub.sent("/query/batch")[0]["searches"]] == ["dense"]


async def test_deleting_names_this_users_points_or_this_user(stub: Stub, index: QdrantIndex) -> None:
    await index.delete("ann", ["x"])
    await index.delete("ann", [])
    await index.delete_user("ann")
    await index.count("ann")
    by_id, by_user = stub.sent("/points/delete.*wait=true")
    assert by_id == {"points": [point_id("ann", "x")]}
    assert by_user == {"filter": {"must": [{"key": "user_id", "match": {"value": "ann"}}]}}
    assert stub.sent("/points/count")[0]["filter"] == by_user["filter"]


async def test_many_points_go_in_batches(stub: Stub, index: QdrantIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_qdrant, "POINTS_AN_UPSERT", 2)
    await index.upsert([point(n) for n in range(5)])
    assert [len(body["points"]) for body in stub.sent("^PUT .*/points")] == [2, 2, 1]


async def test_nothing_is_sent_when_one_vector_is_broken(stub: Stub, index: QdrantIndex) -> None:
    broken = Point(id="x", user_id="ann", vector=VECTOR * np.float32("nan"), text="", created_at=WHEN)
    with pytest.raises(InvalidVector):
        await index.upsert([point(1), broken])
    assert stub.requests == []


@pytest.mark.parametrize("status", [429, 500, 502, 503])
async def test_a_busy_server_is_asked_again(stub: Stub, index: QdrantIndex, status: int) -> None:
    stub.failures = [(status, {}), (status, {})]
    await index.upsert([point(1)])
    assert len(stub.sent("^PUT .*/points")) == 3


async def test_the_servers_own_waiting_time_is_kept(
    stub: Stub, index: QdrantIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    await index.count()
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(index_qdrant.asyncio, "sleep", sleep)
    stub.failures = [(429, {"Retry-After": "2"}), (429, {"Retry-After": "3"})]
    assert await index.count() == 7
    assert waits == [2, 3]


async def test_retries_are_bounded_and_end_in_a_named_error(stub: Stub, index: QdrantIndex) -> None:
    stub.failures = [(503, {})] * 50
    with pytest.raises(IndexUnavailable, match="QDRANT_URL"):
        await index.count()
    assert len(stub.sent("/points/count")) == index_qdrant.ATTEMPTS
    stub.failures = []
    assert await index.count() == 7


@pytest.mark.parametrize(("status", "hint"), [(400, "QDRANT_URL"), (401, "QDRANT_API_KEY"), (403, "QDRANT_API_KEY")])
async def test_a_refusal_is_not_repeated(stub: Stub, index: QdrantIndex, status: int, hint: str) -> None:
    stub.failures = [(status, {})]
    with pytest.raises(IndexUnavailable, match=hint):
        await index.count()
    assert len(stub.sent("/points/count")) == 1


async def test_a_server_that_is_away_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_qdrant, "BACKOFF_S", 0.001)
    index = QdrantIndex("http://127.0.0.1:9", None, "test", DIM, timeout_s=1.0)
    with pytest.raises(IndexUnavailable, match=re.escape("http://127.0.0.1:9")):
        await index.count()
    await index.close()


async def test_another_process_may_make_the_collection_first(stub: Stub, index: QdrantIndex) -> None:
    stub.fail_on, stub.failures = f"/collections/{OURS}", [(409, {})]
    assert await index.count() == 7


async def test_a_collection_of_another_embedding_model_is_refused_until_wiped(stub: Stub, index: QdrantIndex) -> None:
    stub.collections.update({"episodes__old__9", "unrelated"})
    with pytest.raises(EmbedderChanged, match="personaagent memory reindex"):
        await index.count()
    await index.wipe()
    assert stub.collections == {OURS, "unrelated"}
    assert await index.count() == 7


async def test_first_calls_at_once_share_one_client(stub: Stub, index: QdrantIndex) -> None:
    assert await asyncio.gather(*(index.count() for _ in range(10))) == [7] * 10
    assert stub.collections == {OURS}
