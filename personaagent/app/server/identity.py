"""Who is asking: the one place that turns the headers of a request into a user.

Three ways, chosen by ``Settings.auth``: ``jwt`` (a token of an identity provider), ``api_key`` (a key of this
deployment's key file) and ``dev`` (whoever the client says, from this machine only). Used by the LangGraph server's
auth handler, by the page and by whatever else has a door.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from personaagent.app.server import keys, tokens
from personaagent.errors import InvalidUserId, NotSignedIn
from personaagent.inputs import check_user_id
from personaagent.settings import Settings

ASSISTANTS_WRITE: Final = "assistants:write"  # may make and change the assistants that everybody runs
WEBHOOKS: Final = "webhooks"  # may have the server call an address when a run ends
SCOPES: Final = frozenset({ASSISTANTS_WRITE, WEBHOOKS})
DEV_USER: Final = "dev"
STUDIO_USER: Final = "langgraph-studio-user"  # as whom Studio works where it signs in as nobody
STUDIO_ORIGIN: Final = "https://smith.langchain.com"
MAX_CREDENTIAL_CHARS: Final = 8_192

DEV_WARNING: Final = (
    "PERSONAAGENT_AUTH=dev: nobody proves who they are. Every program on this machine can read and change what is "
    "known of every user by naming them in X-User-Id. Requests from other machines are refused. "
    "Set PERSONAAGENT_AUTH=api_key or jwt before anybody else is served."
)
# a reverse proxy on this machine would make everybody look local
_FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


@dataclass(frozen=True)
class Identity:
    """A user who is signed in. ``scopes`` are what they may do beyond their own data.

    ``key_id`` names the API key, or the key that signed the token; ``until`` is when the token runs out. ``confirm``
    reads both again.
    """

    user_id: str
    scopes: frozenset[str]
    display_name: str
    key_id: str | None = field(default=None, compare=False)
    until: datetime | None = field(default=None, compare=False)


async def identify(headers: Mapping[str, str], settings: Settings, *, peer: str | None = None) -> Identity:
    """Who sends these headers; ``peer`` is the address of the connection, which ``dev`` needs.

    Header names are compared without case. Raises NotSignedIn where nobody can be told from them, IdentityUnavailable
    where the issuer's keys cannot be fetched, SetupError where the mode chosen is not configured.
    """
    given = {name.lower(): value for name, value in headers.items()}
    try:
        if settings.auth == "dev":
            return _dev(given, settings, peer)
        if settings.auth == "api_key":
            key = await keys.owner(credential(given, "x-api-key"), settings)
            found = Identity(check_user_id(key.user_id), key.scopes, key.user_id, key.id)
        else:
            claims = await tokens.verify(credential(given), settings)
            user_id = check_user_id(claims.user_id)
            found = Identity(user_id, claims.scopes, claims.display_name, claims.key_id, claims.until)
    except InvalidUserId as error:
        raise NotSignedIn(f"whoever is signed in cannot be a user here: {error}") from error
    if found.user_id == STUDIO_USER:
        raise NotSignedIn(f"{STUDIO_USER} is LangGraph Studio's own name and nobody else's")
    return found


async def confirm(
    user_id: str, key_id: str | None, headers: Mapping[str, str], settings: Settings, *, peer: str | None = None
) -> None:
    """See that whoever was identified before would be again: their key opens, or signs, what it did.

    For sessions, which keep no credential; when a token runs out is the session's to know. Raises as ``identify`` does.
    """
    if settings.auth == "dev":
        _dev({name.lower(): value for name, value in headers.items()} | {"x-user-id": user_id}, settings, peer)
    elif settings.auth == "api_key":
        if key_id is None or await keys.holder(key_id, settings) != user_id:
            raise NotSignedIn("the API key that you signed in with is somebody else's now: sign in again")
    else:
        await tokens.signing_key(key_id, settings)


def credential(headers: Mapping[str, str], *other: str) -> str:
    """The bearer token of lower-cased headers, or the value of one of the ``other`` headers; raises NotSignedIn."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    found = [token.strip()] if scheme.lower() == "bearer" and token.strip() else []
    found += [headers[name] for name in other if headers.get(name)]
    if not found:
        where = " or ".join(["Authorization: Bearer ...", *other])
        raise NotSignedIn(f"nobody is signed in: send {where}")
    if len(set(found)) > 1:
        raise NotSignedIn("the request carries two different credentials: send one")
    if len(found[0]) > MAX_CREDENTIAL_CHARS:
        raise NotSignedIn(f"the credential is longer than {MAX_CREDENTIAL_CHARS} characters")
    return found[0]


def studio_allowed(settings: Settings) -> bool:
    """Whether LangGraph Studio may connect to this server."""
    return settings.studio_access == "on" or (settings.studio_access == "auto" and settings.auth == "dev")


def check_local(headers: Mapping[str, str], settings: Settings, peer: str | None) -> None:
    """Raise NotSignedIn unless these lower-cased headers came from this machine, and from no other site's web page."""
    if not _loopback(peer) or any(name in headers for name in _FORWARDED):
        raise NotSignedIn(
            "PERSONAAGENT_AUTH=dev serves this machine only: set PERSONAAGENT_AUTH=api_key or jwt to serve others"
        )
    # any web page that the developer has open can send requests here: its origin, or a rebound host name, tells it
    host, origin = headers.get("host"), headers.get("origin")
    if host is not None and not _loopback(_hostname(f"//{host}")):
        raise NotSignedIn(f"PERSONAAGENT_AUTH=dev answers as localhost only, not as {host[:100]}")
    local = origin is None or _loopback(_hostname(origin))
    if not local and not (origin == STUDIO_ORIGIN and studio_allowed(settings)):
        raise NotSignedIn("PERSONAAGENT_AUTH=dev does not answer web pages of other sites")


def _dev(headers: Mapping[str, str], settings: Settings, peer: str | None) -> Identity:
    check_local(headers, settings, peer)
    user_id = check_user_id(headers.get("x-user-id") or DEV_USER)
    return Identity(user_id, frozenset({ASSISTANTS_WRITE}), user_id)


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _loopback(host: str | None) -> bool:
    if host is None:
        return False
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
