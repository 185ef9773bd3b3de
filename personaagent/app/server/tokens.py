"""Tokens of an identity provider: a JWT is verified against the issuer's public keys, and its claims are read.

The keys come from the issuer's JWKS, fetched without blocking, kept for a while and fetched anew when a token names a
key that is not among them (the issuer rotated), at most once in ``REFRESH_S``; or from one PEM file.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import httpx
import jwt

from personaagent.errors import IdentityUnavailable, NotSignedIn, SetupError
from personaagent.settings import Settings

log = logging.getLogger(__name__)

REFRESH_S: Final = 30.0  # a flood of tokens with made-up key ids fetches no oftener than this
RETRY_S: Final = 5.0  # an issuer that did not answer is asked again no sooner
STALE_S: Final = 3_600.0  # how long keys may be used while the issuer does not answer
FETCH_TIMEOUT_S: Final = 5.0
FOR_EVER: Final = 32_503_680_000  # the year 3000: later times no datetime may hold
MAX_JWKS_BYTES: Final = 512_000
_LOCAL: Final = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True)
class Claims:
    """What a verified token says."""

    user_id: str
    scopes: frozenset[str]
    display_name: str
    until: datetime  # the token is accepted no longer
    key_id: str | None  # what the issuer calls the key that signed it


async def verify(token: str, settings: Settings) -> Claims:
    """The claims of a token. Raises NotSignedIn, IdentityUnavailable or SetupError."""
    issuer, audience = settings.jwt_issuer, settings.jwt_audience
    if not issuer or not audience:
        raise SetupError("PERSONAAGENT_AUTH=jwt needs PERSONAAGENT_JWT_ISSUER and PERSONAAGENT_JWT_AUDIENCE")
    try:
        header = jwt.get_unverified_header(token)
        if header.get("alg") not in settings.jwt_algorithms:
            raise NotSignedIn("the token is signed by an algorithm that is not accepted here")
        key = await signing_key(header.get("kid"), settings)
        told = jwt.decode(
            token,
            key,
            algorithms=list(settings.jwt_algorithms),
            issuer=issuer,
            audience=audience,
            leeway=settings.jwt_leeway_s,
            options={"require": ["exp", "iss", "aud", settings.jwt_user_claim]},
        )
    except jwt.ExpiredSignatureError as error:
        raise NotSignedIn("the token has expired: sign in again") from error
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise NotSignedIn(f"the token is not accepted: {_why(error)}") from error
    user_id = told[settings.jwt_user_claim]
    if not isinstance(user_id, str):
        raise NotSignedIn(f"the token's {settings.jwt_user_claim} is no text")
    name = told.get("name")
    return Claims(
        user_id=user_id,
        scopes=_scopes(told),
        display_name=name if isinstance(name, str) and name.strip() else user_id,
        until=datetime.fromtimestamp(min(int(told["exp"]), FOR_EVER), UTC) + timedelta(seconds=settings.jwt_leeway_s),
        key_id=header.get("kid"),
    )


class KeySet:
    """The signing keys that an issuer publishes at one address."""

    def __init__(self, url: str, cache_s: float) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOCAL):
            raise SetupError("PERSONAAGENT_JWT_JWKS_URL must begin with https://, or anybody on the way could sign")
        self._url, self._cache_s = url, cache_s
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._fetched, self._tried, self._failed = -STALE_S, -REFRESH_S, False  # times of time.monotonic()
        self._locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()

    async def key(self, kid: str | None) -> jwt.PyJWK:
        """The key of that id; without one, the only key there is. Raises NotSignedIn or IdentityUnavailable."""
        if time.monotonic() - self._fetched > self._cache_s or self._find(kid) is None:
            async with self._locks.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
                await self._refresh(kid)
        if time.monotonic() - self._fetched > max(STALE_S, self._cache_s):
            raise IdentityUnavailable("the issuer's signing keys cannot be fetched: try again in a minute")
        found = self._find(kid)
        if found is None and self._failed:  # it may be a new key, which cannot be told now
            raise IdentityUnavailable("the issuer's signing keys cannot be fetched anew: try again in a minute")
        if found is None:
            raise NotSignedIn("the token is signed by a key that the issuer does not publish")
        return found

    async def published(self) -> int:
        """How many usable keys the issuer publishes at this moment. Raises IdentityUnavailable."""
        try:
            return len(_usable(await _fetch(self._url)))
        except (httpx.HTTPError, ValueError, jwt.PyJWTError) as error:
            said = str(error) or type(error).__name__
            raise IdentityUnavailable(f"the signing keys at {self._url} cannot be fetched: {said}") from error

    def _find(self, kid: str | None) -> jwt.PyJWK | None:
        if kid is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(kid)

    async def _refresh(self, kid: str | None) -> None:
        now = time.monotonic()
        fresh = now - self._fetched <= self._cache_s and self._find(kid) is not None
        if fresh or now - self._tried < (RETRY_S if self._failed else REFRESH_S):
            return  # another request fetched them while this one waited, or it is too soon
        self._tried = now
        try:
            self._keys = {key.key_id: key for key in _usable(await _fetch(self._url))}
            self._fetched, self._failed = time.monotonic(), False
        except (httpx.HTTPError, ValueError, jwt.PyJWTError) as error:
            self._failed = True
            log.warning("the signing keys at %s cannot be fetched: %s", self._url, error)


async def signing_key(kid: str | None, settings: Settings) -> Any:
    """The issuer's public key of that id. Raises NotSignedIn, IdentityUnavailable or SetupError."""
    if settings.jwt_jwks_url:
        return await _key_set(settings.jwt_jwks_url, settings.jwt_jwks_cache_s).key(kid)
    if settings.jwt_public_key_file:
        return await asyncio.to_thread(_pem, settings.jwt_public_key_file)
    raise SetupError("PERSONAAGENT_AUTH=jwt needs PERSONAAGENT_JWT_JWKS_URL or PERSONAAGENT_JWT_PUBLIC_KEY_FILE")


