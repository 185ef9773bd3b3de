"""What only a deployment can get wrong: who may sign in, where secrets lie, what the stores and the issuer answer."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from personaagent.app.doctor import Check, named

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from personaagent.settings import Settings


LOW_BYTES = 1_000_000_000  # Postgres, SQLite and the index all stop where the disk is full
OURS = ("personaagent.graph.", "graph/", "./graph/")  # where our graphs are
LOCAL = {"localhost", "127.0.0.1", "::1"}
STANDALONE = ("DATABASE_URI", "REDIS_URI", "LANGGRAPH_CLOUD_LICENSE_KEY")


async def deployment(
    settings: Settings, environment: Mapping[str, str] | None = None, config: Path = Path("langgraph.json")
) -> list[Check]:
    """The findings, each with what mends it; asks the shared stores and the issuer, where the settings name any.

    It reads the environment, the data folder's metadata and ``config``, and writes nothing but an empty ledger and an
    empty collection.
    """
    from personaagent.app.doctor_deployment import remote

    told = os.environ if environment is None else environment
    local = await asyncio.to_thread(lambda: [*folder(settings), *langgraph_json(config)])
    return [identity(settings), session(settings), *endpoint(settings), *await remote(settings), *local,
            standalone(told)]  # fmt: skip


def endpoint(settings: Settings) -> list[Check]:
    """Whether the address of the models can be one; that it answers is another check's matter."""
    if settings.openai_base_url is None:
        return []
    parts = urlsplit(settings.openai_base_url)
    name, shown = "model endpoint", parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()  # no password
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return [Check(name, "fail", f"{shown} is no address", "write OPENAI_BASE_URL like http://localhost:11434/v1")]
    if parts.path.endswith(("/chat/completions", "/completions", "/models")):
        mend = "OPENAI_BASE_URL ends before the route, in most cases with /v1"
        return [Check(name, "fail", f"{shown} names a route", mend)]
    if parts.scheme == "http" and "." in parts.hostname and parts.hostname not in LOCAL:
        detail = f"{shown}: prompts and the key cross the network in clear text"
        return [Check(name, "warn", detail, "use https, or keep it inside a private network")]
    if not parts.path.strip("/"):
        return [Check(name, "warn", f"{shown} has no path", "most endpoints want /v1 at the end of OPENAI_BASE_URL")]
    return [Check(name, "ok", shown)]


def langgraph_json(config: Path) -> list[Check]:
    """Whether LangGraph server could load what ``config`` names; nothing of a file that names none of our graphs.

    Blocking.
    """
    name = config.name
    if not config.is_file():
        return []
    try:
        told = json.loads(config.read_text(encoding="utf-8"))
    except ValueError as error:
        return [Check(name, "fail", f"is no JSON: {error}", "restore it from the release")]
    graphs = _table(told, "graphs")
    if not graphs:
        return [Check(name, "fail", "names no graph", "restore it from the release")]
    objects = [one if isinstance(one, str) else str(_table(graphs, key).get("path")) for key, one in graphs.items()]
    if not any(path.startswith(OURS) for path in objects):
        return []  # another project's folder
    if flaw := _flaw(told, objects, config.parent):
        return [Check(name, "fail", flaw[0], flaw[1])]
    if not _table(_table(told, "checkpointer"), "ttl").get("default_ttl"):
        detail = "has no checkpointer.ttl: what users said is kept in the server's threads for ever"
        mend = 'write "checkpointer": {"ttl": {"strategy": "delete", "default_ttl": 43200}}, in minutes'
        return [Check(name, "warn", detail, mend)]
    return [Check(name, "ok", f"names {', '.join(graphs)}")]


def _flaw(told: Any, objects: Sequence[str], folder: Path) -> tuple[str, str] | None:
    """Why a server could not load it or would serve anybody, and what mends that; None where neither is so."""
    auth, routes = _table(told, "auth").get("path"), _table(told, "http").get("app")
    if not auth:
        detail = "has no auth.path: whoever reaches the server is whoever they say"
        return detail, "set auth.path to personaagent.app.server.auth:auth"
    named = [str(path) for path in (*objects, auth, routes) if path]
    lost = [path for path in named if not _found(path.partition(":")[0], folder)]
    if lost:
        return f"names what cannot be found: {', '.join(lost)}", "write paths as module:object, and install them"
    graphs = _table(told, "graphs")
    if any("'" in str(_table(graphs, key).get("description", "")) for key in graphs):
        return "a description holds an apostrophe, which ends the quotes in the Dockerfile", "take it out"
    return None


def _table(told: Any, key: str) -> dict[str, Any]:
    found = told.get(key) if isinstance(told, dict) else None
    return found if isinstance(found, dict) else {}


def _found(module: str, folder: Path) -> bool:
    if module.endswith(".py"):
        return (folder / module).is_file()
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def identity(settings: Settings) -> Check:
    """Whether the mode that is chosen can tell who is asking, and is meant for who can reach it."""
    if settings.auth == "jwt":
        missing = [name for name in ("jwt_issuer", "jwt_audience") if not getattr(settings, name)]
        if not (settings.jwt_jwks_url or settings.jwt_public_key_file):
            missing.append("jwt_jwks_url")
        if missing:
            names = ", ".join(f"PERSONAAGENT_{name.upper()}" for name in missing)
            return Check("identity", "fail", "jwt is not configured", f"set {names}")
    if settings.auth == "dev" and (settings.database_url is not None or settings.qdrant_url is not None):
        detail = "dev, beside shared stores: it answers this machine only"
        return Check("identity", "warn", detail, "set PERSONAAGENT_AUTH=api_key or jwt to serve others")
    return Check("identity", "ok", settings.auth)


