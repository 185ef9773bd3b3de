"""The page over a data folder that real ports filled with real articles, served by uvicorn on loopback."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from langchain_core.messages import BaseMessage

from ledger_house import with_ledger
from personaagent.app.server import keys
from personaagent.app.server.http import build_app
from personaagent.context import Context
from personaagent.evals.tasks import news
from personaagent.graph.alignment import build_alignment
from personaagent.graph.services import Services
from personaagent.memory.importing import import_file
from personaagent.ports import Role
from personaagent.settings import Settings
from personaagent.types import Interaction, ToolTrace
from scripted import HashEmbedder, ScriptedModels

HERE = "http://127.0.0.1:8123"
TOKEN = re.compile(r'name="token" value="([0-9a-f]{64})"')
ANN, BOB = "journalist-10", "journalist-26"
LEARNT = "Nearly everything you write appears under politics."
OUR_SCRIPT = '<script src="/me/static/chat.js" defer></script>'
CANARY = "<img src=x onerror=alert(1)><script>document.title='owned'</script>"


class Browser:
    """Cookies, and the newest form token, as a browser keeps them."""

    def __init__(self, services: Services, peer: str = "127.0.0.1") -> None:
        app = build_app(lambda: services, services.settings, alone=True)
        transport = httpx.ASGITransport(app, client=(peer, 5_000))
        self.http = httpx.AsyncClient(transport=transport, base_url=HERE)
        self.token = ""

    async def get(self, path: str) -> httpx.Response:
        response = await self.http.get(path)
        self.token = (TOKEN.findall(response.text) or [self.token])[0]
        return response

    async def post(self, path: str, headers: dict[str, str] | None = None, **fields: str) -> httpx.Response:
        return await self.http.post(path, data={"token": self.token} | fields, headers=headers or {"Origin": HERE})

    async def sign_in(self, credential: str) -> httpx.Response:
        await self.get("/me/sign-in")
        return await self.post("/me/sign-in", credential=credential)


def scripted() -> ScriptedModels:
    """Models that answer rightly once the persona says what the editor learns to say."""

    def choose(_role: Role, messages: list[BaseMessage], choices: list[str]) -> str:
        return "politics" if LEARNT in messages[0].text else choices[0]

    def structured(role: Role, _messages: list[BaseMessage], _schema: dict[str, Any]) -> dict[str, Any]:
        if role == "editor":
            told = [{"text": LEARNT, "evidence": [1, 2]}]
            rest = [{"text": "Give the final answer briefly.", "evidence": []}]
            return {"sections": {"who": told, "answering": rest, "tooling": [], "interests": []}}
        if role == "critic":
            return {
                "persona_change": "Say where the articles appear.",
                "tool_use": "",
                "about_user": "",
                "verdicts": ["yes"] * 6,
            }
        return {"operations": []}

    def said(messages: list[BaseMessage], _tools: list[Any]) -> str:
        return "An answer on politics." if LEARNT in messages[0].text else "An answer."

    return ScriptedModels(said, choose=choose, structured=structured, tool_calling=False)


def services_in(home: Path, **settings: Any) -> Services:
    """Services over that data folder, with scripted models."""
    return Services(Settings(home=with_ledger(home), **settings), models=scripted(), embedder=HashEmbedder())


async def fill(home: Path, *, align: bool = True) -> None:
    """Two authors' real articles as history, facts and personas of them, and an alignment of the first."""
    services = services_in(home)
    try:
        for user in (ANN, BOB):
            await _import(services, user, home)
            await services.reader.refresh(user)
            await services.seeds.persona(user)
        if align:
            context = Context(user_id=ANN, align_batch=3, align_judge=12, align_epochs=1, recall_k=0)
            await build_alignment(services).compile().ainvoke({}, context=context)
    finally:
        await services.close()


async def poison(services: Services, user: str) -> str:
    """Markup in everything that a user, a model or a tool may write; returns the memory's id."""
    call = ToolTrace(name=CANARY, arguments={CANARY: CANARY}, outcome="ok", brief=CANARY)
    stored = await services.episodic.append(
        user,
        Interaction(
            id="poisoned", user_id=user, query=CANARY, response=CANARY, ground_truth=CANARY, task=CANARY,
            truth_source="correction", truth_confidence=1.0, thread_id="poison", tools=(call,),
            created_at=news.load()[0].created_at,
        ),
    )  # fmt: skip
    return stored.id


async def _import(services: Services, user: str, home: Path) -> None:
    rows = [row for row in news.load() if row.user_id == user][:40]
    told = {"task": news.TASK, "choices": news.CHOICES, "metadata": {"instructions": news.INSTRUCTIONS}}
    lines = [{"query": r.query, "response": r.truth, "created_at": r.created_at.isoformat()} | told for r in rows]
    file = home / f"{user}.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(json.dumps(line) for line in lines) + "\n", encoding="utf-8")
    report = await import_file(services.episodic, user, file)
    assert report.new == len(rows)


def key_of(home: Path, user: str) -> str:
    """A new API key of the user."""
    return keys.add(keys.path_of(Settings(home=home)), user)[0]


@contextmanager
def serving(home: Path, **settings: Any) -> Iterator[str]:
    """Serve the page over that data folder; yields its address."""
    services = services_in(home, **settings)
    config = uvicorn.Config(
        build_app(lambda: services, services.settings, alone=True),
        port=0,
        log_level="error",
        log_config=None,
        lifespan="on",
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    try:
        until = time.monotonic() + 20
        while not server.started and time.monotonic() < until:
            time.sleep(0.02)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(15)
