"""What operators ask of a server, its limits, and its end by SIGTERM and by SIGKILL: nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from graph_house import Build, build  # noqa: F401  (a fixture)
from memory_house import episode
from personaagent.app.server.ops import ops_lifespan, ops_routes
from personaagent.app.server.perimeter import BodyLimit
from personaagent.errors import IndexUnavailable, LedgerUnavailable
from personaagent.evals.perf.load_server import Server
from personaagent.graph.services import Services
from personaagent.library.worker import Worker
from personaagent.memory.spool import Spool
from personaagent.scheduling import ALIGNMENT
from personaagent.settings import Settings
from scripted import ScriptedModels
from stub_endpoint import endpoint


@asynccontextmanager
async def client_of(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        yield client


def ops_app(services: Services) -> Starlette:
    return Starlette(routes=ops_routes(lambda: services))


async def test_readiness_says_which_part_is_away_and_not_why(
    build: Build,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def no_index(*_: Any) -> Any:
        raise IndexUnavailable("the index at http://secret-host is down")

    async def no_ledger(*_: Any) -> Any:
        raise LedgerUnavailable("the ledger at secret-host is down")

    services = build(ScriptedModels())
    async with client_of(ops_app(services)) as client:
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()["status"]) == (200, "ok")
    monkeypatch.setattr(services.index, "count", no_index)
    async with client_of(ops_app(services)) as client:
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()["status"], ready.json()["parts"]["index"]) == (200, "degraded", "down")
    monkeypatch.setattr(services.outbox, "depth", no_ledger)
    async with client_of(ops_app(services)) as client:
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()["status"], ready.json()["parts"]["ledger"]) == (503, "down", "down")
        assert "secret-host" not in ready.text
        assert (await client.get("/healthz")).status_code == 200


async def test_readiness_reaches_for_the_model_endpoint(build: Build) -> None:  # noqa: F811
    with endpoint() as (base_url, seen):
        async with client_of(ops_app(build(ScriptedModels(), openai_base_url=base_url))) as client:
            assert (await client.get("/readyz")).json()["parts"]["model"] == "ok"
        assert seen == [], "no model call is made"
    async with client_of(ops_app(build(ScriptedModels(), openai_base_url=base_url))) as client:
        ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()["parts"]["model"]) == (503, "down")


async def test_readiness_asks_its_parts_only_now_and_then(
    build: Build,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    services, asked = build(ScriptedModels()), 0

    async def depth(*_: Any) -> int:
        nonlocal asked
        asked += 1
        return 0

    monkeypatch.setattr(services.outbox, "depth", depth)
    async with client_of(ops_app(services)) as client:
        await asyncio.gather(*(client.get("/readyz") for _ in range(20)))
    assert asked == 1


async def test_metrics_show_what_waits(build: Build) -> None:  # noqa: F811
    async with client_of(ops_app(build(ScriptedModels()))) as client:
        found = await client.get("/metrics")
    assert found.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "personaagent_outbox_depth 0.0" in found.text
    assert "personaagent_ledger_up 1.0" in found.text


async def test_the_end_of_a_server_closes_what_is_open(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    services, closed = build(ScriptedModels()), []
    monkeypatch.setattr("personaagent.app.server.ops.set_up_logs", lambda _: None)
    close = services.close

    async def noted() -> None:
        closed.append(True)
        await close()

    monkeypatch.setattr(services, "close", noted)
    async with ops_lifespan(lambda: services)(Starlette()):
        assert closed == []
    assert closed == [True]


async def test_a_server_takes_up_what_an_earlier_process_left(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    services = build(ScriptedModels())
    monkeypatch.setattr("personaagent.app.server.ops.set_up_logs", lambda _: None)
    await Spool(services.settings.home / "spool").add(episode(1))
    async with ops_lifespan(lambda: services)(Starlette()):
        for _ in range(1_000):
            if await services.interactions.count("ann"):
                break
            await asyncio.sleep(0.01)
    assert list((services.settings.home / "spool").iterdir()) == []


async def _echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


async def test_a_body_over_the_limit_is_refused_by_name_told_or_found() -> None:
    limit = Middleware(BodyLimit, max_bytes=1_000)
    app = Starlette(routes=[Route("/", _echo, methods=["POST"])], middleware=[limit])

    async def chunks(count: int) -> AsyncIterator[bytes]:
        for _ in range(count):
            yield b"x" * 100

    async with client_of(app) as client:
        assert (await client.post("/", content=b"x" * 1_000)).text == "1000"
        assert (await client.post("/", content=chunks(10))).text == "1000"
        for body in (b"x" * 1_001, chunks(11)):
            refused = await client.post("/", content=body)
            assert refused.status_code == 413
            assert refused.json()["error"]["name"] == "RequestTooLarge"


async def test_a_job_is_held_while_it_is_worked_on_and_given_back_when_its_worker_is_gone(build: Build) -> None:  # noqa: F811
    services = build(ScriptedModels())
    await services.jobs.enqueue("ann", ALIGNMENT, {}, datetime.now(UTC))
    one, other = Worker(services, lease_s=0.4), Worker(services, lease_s=0.4)
    begun, held = asyncio.Event(), asyncio.Event()

    class Slow:
        async def ainvoke(self, *_: Any, **__: Any) -> dict[str, Any]:
            begun.set()
            await held.wait()
            return {"outcome": "done by the first"}

    one._alignment = Slow()  # type: ignore[assignment]
    work = asyncio.create_task(one.next())
    await begun.wait()
    await asyncio.sleep(0.8)
    assert await other.next() is None, "its lease is renewed"
    held.set()
    done = await work
    assert done is not None
    assert done.outcome == "done by the first"
    assert await services.jobs.depth() == 0


async def test_a_job_of_a_killed_worker_is_done_by_the_next(build: Build) -> None:  # noqa: F811
    services = build(ScriptedModels())
    await services.jobs.enqueue("ann", ALIGNMENT, {}, datetime.now(UTC))
    lost = await services.jobs.lease(datetime.now(UTC), 0.2)
    assert lost is not None
    await asyncio.sleep(0.3)
    done = await Worker(services).next()
    assert done is not None
    assert (done.user_id, done.error) == ("ann", None)


@pytest.mark.server
async def test_a_killed_and_a_stopped_server_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    with endpoint(seconds=0.6) as (base_url, _):
        environment = {
            "OPENAI_BASE_URL": base_url,
            "OPENAI_API_KEY": "none",
            "PERSONAAGENT_TOOL_CALLING": "off",
            "PERSONAAGENT_MAX_REQUEST_BYTES": "100000",
            "PERSONAAGENT_CONCURRENT_TURNS": "2",
            "LOG_JSON": "true",
            "LOG_LEVEL": "INFO",
        }
        server = Server(tmp_path / "server", environment)
        acknowledged: dict[str, str] = {}
        try:
            await server.start()
            async with httpx.AsyncClient(base_url=server.url) as http:
                assert (await http.get("/healthz")).json() == {"status": "ok"}
                refused = await http.post("/threads", content=b"x" * 200_000, headers={"X-User-Id": "ann"})
                assert refused.status_code == 413, "LangGraph's own routes are limited as well"
            acknowledged |= await _turns(server.url, "ann", range(2))
            given = {"interaction_id": next(iter(acknowledged)), "ground_truth": "Solaris"}
            fed = await _run(server.url, "ann", "feedback", given)
            assert fed["interaction"]["ground_truth"] == "Solaris"
            crowd = await asyncio.gather(*(_turns(server.url, "bob", [n]) for n in range(6)), return_exceptions=True)
            refusals = [str(one) for one in crowd if isinstance(one, BaseException)]
            assert 1 <= len(refusals) <= 4, "two at once are allowed"
            assert all("TooManyTurns" in one for one in refusals)
            seen = await server.observe()
            assert seen['personaagent_node_seconds_count{graph="agent",node="write_memory"}'] >= 2
            assert seen["personaagent_ledger_up"] == 1

            under_way = asyncio.create_task(_turns(server.url, "ann", [7]))
            await asyncio.sleep(0.3)
            await server.kill()
            with pytest.raises(httpx.HTTPError):
                await under_way
            await server.start()
            acknowledged |= await _turns(server.url, "ann", [8])

            last = asyncio.create_task(_turns(server.url, "ann", [9]))
            await asyncio.sleep(0.3)
            assert await server.stop() in (0, -15)
            (outcome,) = await asyncio.gather(last, return_exceptions=True)
            if not isinstance(outcome, BaseException):
                acknowledged |= outcome
        finally:
            if server.process is not None and server.process.poll() is None:
                server.process.kill()
    await _check_ledger(server.home, acknowledged)


async def _check_ledger(home: Path, acknowledged: dict[str, str]) -> None:
    services = Services(Settings(home=home))
    try:
        kept = {row.id: row for row in await services.interactions.newest("ann", 100)}
        assert {key: kept[key].query for key in acknowledged} == acknowledged
        queries = [row.query for row in kept.values()]
        assert len(queries) == len(set(queries))
        assert kept[next(iter(acknowledged))].ground_truth == "Solaris"
        await services.indexer.flush()
        assert await services.index.count("ann") == len(kept)
    finally:
        await services.close()


async def _run(url: str, user: str, graph: str, given: dict[str, Any]) -> dict[str, Any]:
    """The result of a run, asked for without the SDK: that one reconnects to a dead server for half a minute."""
    body = {"assistant_id": graph, "input": given, "context": {"user_id": user}}
    async with httpx.AsyncClient(base_url=url, headers={"X-User-Id": user}, timeout=30) as client:
        result: dict[str, Any] = (await client.post("/runs/wait", json=body)).raise_for_status().json()
    if "__error__" in result:
        raise RuntimeError(str(result["__error__"]))
    return result


async def _turns(url: str, user: str, numbers: Iterable[int]) -> dict[str, str]:
    """Turns of a user, one after the other: the interactions that the server acknowledged, with their queries."""
    done = {}
    for number in numbers:
        query = f"question {number} of {user}"
        # with an id of the client's own, a run that a restarted server carries out once more is the same turn
        message = {"role": "user", "content": query, "id": f"{user}-{number}"}
        result = await _run(url, user, "agent", {"messages": [message]})
        done[result["interaction_id"]] = query
    return done