def session(settings: Settings) -> Check:
    """Whether several server processes would accept each other's cookies."""
    if settings.session_secret is None and settings.database_url is not None:
        detail = "the page's cookies are signed by a secret of this data folder alone"
        return Check("session", "warn", detail, "set PERSONAAGENT_SESSION_SECRET everywhere")
    return Check("session", "ok", "cookies are signed")


def folder(settings: Settings) -> list[Check]:
    """Who else may read the data folder, and whether there is room. Blocking."""
    home = settings.home.expanduser()
    if not home.is_dir():
        return []  # the check of the data folder itself says so
    mode = stat.S_IMODE(home.stat().st_mode)
    private = Check("permissions", "ok", f"{home} is {mode:o}")
    if mode & 0o077:
        detail = f"{home} is {mode:o}: other users of this machine may read it"
        private = Check("permissions", "warn", detail, f"chmod 700 {home}")
    free = shutil.disk_usage(home).free
    room = Check("disk", "ok", f"{free / 1e9:.1f} GB free")
    if free < LOW_BYTES:
        room = Check("disk", "fail", f"{free / 1e9:.1f} GB free", "make room or move the data")
    return [private, room]


def standalone(environment: Mapping[str, str]) -> Check:
    """Whether the standalone LangGraph server has all it needs, where any of it is set."""
    missing = [name for name in STANDALONE if not environment.get(name)]
    if len(missing) == len(STANDALONE):
        return Check("standalone server", "ok", "not in use")
    if missing:
        detail = "is configured in part and will not start"
        return Check("standalone server", "fail", detail, f"set {', '.join(missing)}")
    return Check("standalone server", "ok", "its database, Redis and licence are named")


OLDEST_POSTGRES = 14  # the oldest that its makers still mended when this was written
POOL = 20  # connections of one event loop of one process at most: a pool of 10, 10 beyond it


async def remote(settings: Settings) -> list[Check]:
    """A finding for each that is in use, or its failure as one."""
    asked = []
    if settings.database_url is not None:
        asked.append(named("postgres", _postgres(settings), "check DATABASE_URL, and that the server runs"))
    if settings.qdrant_url is not None:
        mend = "check QDRANT_URL and QDRANT_API_KEY, and that the server runs"
        asked.append(named("qdrant", _qdrant(settings), mend))
    if settings.auth == "jwt" and settings.jwt_jwks_url:
        asked.append(named("signing keys", _jwks(settings), "check PERSONAAGENT_JWT_JWKS_URL"))
    return list(await asyncio.gather(*asked))


async def _postgres(settings: Settings) -> Check:
    """Its version, the schema's revision, and whether it lets a process have its connections."""
    from sqlalchemy import text

    from personaagent.ledger.database import database_from
    from personaagent.ledger.migrate import HEAD

    database = database_from(settings)
    if database.dialect != "postgresql":
        return Check("postgres", "ok", f"not in use: the ledger is {database.address}")
    try:
        told = text(
            "SELECT (SELECT version_num FROM alembic_version), current_setting('server_version_num')::int, "
            "current_setting('max_connections')::int"
        )
        revision, version, connections = await database.run_read(lambda connection: connection.execute(told).one())
    finally:
        await database.close()
    detail = f"version {version // 10_000}.{version % 10_000}, schema {revision}, {connections} connections"
    if revision != HEAD:
        mend = f"upgrade PersonaAgent where it is older than schema {revision}"
        return Check("postgres", "fail", f"{detail}; this version needs {HEAD}", mend)
    if version // 10_000 < OLDEST_POSTGRES:
        return Check("postgres", "warn", detail, f"upgrade to {OLDEST_POSTGRES} or later")
    if connections < 2 * POOL:
        mend = f"set max_connections to {POOL} for each process and some to spare, or put a pooler before it"
        return Check("postgres", "warn", detail, mend)
    return Check("postgres", "ok", detail)


async def _qdrant(settings: Settings) -> Check:
    """Whether the collection has this embedder's dimension, and its users are tenants."""
    from personaagent.memory.index_common import DENSE
    from personaagent.memory.index_qdrant import QdrantConnection
    from personaagent.models.embedder import embedder_from

    embedder = embedder_from(settings)
    key = settings.qdrant_api_key
    server = QdrantConnection(
        str(settings.qdrant_url), key.get_secret_value() if key else None, embedder.name, embedder.dim,
        settings.qdrant_timeout_s,
    )  # fmt: skip
    try:
        info = await server.call(lambda client: client.get_collection(server.collection))
    finally:
        await server.close()
    vectors = info.config.params.vectors
    dense = vectors.get(DENSE) if isinstance(vectors, dict) else None
    size = dense.size if dense is not None else 0
    if size != embedder.dim:
        detail = f"{server.collection} has {size} dimensions, the embedding model {embedder.dim}"
        return Check("qdrant", "fail", detail, "run `personaagent memory reindex`")
    schema = info.payload_schema.get("user_id")
    if not getattr(schema.params if schema is not None else None, "is_tenant", False):
        detail = f"{server.collection}: user_id is not the tenant, so a search reads from all over the disk"
        return Check("qdrant", "warn", detail, "run `personaagent memory reindex`")
    return Check("qdrant", "ok", f"{server.collection}, {size} dimensions, one tenant a user")


async def _jwks(settings: Settings) -> Check:
    from personaagent.app.server.tokens import KeySet

    found = await KeySet(str(settings.jwt_jwks_url), settings.jwt_jwks_cache_s).published()
    if not found:
        detail = f"{settings.jwt_jwks_url} publishes no key that signs"
        return Check("signing keys", "fail", detail, "check PERSONAAGENT_JWT_JWKS_URL")
    return Check("signing keys", "ok", f"{settings.jwt_jwks_url} publishes {found}")
