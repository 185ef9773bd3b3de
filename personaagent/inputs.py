"""What comes in from outside is checked here once, before anything is read or written.

So is feedback, whichever door it comes through, and put into words what was understood of it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, Final, get_args

from personaagent.errors import EmptyQuery, InvalidLabel, InvalidUserId, QueryTooLong
from personaagent.text import clean, one_line
from personaagent.types import Interaction, TruthSource

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


MAX_LABEL_CHARS: Final = 32_000
MAX_COMMENT_CHARS: Final = 2_000
MAX_MATTER_CHARS: Final = 200  # in which a user names what is to be forgotten
ACCEPTED: Final = 4  # a rating from here up makes the response the ground truth
THUMBS: Final = {"up": 5, "down": 1}
_TEXTS: Final = {"ground_truth": MAX_LABEL_CHARS, "rejected": MAX_LABEL_CHARS, "comment": MAX_COMMENT_CHARS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """A ground truth with its source, a rating of 1 to 5, a comment, or several of them.

    A pick is a truth and the answer that it was preferred to, ``rejected`` (``over`` at the doors). Texts lose the
    white space around them. Raises InvalidLabel, which names the field, where it is not sound.
    """

    ground_truth: str | None = None
    source: TruthSource = "correction"
    confidence: float = 1.0
    rating: int | None = None
    comment: str | None = None
    rejected: str | None = None

    def __post_init__(self) -> None:
        """Check every field and what they say together."""
        for name, limit in _TEXTS.items():
            text = getattr(self, name)
            if text is not None:
                object.__setattr__(self, name, _sound(name, text, limit))
        sources, picked = get_args(TruthSource), self.rejected is not None and self.ground_truth is not None
        rated = self.rating is None or (type(self.rating) is int and 1 <= self.rating <= 5)
        for sound, flaw in (
            (self.source in sources, f"source is {self.source!r}: give one of {', '.join(sources)}"),
            (0 <= self.confidence <= 1, f"confidence is {self.confidence}: give 0 to 1"),
            (rated, f"rating is {self.rating!r}: give 1 to 5, a whole number"),
            ((self.source == "pick") == picked, "a pick is of two answers: give picked and over, both"),
            (not picked or self.rejected != self.ground_truth, "picked and over are the same text: give two answers"),
            (
                (self.ground_truth, self.rating, self.comment) != (None, None, None),
                "feedback is empty: give ground_truth, rating, thumb, comment, or picked and over",
            ),
        ):
            if not sound:
                raise InvalidLabel(flaw)


def feedback_of(given: Mapping[str, Any]) -> Feedback:
    """Feedback from what a client sends (``FeedbackInput``): a thumb is a rating, a pick is a truth over another.

    Raises InvalidLabel, which names the fields that are not sound or contradict each other.
    """
    truth, rating, source, thumb, comment, picked, over = (
        given.get(name) for name in ("ground_truth", "rating", "source", "thumb", "comment", "picked", "over")
    )
    if thumb is not None:
        if thumb not in list(THUMBS):
            raise InvalidLabel(f"thumb is {thumb!r}: give up or down")
        if rating is not None:
            raise InvalidLabel("thumb and rating were given: give one of the two")
        rating = THUMBS[thumb]
    if picked is not None or over is not None:
        if truth is not None or source not in (None, "pick"):
            raise InvalidLabel("ground_truth or source contradicts picked: give a truth, or a pick of two")
        if picked is None or over is None:
            raise InvalidLabel("a pick is of two answers: give picked and over, both")
        truth, over = _sound("picked", picked, MAX_LABEL_CHARS), _sound("over", over, MAX_LABEL_CHARS)
        source = "pick"
    return Feedback(ground_truth=truth, source=source or "correction", rating=rating, comment=comment, rejected=over)


def _sound(name: str, text: object, limit: int) -> str:
    if not isinstance(text, str):
        raise InvalidLabel(f"{name} is {type(text).__name__}: give a text")
    if not text.strip():
        raise InvalidLabel(f"{name} is empty: give a text, or leave it out")
    if len(text.strip()) > limit:
        raise InvalidLabel(f"{name} has {len(text.strip())} characters, {limit} at most are kept: cut it")
    return text.strip()


SHOWN_CHARS = 120
_LIST = re.compile(r"^\s*(?:[-*•]|\d{1,2}[.)])\s+\S", re.MULTILINE)


def understood(kept: Interaction, given: Feedback | None = None) -> list[str]:
    """A sentence for each part of the feedback as it is kept now; ``given`` None: for all that was ever given."""
    says = []
    if kept.truth_source not in {None, "rating", "implicit", "imported"} and (given is None or given.ground_truth):
        says.append(_truth(kept))
    if kept.rating is not None and (given is None or given.rating is not None):
        says.append(_rating(kept))
    if kept.comment is not None and (given is None or given.comment is not None):
        says.append(f"Noted for later answers: {one_line(kept.comment, SHOWN_CHARS).rstrip('.')}.")
    return list(dict.fromkeys(says))


def changes_of(before: str, after: str) -> str:
    """What an edit did to a text, counted in words and lists."""
    if before.split() == after.split():
        return "Right as it was."
    old, new = len(before.split()), len(after.split())
    if new < old:
        said = f"You cut the answer from {old} to {new} words"
    elif new > old:
        said = f"You made the answer longer, from {old} to {new} words"
    else:
        said = f"You put the answer in other words, {new} as before"
    listed = bool(_LIST.search(before)), bool(_LIST.search(after))
    change = {(True, False): " and removed a list", (False, True): " and made a list of it"}.get(listed, "")
    return f"{said}{change}."


def _truth(kept: Interaction) -> str:
    truth = kept.ground_truth or ""
    if kept.truth_source == "edit" and kept.response:
        return changes_of(kept.response, truth)
    shown = one_line(truth, SHOWN_CHARS)
    if kept.truth_source == "pick":
        return f"Of the two you prefer: {shown}"
    return "Right as it was." if truth == kept.response else f"It should have been: {shown}"


def _rating(kept: Interaction) -> str:
    rating = kept.rating or 0
    if kept.truth_source == "rating":
        return "Right as it was."
    return f"You gave it {rating} of 5" + ("." if rating >= ACCEPTED else ", so it is not taken as right.")
