"""What the rows of an imported user may be, and what they may say of each other."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from personaagent.errors import InputError
from personaagent.inputs import MAX_COMMENT_CHARS
from personaagent.labels.statistics import TURNED, is_statistic
from personaagent.ledger.candidates import MAX_KEPT
from personaagent.ledger.facts import MAX_FACT_CHARS
from personaagent.masking import storable_text
from personaagent.memory.importing import MAX_CHOICES, MAX_METADATA_CHARS
from personaagent.persona.store import MAX_PIN_CHARS, MAX_PINS
from personaagent.rules import advises, broken_rule
from personaagent.types import Clause, Persona, clauses_of

MAX_TEXT_CHARS = 32_000
MAX_ID_CHARS = 64
MAX_NAME_CHARS = 256
MAX_CLAUSE_CHARS = 300
MAX_CRITIQUE_CHARS = 1_000
MAX_EPOCH = 1_000
MAX_TRACES = 200  # tool calls of one turn
MAX_BRIEF_CHARS = 1_000
MAX_VERSIONS = 10_000
MAX_REASON_CHARS = 4_000
MAX_GRANTS = 1_000
EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
CLOCKS_DIFFER = timedelta(days=1)

_KIND = re.compile(r"[\w-]{1,64}")
_Rule = tuple[Callable[[Any], bool], str]  # what has to hold, and what is said where it does not


def check_bounds(document: object) -> None:
    """Hold every row of a ``UserDocument`` against the rules of its part; raises InputError naming the first flaw."""
    for part, rules in _RULES.items():
        for number, row in enumerate(getattr(document, part)):
            _check(row, rules, f" at {part}.{number}")
    _check(document, _WHOLE, "")


def _check(row: object, rules: Iterable[_Rule], place: str) -> None:
    for holds, flaw in rules:
        if not holds(row):
            raise InputError(f"the export is damaged{place}: {flaw}")


def _at_most(chars: int, *names: str) -> Callable[[Any], bool]:
    return lambda row: all(len(getattr(row, name) or "") <= chars for name in names)


def _told(chars: int) -> Callable[[Any], bool]:
    return lambda row: bool(row.text.strip()) and len(row.text) <= chars


def _turned_in_time(clause: Clause, persona: Persona) -> bool:
    if clause.turn is None:
        return True
    since = clause.turn.since
    return clause.kind == TURNED and since.tzinfo is not None and EARLIEST <= since <= persona.created_at


def _dated(*names: str) -> tuple[_Rule, _Rule]:
    def times(row: Any) -> list[datetime]:
        return [moment for name in names if (moment := getattr(row, name)) is not None]

    return (
        (lambda row: all(moment.tzinfo is not None for moment in times(row)), "a time has no time zone"),
        (
            lambda row: all(EARLIEST <= moment <= datetime.now(UTC) + CLOCKS_DIFFER for moment in times(row)),
            "a time is before 1900 or in the future",
        ),
    )


def _single(values: Iterable[object]) -> bool:
    found = list(values)
    return len(set(found)) == len(found)


def _grounded(document: Any) -> bool:
    ids = {interaction.id for interaction in document.interactions}
    return all(ids.issuperset(fact.evidence) for fact in document.facts)


_ID: _Rule = (
    lambda row: 0 < len(row.id) <= MAX_ID_CHARS and row.id == storable_text(row.id),
    "an id is empty or too long",
)
_RULES: dict[str, tuple[_Rule, ...]] = {
    "interactions": (
        _ID,
        *_dated("created_at", "labelled_at"),
        (_at_most(MAX_NAME_CHARS, "task", "thread_id"), f"a task or thread has over {MAX_NAME_CHARS} characters"),
        (lambda i: bool(i.query.strip()), "a query is empty"),
        (
            _at_most(MAX_TEXT_CHARS, "query", "response", "ground_truth", "rejected"),
            f"a text has more than {MAX_TEXT_CHARS} characters",
        ),
        (_at_most(MAX_COMMENT_CHARS, "comment"), "a comment is too long"),
        (
            lambda i: all(
                len(json.dumps(v)) <= MAX_METADATA_CHARS for v in (i.metadata, *(t.arguments for t in i.tools))
            ),
            f"metadata or a tool's arguments have more than {MAX_METADATA_CHARS} characters",
        ),
        (lambda i: len(i.choices) <= MAX_CHOICES and len(i.tools) <= MAX_TRACES, "too many choices or tools"),
        (
            lambda i: all(0 < len(choice) <= MAX_NAME_CHARS for choice in i.choices),
            f"a choice has not 1 to {MAX_NAME_CHARS} characters",
        ),
        (
            lambda i: all(len(t.name) <= MAX_NAME_CHARS and len(t.brief) <= MAX_BRIEF_CHARS for t in i.tools),
            "a tool's name or result is too long",
        ),
        (lambda i: i.rating is None or 1 <= i.rating <= 5, "a rating is not 1 to 5"),
        (lambda i: 0 <= (i.truth_confidence or 0) <= 1, "a confidence is not 0 to 1"),
    ),
    "facts": (
        _ID,
        *_dated("valid_from", "valid_to"),
        (
            lambda f: f.source == "user" or not (broken_rule(f.text) or advises(f.text) or is_statistic(f.text)),
            "a fact speaks to the assistant, or says that it was counted",
        ),
        (lambda f: 0 <= f.confidence <= 1, "a fact's confidence is not 0 to 1"),
        (_told(MAX_FACT_CHARS), "a fact is empty or too long"),
    ),
    "personas": (
        *_dated("created_at", "aligned_through"),
        (_at_most(MAX_REASON_CHARS, "reason"), "a version's reason is too long"),
        (_at_most(MAX_NAME_CHARS, "proposer"), "a version's proposer is too long"),
        (
            lambda p: all(0 <= (loss or 0) <= 1 for loss in (p.loss_before, p.loss_after)),
            "a version's loss is not 0 to 1",
        ),
        (
            lambda p: all(_KIND.fullmatch(clause.kind or "own") for clause in clauses_of(p.sections)),
            "a clause's kind is no name",
        ),
        (
            lambda p: all(_turned_in_time(clause, p) for clause in clauses_of(p.sections)),
            "a clause says since when answers hold, and that is no moment before its version",
        ),
        (lambda p: p.parent is None or p.parent < p.version, "a persona is its own ancestor"),
        (
            lambda p: all(len(clause.text) <= MAX_CLAUSE_CHARS for clause in clauses_of(p.sections)),
            f"a clause has more than {MAX_CLAUSE_CHARS} characters",
        ),
    ),
    "pins": (
        _ID,
        *_dated("created_at"),
        (_told(MAX_PIN_CHARS), "a pin is empty or too long"),
        (lambda pin: broken_rule(pin.text) in (None, "address"), "a pin speaks to the assistant's rules"),
        (_at_most(MAX_ID_CHARS, "said_in"), "a pin names no interaction"),
    ),
    "critiques": (
        *_dated("created_at"),
        (lambda c: c.interaction_id in c.evidence, "a critique does not stand on its own interaction"),
        (lambda c: 0 < len(c.run) <= MAX_ID_CHARS and 0 < c.epoch <= MAX_EPOCH, "a critique names no alignment"),
        (lambda c: 0 <= c.loss <= 1, "a critique's loss is not 0 to 1"),
        (lambda c: 0 < len(c.text) <= MAX_CRITIQUE_CHARS, "a critique is empty or too long"),
    ),
    "grants": ((lambda grant: 0 < len(grant[0]) <= 128, "a granted tool's name is empty or too long"),),
}
_WHOLE: tuple[_Rule, ...] = (
    *_dated("profile_through"),
    (lambda d: _single(i.id for i in d.interactions), "an interaction is there twice"),
    (lambda d: _single(i.created_at for i in d.interactions), "two interactions are of the same time"),
    (lambda d: _single(fact.id for fact in d.facts), "a fact is there twice"),
    (_grounded, "a fact stands on an interaction that is not there"),
    (lambda d: [p.version for p in d.personas] == list(range(len(d.personas))), "persona versions are not 0, 1, 2 ..."),
    (
        lambda d: max(Counter(pin.origin for pin in d.pins).values(), default=0) <= MAX_PINS,
        f"there are more than {MAX_PINS} pins of one origin",
    ),
    (lambda d: len(d.personas) <= MAX_VERSIONS, f"there are more than {MAX_VERSIONS:,} versions of the persona"),
    (lambda d: len(d.grants) <= MAX_GRANTS, f"there are more than {MAX_GRANTS:,} grants"),
    (lambda d: len(d.critiques) <= MAX_KEPT, f"there are more than {MAX_KEPT} critiques"),
    (
        lambda d: all(c.version is None or 0 <= c.version < len(d.personas) for c in d.critiques),
        "a critique led to a version that is not there",
    ),
)
