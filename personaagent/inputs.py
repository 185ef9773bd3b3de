"""What comes in from outside is checked here once, before anything is read or written."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from personaagent.errors import EmptyQuery, InvalidUserId, QueryTooLong
from personaagent.text import clean

MAX_USER_ID_CHARS = 256
_DECIMALS = re.compile(r"([.,]\d{6})\d+")


def check_user_id(user_id: object) -> str:
    """Return the user id as it is; raise InvalidUserId when it names nobody.

    Any text up to 256 characters without control characters is a user id: ids are bound as values everywhere and
    never become part of a path or a query text.
    """
    if not isinstance(user_id, str) or not user_id.strip():
        raise InvalidUserId("user_id is missing or empty: give the id of the user whose agent this is")
    if len(user_id) > MAX_USER_ID_CHARS:
        raise InvalidUserId(f"user_id has {len(user_id)} characters, {MAX_USER_ID_CHARS} at most are allowed")
    if any(unicodedata.category(c) in {"Cc", "Cs"} for c in user_id):
        raise InvalidUserId("user_id has control characters (a line break, for example): remove them")
    return user_id


def check_query(query: str, max_chars: int) -> str:
    """Return the query as it is; raise EmptyQuery or QueryTooLong."""
    if not clean(query).strip():
        raise EmptyQuery("the message is empty: there is nothing to answer")
    if len(query) > max_chars:
        raise QueryTooLong(
            f"the message has {len(query)} characters, {max_chars} at most are read: shorten it, "
            "or raise PERSONAAGENT_MAX_QUERY_CHARS"
        )
    return query


def moment_of(text: str) -> datetime:
    """The time of a text as ISO 8601 or RFC 3339 write it, in UTC; naive means UTC.

    Any number of decimals is read, microseconds are kept; a leap second is the one before. Raises ValueError.
    """
    plain = _DECIMALS.sub(r"\1", text.strip().upper())
    plain = re.sub(r"([T ]\d\d:?\d\d:?)60(?!\d)", r"\g<1>59", plain)
    try:
        moment = datetime.fromisoformat(plain)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("a time lies between the years 1 and 9999") from error


def check_context(told: Mapping[str, Any]) -> None:
    """See that a run's context, as a client sent it, can be one; what is no field of it is left to the server.

    Raises InvalidContext, before anything of the run is kept.
    """
    from personaagent.context import Context  # pydantic, which no check of a user id needs

    known = {field.name for field in fields(Context)}
    Context(**{"user_id": "", **{name: value for name, value in told.items() if name in known}})


def user_of(runtime: Any) -> str:
    """Whose run this is: the authenticated identity where the server has one, else the context's ``user_id``.

    A client can therefore never name another user: an identity wins over whatever the context says.
    """
    server = getattr(runtime, "server_info", None)
    user = getattr(server, "user", None)
    if user is not None:
        return check_user_id(user.identity)
    return check_user_id(getattr(runtime.context, "user_id", None))
