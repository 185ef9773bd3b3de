"""What only a deployment can get wrong: who may sign in, where secrets lie, what the standalone server needs."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from typing import TYPE_CHECKING

from app.doctor import Check

if TYPE_CHECKING:
    from collections.abc import Mapping

    from personaagent.settings import Settings

LOW_BYTES = 1_000_000_000  # Postgres, SQLite and the index all stop where the disk is full
STANDALONE = ("DATABASE_URI", "REDIS_URI", "LANGGRAPH_CLOUD_LICENSE_KEY")


async def deployment(settings: Settings, environment: Mapping[str, str] | None = None) -> list[Check]:
    """The findings, each with what mends it; reads the environment and the data folder's metadata, nothing else."""
    told = os.environ if environment is None else environment
    return [identity(settings), session(settings), *await asyncio.to_thread(folder, settings), standalone(told)]


def identity(settings: Settings) -> Check:
    """Whether the mode that is chosen can tell who is asking, and is meant for who can reach it."""
    if settings.auth == "jwt":
        missing = [name for name in ("jwt_issuer", "jwt_audience") if not getattr(settings, name)]
        if not (settings.jwt_jwks_url or settings.jwt_public_key_file):
            missing.append("jwt_jwks_url")
        if missing:
            names = ", ".join(f"PERSONAAGENT_{name.upper()}" for name in missing)
            return Check(name="identity", status="fail", detail="jwt is not configured", mend=f"set {names}")
    if settings.auth == "dev" and (settings.database_url is not None or settings.qdrant_url is not None):
        detail = "dev, beside shared stores: it answers this machine only"
        return Check(
            name="identity", status="warn", detail=detail, mend="set PERSONAAGENT_AUTH=api_key or jwt to serve others"
        )
    return Check(name="identity", status="ok", detail=settings.auth)


def session(settings: Settings) -> Check:
    """Whether several server processes would accept each other's cookies."""
    if settings.session_secret is None and settings.database_url is not None:
        detail = "the page's cookies are signed by a secret of this data folder alone"
        return Check(name="session", status="warn", detail=detail, mend="set PERSONAAGENT_SESSION_SECRET everywhere")
    return Check(name="session", status="ok", detail="cookies are signed")


def folder(settings: Settings) -> list[Check]:
    """Who else may read the data folder, and whether there is room. Blocking."""
    home = settings.home.expanduser()
    if not home.is_dir():
        return []  # the check of the data folder itself says so
    mode = stat.S_IMODE(home.stat().st_mode)
    private = Check(name="permissions", status="ok", detail=f"{home} is {mode:o}")
    if mode & 0o077:
        detail = f"{home} is {mode:o}: other users of this machine may read it"
        private = Check(name="permissions", status="warn", detail=detail, mend=f"chmod 700 {home}")
    free = shutil.disk_usage(home).free
    room = Check(name="disk", status="ok", detail=f"{free / 1e9:.1f} GB free")
    if free < LOW_BYTES:
        room = Check(name="disk", status="fail", detail=f"{free / 1e9:.1f} GB free", mend="make room or move the data")
    return [private, room]


def standalone(environment: Mapping[str, str]) -> Check:
    """Whether the standalone LangGraph server has all it needs, where any of it is set."""
    missing = [name for name in STANDALONE if not environment.get(name)]
    if len(missing) == len(STANDALONE):
        return Check(name="standalone server", status="ok", detail="not in use")
    if missing:
        detail = "is configured in part and will not start"
        return Check(name="standalone server", status="fail", detail=detail, mend=f"set {', '.join(missing)}")
    return Check(name="standalone server", status="ok", detail="its database, Redis and licence are named")