@cache
def _key_set(url: str, cache_s: float) -> KeySet:
    return KeySet(url, cache_s)


@cache
def _pem(path: Path) -> str:
    try:
        text = path.expanduser().read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"PERSONAAGENT_JWT_PUBLIC_KEY_FILE cannot be read: {error}") from error
    if "PUBLIC KEY" not in text:
        raise SetupError(f"{path} holds no PEM public key")
    return text


async def _fetch(url: str) -> Any:
    """The JSON at that address; redirects are not followed, and what is too big is not read."""
    async with (
        httpx.AsyncClient(timeout=FETCH_TIMEOUT_S) as client,
        client.stream("GET", url, headers={"Accept": "application/json"}) as response,
    ):
        if response.status_code != httpx.codes.OK:
            raise ValueError(f"status {response.status_code}")
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MAX_JWKS_BYTES:
                raise ValueError(f"more than {MAX_JWKS_BYTES} bytes")
    return httpx.Response(200, content=bytes(body)).json()


def _usable(document: Any) -> list[jwt.PyJWK]:
    """The public keys that sign; symmetric and encryption keys, and kinds that are not known, are left out."""
    told = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(told, list):
        raise ValueError("no JWKS")
    keys = []
    for one in told:
        if not isinstance(one, dict) or one.get("kty") not in {"RSA", "EC", "OKP"} or one.get("use", "sig") != "sig":
            continue
        try:
            keys.append(jwt.PyJWK(one))
        except jwt.PyJWTError as error:
            log.warning("a published key cannot be used: %s", error)
    return keys


def _scopes(claims: dict[str, Any]) -> frozenset[str]:
    told = claims.get("scope", claims.get("scp", ""))
    if isinstance(told, str):
        return frozenset(told.split())
    return frozenset(one for one in told if isinstance(one, str)) if isinstance(told, list) else frozenset()


def _why(error: Exception) -> str:
    """The reason by its name: a message could repeat what the token says."""
    return {
        "InvalidIssuerError": "it was issued by somebody else",
        "InvalidAudienceError": "it was issued for another service",
        "ImmatureSignatureError": "it is not valid yet",
        "InvalidIssuedAtError": "it was issued in the future",
        "InvalidSignatureError": "its signature is wrong",
        "MissingRequiredClaimError": "a claim is missing that is needed here",
    }.get(type(error).__name__, "it is no token of the issuer")
