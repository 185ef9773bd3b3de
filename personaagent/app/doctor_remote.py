"""What a deployment's shared parts say of themselves: Postgres, Qdrant, and the issuer of tokens."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from personaagent.app.doctor import Check
from personaagent.errors import PersonaAgentError

if TYPE_CHECKING:
    from personaagent.settings import Settings

OLDEST_POSTGRES = 14  # the oldest that its makers still mended when this was written
POOL = 20  # connections of one event loop of one process at most: a pool of 10, 10 beyond it


async def remote(settings: Settings) -> list[Check]:
    """A finding for each that is in use, or its failure as one."""
    asked = []
    if settings.database_url is not None:
        asked.append(_named("postgres", _postgres(settings), "check DATABASE_URL, and that the server runs"))
    if settings.qdrant_url is not None:
        mend = "check QDRANT_URL and QDRANT_API_KEY, and that the server runs"
        asked.append(_named("qdrant", _qdrant(settings), mend))
    if settings.auth == "jwt" and settings.jwt_jwks_url:
        asked.append(_named("signing keys", _jwks(settings), "check PERSONAAGENT_JWT_JWKS_URL"))
    return list(await asyncio.gather(*asked))


async def _named(name: str, probe: Awaitable[Check], mend: str) -> Check:
    try:
        return await probe
    except PersonaAgentError as error:
        return Check(name=name, status="fail", detail=str(error), mend=mend)


async def _postgres(settings: Settings) -> Check:
    """Its version, the schema's revision, and whether it lets a process have its connections."""
    from sqlalchemy import text

    from personaagent.ledger.database import database_from
    from personaagent.ledger.migrate import HEAD

    database = database_from(settings)
    if database.dialect != "postgresql":
        return Check(name="postgres", status="ok", detail=f"not in use: the ledger is {database.address}")
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
        return Check(name="postgres", status="fail", detail=f"{detail}; this version needs {HEAD}", mend=mend)
    if version // 10_000 < OLDEST_POSTGRES:
        return Check(name="postgres", status="warn", detail=detail, mend=f"upgrade to {OLDEST_POSTGRES} or later")
    if connections < 2 * POOL:
        mend = f"set max_connections to {POOL} for each process and some to spare, or put a pooler before it"
        return Check(name="postgres", status="warn", detail=detail, mend=mend)
    return Check(name="postgres", status="ok", detail=detail)


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
        return Check(name="qdrant", status="fail", detail=detail, mend="run `personaagent memory reindex`")
    schema = info.payload_schema.get("user_id")
    if not getattr(schema.params if schema is not None else None, "is_tenant", False):
        detail = f"{server.collection}: user_id is not the tenant, so a search reads from all over the disk"
        return Check(name="qdrant", status="warn", detail=detail, mend="run `personaagent memory reindex`")
    return Check(name="qdrant", status="ok", detail=f"{server.collection}, {size} dimensions, one tenant a user")


async def _jwks(settings: Settings) -> Check:
    from personaagent.app.server.tokens import KeySet

    found = await KeySet(str(settings.jwt_jwks_url), settings.jwt_jwks_cache_s).published()
    if not found:
        detail = f"{settings.jwt_jwks_url} publishes no key that signs"
        return Check(name="signing keys", status="fail", detail=detail, mend="check PERSONAAGENT_JWT_JWKS_URL")
    return Check(name="signing keys", status="ok", detail=f"{settings.jwt_jwks_url} publishes {found}")
