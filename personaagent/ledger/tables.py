"""The tables of the ledger. Times are integer microseconds since 1970 UTC; a user's rows are keyed by user first."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Dialect,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
_SEQ = BigInteger().with_variant(Integer, "sqlite")


class Words(TypeDecorator[str]):
    """Text from anywhere. What no database can keep (NUL, lone surrogates) is stored as the replacement character."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Make the text storable."""
        return None if value is None else storable(value)


def storable(value: str) -> str:
    """The text without NUL and lone surrogates."""
    return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def _user(**options: Any) -> Column[str]:
    return Column("user_id", Text, **({"primary_key": True} | options))


interactions = Table(
    "interactions",
    metadata,
    _user(),
    Column("id", Text, primary_key=True),
    Column("created_at", BigInteger, nullable=False),
    Column("query", Words, nullable=False),
    Column("thread_id", Words),
    Column("task", Words),
    Column("choices", JSON, nullable=False),
    Column("response", Words),
    Column("tools", JSON, nullable=False),
    Column("persona_version", Integer),
    Column("ground_truth", Words),
    Column("truth_source", Text),
    Column("truth_confidence", Float),
    Column("rating", Integer),
    Column("comment", Words),
    Column("rejected", Words),
    Column("labelled_at", BigInteger),
    Column("metadata", JSON, nullable=False),
    Column("read_at", BigInteger),  # when semantic memory read it; NULL: it waits
    Column("abandoned", Integer),  # 1: on a branch of its thread that is not in sight
    UniqueConstraint("user_id", "created_at"),
)
# on Postgres the migrations make them partial too: to say so here would load its dialect where there is SQLite
_unread = text("read_at IS NULL")
Index("ix_interactions_unread", interactions.c.user_id, interactions.c.created_at, sqlite_where=_unread)
_labelled = text("ground_truth IS NOT NULL")
Index("ix_interactions_labelled", interactions.c.user_id, interactions.c.created_at, sqlite_where=_labelled)
_in_thread = text("thread_id IS NOT NULL")  # imported rows have none
Index(
    "ix_interactions_thread",
    interactions.c.user_id,
    interactions.c.thread_id,
    interactions.c.created_at,
    sqlite_where=_in_thread,
)

facts = Table(
    "facts",
    metadata,
    _user(),
    Column("id", Text, primary_key=True),
    Column("text", Words, nullable=False),
    Column("evidence", JSON, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("valid_from", BigInteger, nullable=False),
    Column("valid_to", BigInteger),
    Column("status", Text, nullable=False),
    Column("superseded_by", Text),
    Column("source", Text, nullable=False),
)

users = Table(
    "users",
    metadata,
    _user(),
    Column("profile_through", BigInteger),  # newest interaction that semantic memory has read
    Column("new_labels", Integer, nullable=False, default=0),  # since the last alignment
    Column("personalize", Integer, nullable=False, default=1),
)

personas = Table(
    "personas",
    metadata,
    _user(),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("parent", Integer),
    Column("sections", JSON, nullable=False),
    Column("origin", Text, nullable=False),
    Column("proposer", Text),
    Column("reason", Words, nullable=False),
    Column("loss_before", Float),
    Column("loss_after", Float),
    Column("aligned_through", BigInteger),
    Column("created_at", BigInteger, nullable=False),
)

pins = Table(
    "pins",
    metadata,
    _user(),
    Column("id", Text, primary_key=True),
    Column("text", Words, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("origin", Text, nullable=False, server_default="user"),  # user | wish
    Column("said_in", Text),  # the interaction of a wish
)

challengers = Table(
    "challengers",
    metadata,
    _user(),
    Column("id", Text, primary_key=True),
    Column("base_version", Integer, nullable=False),
    Column("proposer", Text, nullable=False),
    Column("sections", JSON, nullable=False),
    Column("reason", Words, nullable=False),
    Column("evidence", JSON, nullable=False),
    Column("judged", JSON, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

candidates = Table(
    "candidates",
    metadata,
    Column("seq", _SEQ, primary_key=True, autoincrement=True),
    _user(primary_key=False, nullable=False),
    Column("proposer", Text, nullable=False),
    Column("sections", JSON, nullable=False),
    Column("reason", Words, nullable=False),
    Column("verdict", JSON),
    Column("created_at", BigInteger, nullable=False),
    Column("run", Text),
    Column("epoch", Integer),
    Index(None, "user_id", "seq"),
)

critiques = Table(
    "critiques",
    metadata,
    _user(),
    Column("run", Text, primary_key=True),
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("interaction_id", Text, primary_key=True),
    Column("version", Integer),  # that the alignment committed; NULL: none
    Column("loss", Float, nullable=False),
    Column("text", Words, nullable=False),
    Column("evidence", JSON, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

grants = Table(
    "grants",
    metadata,
    _user(),
    Column("tool", Words, primary_key=True),
    Column("kind", Text, primary_key=True),  # allow | deny | approve
)

jobs = Table(
    "jobs",
    metadata,
    _user(),
    Column("kind", Text, primary_key=True),
    Column("payload", JSON, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("leased_until", BigInteger),
    Column("lease", Text),  # who holds this token holds the job
    Column("again", Integer, nullable=False, default=0),  # enqueued anew while it ran
    Column("attempts", Integer, nullable=False, default=0),
    Column("error", Words),
    Index(None, "due_at"),
)

waiting = Table(
    "waiting",
    metadata,
    _user(),
    Column("turn_id", Text, primary_key=True),
    Column("since", BigInteger, nullable=False),
    Column("turn", LargeBinary, nullable=False),  # as the library packs it (``library.waiting``)
    Index(None, "since"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("seq", _SEQ, primary_key=True, autoincrement=True),
    _user(primary_key=False, nullable=False),
    Column("op", Text, nullable=False),  # upsert | delete | delete_user
    Column("interaction_id", Text),
    Index(None, "user_id", "seq"),
    Index(None, "user_id", "interaction_id"),
    sqlite_autoincrement=True,  # a number that was delivered is never given again
)

budget = Table(
    "budget",
    metadata,
    _user(),
    Column("day", Text, primary_key=True),
    Column("calls", Integer, nullable=False),
    Column("tokens", BigInteger, nullable=False),
)

meta = Table(
    "meta",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Words, nullable=False),
)
