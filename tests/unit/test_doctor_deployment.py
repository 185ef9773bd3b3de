"""The doctor finds what only a deployment can get wrong."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from personaagent.app.doctor import Check
from personaagent.app.doctor_deployment import deployment, langgraph_json
from personaagent.settings import Settings

SHARED = {"database_url": "postgresql://u:p@localhost/x"}


HOUSE = Path(__file__).resolve().parents[2] / "langgraph.json"
SPACE = "episodes__all-MiniLM-L6-v2-int8__384"
FIELDS = ("user_id", "created_at", "task", "thread_id", "interaction_id")


async def found(environment: dict[str, str] | None = None, **settings: Any) -> dict[str, Check]:
    return {one.name: one for one in await deployment(Settings(**settings), environment or {})}


async def test_an_embedded_house_has_nothing_to_mend(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)  # noqa: ASYNC240
    assert {one.status for one in (await found(home=tmp_path)).values()} == {"ok"}


async def test_jwt_names_every_setting_that_it_lacks() -> None:
    one = (await found(auth="jwt", jwt_audience="us"))["identity"]
    assert one.status == "fail"
    assert one.mend == "set PERSONAAGENT_JWT_ISSUER, PERSONAAGENT_JWT_JWKS_URL"


async def test_shared_stores_want_a_real_identity_and_a_shared_secret() -> None:
    told = await found(**SHARED)
    assert (told["identity"].status, told["session"].status) == ("warn", "warn")
    told = await found(**SHARED, auth="api_key", session_secret="s" * 32)
    assert (told["identity"].status, told["session"].status) == ("ok", "ok")


async def test_a_folder_that_others_may_read_and_a_full_disk_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o755)  # noqa: ASYNC240
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10_000_000))
    told = await found(home=tmp_path)
    assert (told["permissions"].status, told["permissions"].mend) == ("warn", f"chmod 700 {tmp_path}")
    assert told["disk"].status == "fail"


async def test_a_standalone_server_that_is_configured_in_part_is_a_failure() -> None:
    one = (await found({"REDIS_URI": "redis://localhost"}))["standalone server"]
    assert (one.status, one.mend) == ("fail", "set DATABASE_URI, LANGGRAPH_CLOUD_LICENSE_KEY")


@contextmanager
def serving(answers: dict[str, Any]) -> Iterator[str]:
    """The address of a server that answers these paths with this JSON, and others with 404."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(answers.get(self.path)).encode()
            self.send_response(200 if self.path in answers else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def collection(size: int = 384, *, tenant: bool = True, name: str = SPACE) -> dict[str, Any]:
    """A Qdrant server's answers about one collection."""
    params = {"type": "keyword", "is_tenant": tenant}
    schema = {field: {"data_type": "keyword", "points": 0} for field in FIELDS} | {
        "user_id": {"data_type": "keyword", "points": 0, "params": params}
    }
    config = {
        "params": {"vectors": {"dense": {"size": size, "distance": "Cosine"}}},
        "hnsw_config": {"m": 0, "ef_construct": 100, "full_scan_threshold": 10_000},
        "optimizer_config": {
            "deleted_threshold": 0.2, "vacuum_min_vector_number": 9, "default_segment_number": 0,
            "flush_interval_sec": 5,
        },
    }  # fmt: skip
    info = {"status": "green", "optimizer_status": "ok", "segments_count": 1, "config": config,
            "payload_schema": schema}  # fmt: skip
    told = {"/collections": {"collections": [{"name": name}]}, f"/collections/{name}": info}
    return {path: {"status": "ok", "time": 0.0, "result": result} for path, result in told.items()}


async def asked_qdrant(answers: dict[str, Any]) -> Check:
    with serving(answers) as url:
        return (await found(qdrant_url=url))["qdrant"]


async def test_a_qdrant_collection_as_it_must_be_is_ok() -> None:
    one = await asked_qdrant(collection())
    assert (one.status, one.detail) == ("ok", f"{SPACE}, 384 dimensions, one tenant a user")


async def test_a_collection_of_another_dimension_or_model_or_without_tenants_is_told() -> None:
    other = await asked_qdrant(collection(3))
    assert (other.status, other.mend) == ("fail", "run `personaagent memory reindex`")
    assert "has 3 dimensions, the embedding model 384" in other.detail
    foreign = await asked_qdrant(collection(name="episodes__other__3"))
    assert foreign.status == "fail" and "reindex" in foreign.detail
    flat = await asked_qdrant(collection(tenant=False))
    assert (flat.status, "tenant" in flat.detail) == ("warn", True)


async def test_a_qdrant_or_a_postgres_that_is_away_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("personaagent.memory.index_qdrant.BACKOFF_S", 0.001)
    told = await found(qdrant_url="http://127.0.0.1:9", database_url="postgresql://u:hunter2@127.0.0.1:9/x")
    assert (told["qdrant"].status, told["postgres"].status) == ("fail", "fail")
    assert "QDRANT_URL" in told["qdrant"].mend and "DATABASE_URL" in told["postgres"].mend
    assert "hunter2" not in str(told)


@pytest.mark.parametrize(
    ("document", "status"),
    [
        ({"keys": [{"kty": "EC", "crv": "P-256", "use": "sig", "kid": "a",
                    "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
                    "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}, "ok"),
        ({"keys": []}, "fail"),
        ({"error": "moved"}, "fail"),
    ],
)  # fmt: skip
async def test_the_issuers_keys_are_fetched_where_tokens_are_used(document: dict[str, Any], status: str) -> None:
    with serving({"/jwks.json": document}) as url:
        told = await found(auth="jwt", jwt_issuer="i", jwt_audience="a", jwt_jwks_url=f"{url}/jwks.json")
    one = told["signing keys"]
    assert one.status == status
    assert (status == "ok") == (one.mend == "")


async def test_an_issuer_that_is_away_or_speaks_in_the_clear_is_a_failure() -> None:
    for url in ("http://127.0.0.1:9/jwks.json", "http://id.example.com/jwks.json"):
        told = await found(auth="jwt", jwt_issuer="i", jwt_audience="a", jwt_jwks_url=url)
        assert told["signing keys"].status == "fail"


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("https://api.example.com/v1", "ok"),
        ("http://localhost:11434/v1", "ok"),
        ("http://vllm:8000/v1", "ok"),  # a name of the private network
        ("http://api.example.com/v1", "warn"),
        ("https://api.example.com", "warn"),
        ("https://api.example.com/v1/chat/completions", "fail"),
        ("localhost:11434/v1", "fail"),
    ],
)
async def test_the_form_of_the_model_endpoint_is_judged(url: str, status: str) -> None:
    one = (await found(openai_base_url=url.replace("https://", "https://me:hunter2@")))["model endpoint"]
    assert "hunter2" not in one.detail
    assert one.status == status
    assert (status == "ok") == (one.mend == "")


def changed(folder: Path, **changes: Any) -> Path:
    """langgraph.json with other values; None takes a key out."""
    told = json.loads(HOUSE.read_text()) | changes
    file = folder / "langgraph.json"
    file.write_text(json.dumps({key: value for key, value in told.items() if value is not None}))
    return file


def test_our_langgraph_json_is_ok_and_none_is_no_finding(tmp_path: Path) -> None:
    (one,) = langgraph_json(HOUSE)
    assert (one.status, one.detail) == ("ok", "names agent, feedback, alignment")
    assert langgraph_json(tmp_path / "langgraph.json") == []
    assert langgraph_json(changed(tmp_path, graphs={"mine": "./mine.py:graph"}, auth=None)) == []  # another project's


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"graphs": {}}, "names no graph"),
        ({"auth": None}, "has no auth.path"),
        ({"auth": "personaagent.app.server.auth:auth"}, "has no auth.path"),
        ({"graphs": {"agent": "./graph/gone.py:graph"}}, "./graph/gone.py"),
        ({"graphs": {"agent": "personaagent.graph.nowhere:graph"}}, "personaagent.graph.nowhere:graph"),
        ({"http": {"app": "personaagent.app.gone:app"}}, "personaagent.app.gone:app"),
        (
            {"graphs": {"agent": {"path": "personaagent.graph.agent:graph", "description": "a user's"}}},
            "apostrophe",
        ),
    ],
)
def test_a_langgraph_json_that_would_not_load_or_lets_anybody_in_is_a_failure(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    (one,) = langgraph_json(changed(tmp_path, **changes))
    assert one.status == "fail" and said in one.detail and one.mend


@pytest.mark.parametrize("checkpointer", [None, {}, {"ttl": None}, {"ttl": {"strategy": "delete"}}], ids=str)
def test_threads_without_an_end_are_a_warning(tmp_path: Path, checkpointer: Any) -> None:
    (one,) = langgraph_json(changed(tmp_path, checkpointer=checkpointer))
    assert one.status == "warn" and "for ever" in one.detail and one.mend


def test_a_langgraph_json_that_cannot_be_read_is_a_failure(tmp_path: Path) -> None:
    file = tmp_path / "langgraph.json"
    file.write_text("{")
    assert langgraph_json(file)[0].status == "fail"
