"""The tables of the ledger, and their rows as values and back.

Times are integer microseconds since 1970 UTC; a user's rows are keyed by user first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ColumnElement,
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
    and_,
    text,
)

from personaagent.ports import Where
from personaagent.types import Clause, Critique, Fact, Interaction, Persona, Pin, Section, Sections, ToolTrace, Turn

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


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(moment: datetime) -> int:
    """Microseconds since 1970 of an aware datetime, exactly."""
    return (moment - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """The aware UTC datetime of microseconds since 1970, exactly."""
    return _EPOCH + timedelta(microseconds=micros)


def maybe_micros(moment: datetime | None) -> int | None:
    """``to_micros``, None for None."""
    return None if moment is None else to_micros(moment)


def maybe_moment(micros: int | None) -> datetime | None:
    """``from_micros``, None for None."""
    return None if micros is None else from_micros(micros)


def interaction_row(interaction: Interaction) -> dict[str, Any]:
    """The row of an interaction."""
    return {
        "user_id": interaction.user_id,
        "id": interaction.id,
        "created_at": to_micros(interaction.created_at),
        "query": storable(interaction.query),
        "thread_id": _words(interaction.thread_id),
        "task": _words(interaction.task),
        "choices": list(interaction.choices),
        "response": _words(interaction.response),
        "tools": [trace_json(trace) for trace in interaction.tools],
        "persona_version": interaction.persona_version,
        "ground_truth": _words(interaction.ground_truth),
        "truth_source": interaction.truth_source,
        "truth_confidence": interaction.truth_confidence,
        "rating": interaction.rating,
        "comment": _words(interaction.comment),
        "rejected": _words(interaction.rejected),
        "labelled_at": maybe_micros(interaction.labelled_at),
        "metadata": plain(interaction.metadata),
        "abandoned": 1 if interaction.abandoned else None,
    }


def _words(text: str | None) -> str | None:
    return None if text is None else storable(text)


def interaction_of(row: Mapping[Any, Any]) -> Interaction:
    """The interaction of a row."""
    return Interaction(
        user_id=row["user_id"],
        id=row["id"],
        created_at=from_micros(row["created_at"]),
        query=row["query"],
        thread_id=row["thread_id"],
        task=row["task"],
        choices=tuple(row["choices"]),
        response=row["response"],
        tools=tuple(ToolTrace(**trace) for trace in row["tools"]),
        persona_version=row["persona_version"],
        ground_truth=row["ground_truth"],
        truth_source=row["truth_source"],
        truth_confidence=row["truth_confidence"],
        rating=row["rating"],
        comment=row["comment"],
        rejected=row["rejected"],
        labelled_at=maybe_moment(row["labelled_at"]),
        metadata=row["metadata"],
        abandoned=bool(row["abandoned"]),
    )


def trace_json(trace: ToolTrace) -> dict[str, Any]:
    """A tool trace as JSON."""
    return {**{field.name: getattr(trace, field.name) for field in fields(trace)}, "arguments": plain(trace.arguments)}


def plain(value: Any) -> Any:
    """The value as JSON that every database takes: what JSON has no form for (a date, NaN) becomes text."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(inner) for inner in value]
    if value is None or isinstance(value, str | int) or (isinstance(value, float) and isfinite(value)):
        return value
    return str(value)


def fact_row(fact: Fact) -> dict[str, Any]:
    """The row of a fact."""
    times = {"valid_from": to_micros(fact.valid_from), "valid_to": maybe_micros(fact.valid_to)}
    return _fields(fact) | times | {"evidence": list(fact.evidence)}


def _fields(value: Fact | Persona | Critique | Pin) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value)}


def fact_of(row: Mapping[str, Any]) -> Fact:
    """The fact of a row."""
    times = {"valid_from": from_micros(row["valid_from"]), "valid_to": maybe_moment(row["valid_to"])}
    return Fact(**{**row, **times, "evidence": tuple(row["evidence"])})


def sections_json(sections: Sections) -> dict[str, list[dict[str, Any]]]:
    """The sections of a persona as JSON."""
    return {
        section.value: [clause_json(clause) for clause in sections[section]]
        for section in Section
        if sections.get(section)
    }


def clause_json(clause: Clause) -> dict[str, Any]:
    """A clause as JSON."""
    kind = {"kind": clause.kind} if clause.kind else {}
    turn = {"turn": {"task": clause.turn.task, "since": to_micros(clause.turn.since)}} if clause.turn else {}
    return {"text": clause.text, "evidence": list(clause.evidence), **kind, **turn}


def clause_of(value: Mapping[str, Any]) -> Clause:
    """The clause that ``clause_json`` wrote."""
    turn = value.get("turn")
    return Clause(
        text=value["text"],
        evidence=tuple(value["evidence"]),
        kind=value.get("kind"),
        turn=Turn(turn["task"], from_micros(turn["since"])) if turn else None,
    )


def sections_of(value: Mapping[str, list[dict[str, Any]]]) -> Sections:
    """The sections that ``sections_json`` wrote."""
    return {Section(name): tuple(map(clause_of, clauses)) for name, clauses in value.items()}


def persona_of(row: Mapping[str, Any]) -> Persona:
    """The persona version of a row."""
    times = {"aligned_through": maybe_moment(row["aligned_through"]), "created_at": from_micros(row["created_at"])}
    return Persona(**{**row, **times, "sections": sections_of(row["sections"])})


def persona_row(persona: Persona) -> dict[str, Any]:
    """The row of a persona version."""
    times = {"aligned_through": maybe_micros(persona.aligned_through), "created_at": to_micros(persona.created_at)}
    return _fields(persona) | times | {"sections": sections_json(persona.sections)}


def critique_row(user_id: str, critique: Critique) -> dict[str, Any]:
    """The row of a critique."""
    kept = {"evidence": list(critique.evidence), "created_at": to_micros(critique.created_at)}
    return {"user_id": user_id} | _fields(critique) | kept


def critique_of(row: Mapping[Any, Any]) -> Critique:
    """The critique of a row."""
    told = {name: value for name, value in row.items() if name != "user_id"}
    return Critique(**told | {"evidence": tuple(row["evidence"]), "created_at": from_micros(row["created_at"])})


def pin_row(pin: Pin) -> dict[str, Any]:
    """The row of a pin."""
    return _fields(pin) | {"created_at": to_micros(pin.created_at)}


def pin_of(row: Mapping[Any, Any]) -> Pin:
    """The pin of a row."""
    return Pin(**{**row, "created_at": from_micros(row["created_at"])})


def matching(user_id: str, where: Where) -> ColumnElement[bool]:
    """The condition that ``where`` stands for, always within one user."""
    table = interactions.c
    parts: list[ColumnElement[bool]] = [table.user_id == user_id]
    if where.before is not None:
        parts.append(table.created_at < to_micros(where.before))
    if where.since is not None:
        parts.append(table.created_at >= to_micros(where.since))
    if where.task is not None:
        parts.append(table.task == where.task)
    if where.thread_id is not None:
        parts.append(table.thread_id == where.thread_id)
    if where.labelled is not None:
        parts.append(table.ground_truth.is_not(None) if where.labelled else table.ground_truth.is_(None))
    if where.abandoned is not None:
        parts.append(table.abandoned.is_not(None) if where.abandoned else table.abandoned.is_(None))
    if where.exclude:
        parts.append(table.id.not_in(sorted(where.exclude)))
    return and_(*parts)
