"""What comes in from outside is checked here once, before anything is read or written."""

from __future__ import annotations

import unicodedata
from typing import Any

from personaagent.errors import EmptyQuery, InvalidUserId, QueryTooLong

MAX_USER_ID_CHARS = 256


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
    if not query.strip():
        raise EmptyQuery("the message is empty: there is nothing to answer")
    if len(query) > max_chars:
        raise QueryTooLong(
            f"the message has {len(query)} characters, {max_chars} at most are read: shorten it, "
            "or raise PERSONAAGENT_MAX_QUERY_CHARS"
        )
    return query


def user_of(runtime: Any) -> str:
    """Whose run this is: the authenticated identity where the server has one, else the context's ``user_id``.

    A client can therefore never name another user: an identity wins over whatever the context says.
    """
    server = getattr(runtime, "server_info", None)
    user = getattr(server, "user", None)
    if user is not None:
        return check_user_id(user.identity)
    return check_user_id(getattr(runtime.context, "user_id", None))
