"""API keys of a small deployment: an append-only file of hashes, one line of JSON an event.

A key is ``pa_<id>_<secret>``; the file knows its id, its user and the SHA-256 of all of it (256 random bits need no
slow hash). Adding and revoking append a line each, so several processes may do it, and nothing is lost on the way.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from personaagent.errors import NotSignedIn, SetupError
from personaagent.settings import Settings

_NOBODY = "0" * 64
_cache: dict[Path, tuple[tuple[int, int, int], dict[str, ApiKey]]] = {}


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key as the file knows it: never the key itself. ``revoked_at`` is None while it opens anything."""

    id: str
    user_id: str
    sha256: str
    scopes: frozenset[str]
    created_at: datetime
    revoked_at: datetime | None = None


async def owner(key: str, settings: Settings) -> ApiKey:
    """Whose key this is. Raises NotSignedIn where it is unknown or revoked, SetupError where the file is unusable."""
    known = await asyncio.to_thread(_read_cached, path_of(settings))
    prefix, _, rest = key.partition("_")
    found = known.get(rest.partition("_")[0]) if prefix == "pa" else None
    # compared even where nothing was found, so that the time taken says nothing about which ids exist
    right = hmac.compare_digest(_digest(key), found.sha256 if found else _NOBODY)
    if found is None or not right or found.revoked_at is not None:
        raise NotSignedIn("the API key is not known here or was revoked: `personaagent keys add` makes a new one")
    return found


async def holder(key_id: str, settings: Settings) -> str:
    """Whose key has this id. Raises as ``owner`` does: a session that a key opened ends with the key."""
    found = (await asyncio.to_thread(_read_cached, path_of(settings))).get(key_id)
    if found is None or found.revoked_at is not None:
        raise NotSignedIn("the API key that you signed in with was revoked: sign in with another")
    return found.user_id


def add(path: Path, user_id: str, scopes: Iterable[str] = ()) -> tuple[str, ApiKey]:
    """Make a key for the user; returns it, for the only time, with what is kept of it.

    Raises SetupError where the file is damaged: the key would open nothing.
    """
    read(path)
    key_id = secrets.token_hex(6)
    key = f"pa_{key_id}_{secrets.token_urlsafe(32)}"
    kept = ApiKey(key_id, user_id, _digest(key), frozenset(scopes), datetime.now(UTC))
    _append(
        path,
        {
            "id": kept.id,
            "user_id": user_id,
            "sha256": kept.sha256,
            "scopes": sorted(kept.scopes),
            "created_at": kept.created_at.isoformat(),
        },
    )
    return key, kept


def revoke(path: Path, key: ApiKey) -> None:
    """Make the key open nothing any more, from the next request on."""
    _append(path, {"id": key.id, "revoked_at": datetime.now(UTC).isoformat()})


def read(path: Path) -> dict[str, ApiKey]:
    """All keys by id, in the order in which they were made; empty where there is no file."""
    found: dict[str, ApiKey] = {}
    try:
        held = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SetupError(f"{path} cannot be read as a key file: {error}") from error
    lines = held.split(b"\n")
    torn = bool(lines[-1])  # an append that was killed, and so never said that it was done
    for number, line in enumerate(lines, 1):
        if not line.strip() or (torn and number == len(lines) and not _whole(line)):
            continue
        try:
            event = json.loads(line)
            found[event["id"]] = _applied(found.get(event["id"]), event)
        except (ValueError, KeyError, TypeError) as error:
            raise SetupError(f"{path} line {number} is no key event: restore the file from a copy") from error
    return found


def path_of(settings: Settings) -> Path:
    """Where the keys of this deployment are kept."""
    return (settings.api_keys_file or settings.home / "api_keys.jsonl").expanduser()


def _applied(known: ApiKey | None, event: dict[str, Any]) -> ApiKey:
    if "revoked_at" in event:
        if known is None:
            raise KeyError(event["id"])
        revoked_at = datetime.fromisoformat(event["revoked_at"])
        return ApiKey(known.id, known.user_id, known.sha256, known.scopes, known.created_at, revoked_at)
    if known is not None:
        raise ValueError(event["id"])  # a second key of that id would take the first one's place
    created_at = datetime.fromisoformat(event["created_at"])
    return ApiKey(event["id"], event["user_id"], event["sha256"], frozenset(event["scopes"]), created_at)


def _read_cached(path: Path) -> dict[str, ApiKey]:
    try:
        told = path.stat()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SetupError(f"{path} cannot be read as a key file: {error}") from error
    if os.name == "posix" and told.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise SetupError(f"{path} can be changed by other accounts, who could make keys: chmod 600 {path}")
    state = (told.st_mtime_ns, told.st_size, told.st_ino)
    cached = _cache.get(path)
    if cached is None or cached[0] != state:
        cached = _cache[path] = (state, read(path))
    return cached[1]


def _append(path: Path, event: dict[str, Any]) -> None:
    line = (json.dumps(event, ensure_ascii=False) + "\n").encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            with _alone(descriptor):
                _end_torn(descriptor)
                while line:
                    line = line[os.write(descriptor, line) :]
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise SetupError(f"{path} cannot be written: {error}") from error


@contextmanager
def _alone(descriptor: int) -> Iterator[None]:
    """One process at a time appends, where the system can say so."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    fcntl.flock(descriptor, fcntl.LOCK_EX)  # given back when the file is closed
    yield


def _end_torn(descriptor: int) -> None:
    """Take out a last line that was never written to its end, so that the next is a line of its own."""
    size = os.fstat(descriptor).st_size
    held = os.pread(descriptor, size, 0)
    last = held[held.rfind(b"\n") + 1 :]
    if last and _whole(last):
        os.write(descriptor, b"\n")
    elif last:
        os.ftruncate(descriptor, size - len(last))


def _whole(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
