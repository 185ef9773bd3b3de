"""Sessions of the page: a signed cookie that says who is signed in, and the token that every form must carry.

Nothing is kept on the server. A session ends with its time, which is short (``Settings.session_minutes``), is not
extended and not longer than that of the token that opened it; with the API key that opened it, since every request
asks whether that key still opens; and with signing out in that browser.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import os
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import jwt
from starlette.requests import Request
from starlette.responses import Response

from personaagent.app.server.identity import Identity, confirm
from personaagent.errors import HomeNotWritable, NotSignedIn
from personaagent.settings import Settings

COOKIE: Final = "personaagent_session"
PATH: Final = "/me"
_ISSUER: Final = "personaagent/page"
_SECRET_BYTES: Final = 48
MIN_SECRET_BYTES: Final = 32
MIN_SECRET_KINDS: Final = 8  # different ones among them; zeros are what a power cut leaves of a file
_log = logging.getLogger(__name__)
MAX_NAME_CHARS: Final = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One browser's visit; ``user_id`` is None before it is signed in. ``id`` is random and names nobody."""

    id: str
    user_id: str | None = None
    display_name: str = ""
    key_id: str | None = None  # of the API key, or of the key that signed the token


class Sessions:
    """Reads, writes and checks sessions; the secret is read at first use."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._secret: bytes | None = None

    async def of(self, request: Request) -> Session:
        """The request's session; a new one of nobody where the cookie is missing or forged, has run out, or ended.

        Raises IdentityUnavailable or SetupError where it cannot be told whether it ended.
        """
        nobody = Session(id=secrets.token_urlsafe(24))
        try:
            claims = jwt.decode(
                request.cookies.get(COOKIE, ""),
                await self._key(),
                algorithms=["HS256"],
                issuer=_ISSUER,
                audience=self._audience,
                options={"require": ["exp", "iat", "jti"]},
            )
        except jwt.InvalidTokenError:
            return nobody
        session = Session(
            id=claims["jti"],
            user_id=claims.get("sub"),
            display_name=claims.get("name", ""),
            key_id=claims.get("key"),
        )
        if session.user_id is not None:
            peer = request.client.host if request.client else None
            try:
                await confirm(session.user_id, session.key_id, request.headers, self._settings, peer=peer)
            except NotSignedIn:
                return nobody
        return session

    async def begin(self, response: Response, request: Request, found: Identity) -> Session:
        """Put a new session into the response; its id is new, so what was known of the one before is worth nothing."""
        session = Session(
            id=secrets.token_urlsafe(24),
            user_id=found.user_id,
            display_name=found.display_name,
            key_id=found.key_id,
        )
        await self.keep(response, request, session, until=found.until)
        return session

    async def keep(
        self, response: Response, request: Request, session: Session, *, until: datetime | None = None
    ) -> None:
        """Write the session's cookie, which is good for the minutes of the settings, and not after ``until``."""
        now = datetime.now(UTC)
        life = timedelta(minutes=self._settings.session_minutes)
        if until is not None:
            life = max(timedelta(), min(life, until - now))
        claims = {"iss": _ISSUER, "aud": self._audience, "jti": session.id, "iat": now, "exp": now + life}
        claims["name"] = session.display_name[:MAX_NAME_CHARS]
        if session.key_id is not None:
            claims["key"] = session.key_id
        if session.user_id is not None:
            claims["sub"] = session.user_id
        response.set_cookie(
            COOKIE,
            jwt.encode(claims, await self._key(), algorithm="HS256"),
            max_age=int(life.total_seconds()),
            path=request.scope.get("root_path", "") + PATH,
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="lax",
        )

    def end(self, response: Response, request: Request) -> None:
        """Take the cookie out of the browser."""
        response.delete_cookie(COOKIE, path=request.scope.get("root_path", "") + PATH, httponly=True, samesite="lax")

    async def form_token(self, session: Session) -> str:
        """What every form of this session carries; nobody can make it without the secret."""
        return hmac.new(await self._key(), f"form:{session.id}".encode(), hashlib.sha256).hexdigest()

    async def form_is_own(self, session: Session, token: str) -> bool:
        """Whether a form came from a page of this session."""
        return hmac.compare_digest((await self.form_token(session)).encode(), token.encode("utf-8", "replace"))

    @property
    def _audience(self) -> str:
        """What sessions are good for: one of development mode, or of another issuer, is worth nothing under this."""
        told = self._settings
        return " ".join(["jwt", str(told.jwt_issuer), str(told.jwt_audience)] if told.auth == "jwt" else [told.auth])

    async def _key(self) -> bytes:
        if self._secret is None:
            given = self._settings.session_secret
            if given is not None:
                self._secret = given.get_secret_value().encode()
            else:
                self._secret = await asyncio.to_thread(kept_secret, self._settings.home / "session_secret")
        return self._secret


def kept_secret(path: Path) -> bytes:
    """The secret kept in that file, made at first use and readable by its owner only; raises HomeNotWritable."""
    try:
        if path.exists():
            held = path.read_bytes()
            if len(held) >= MIN_SECRET_BYTES and len(set(held)) >= MIN_SECRET_KINDS:
                return held
            _log.error("%s is too short or too plain to sign with, and is made anew: everybody signs in again", path)
            path.unlink()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(secrets.token_urlsafe(_SECRET_BYTES).encode())
            out.flush()
            os.fsync(out.fileno())  # before it has its name: a power cut leaves the whole secret or none
        try:
            os.link(partial, path)  # of two processes that start at once one wins, and both read the same
        except FileExistsError:
            pass
        finally:
            partial.unlink()
        return path.read_bytes()
    except OSError as error:
        raise HomeNotWritable(f"{path} cannot be kept ({error.strerror}): set PERSONAAGENT_SESSION_SECRET") from error
