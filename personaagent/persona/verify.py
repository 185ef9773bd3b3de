"""Whether a clause that a model wrote explains the user's other interactions; one that does not is no candidate.

What can be measured is measured, a label and its words are counted, and only what is left is asked of the critic.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import HumanMessage

from personaagent.errors import ModelError
from personaagent.persona.constraint import constraints_of
from personaagent.persona.proposers.counted import words_in
from personaagent.persona.proposers.edits import Edit, edits_in, outcome
from personaagent.ports import Models
from personaagent.prompts import quote, render
from personaagent.text import one_line
from personaagent.types import Clause, Interaction

MIN_SHARE = 0.6  # of the interactions that a clause applies to, it must explain
MAX_DOUBT = 0.25  # of the rows with its words have the label that a clause names: it is wrong
MAX_ASKED = 4  # clauses of one candidate that the critic is asked about
CASES = 6  # newest interactions that the critic sees
CASE_CHARS = 300  # of each text

VERDICTS_SCHEMA: dict[str, Any] = {
    "title": "Verdicts",
    "type": "object",
    "properties": {
        "verdicts": {"type": "array", "items": {"type": "string", "enum": ["yes", "no", "n/a"]}, "maxItems": CASES}
    },
    "required": ["verdicts"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class Verified:
    """The clauses that may be judged, and why each of the others was dropped."""

    kept: tuple[Clause, ...]
    dropped: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Tally:
    """On how many interactions a clause would have led to what the user wanted, and on how many away from it."""

    right: int
    wrong: int


async def verify(
    models: Models, clauses: Sequence[Clause], history: Sequence[Interaction], *, said: bool = False
) -> Verified:
    """Return which clauses explain most of the labelled ``history`` that they apply to, their own evidence aside.

    ``said`` clauses have the user's own words behind them: where nothing applies they stand. Of others at least one
    interaction has to speak for them. The critic is asked about at most ``MAX_ASKED``; a failing one drops a clause.
    """
    asked = 0
    work = []
    for clause in clauses:
        counted = _counted(clause, history)
        may_ask = counted is None and asked < MAX_ASKED
        asked += may_ask
        work.append(_judged(models, clause, history, counted, may_ask=may_ask))
    kept, dropped = [], []
    for clause, tally in zip(clauses, await asyncio.gather(*work), strict=True):
        reason = tally if isinstance(tally, str) else _fault(tally, said=said)
        if reason is None:
            kept.append(clause)
        else:
            dropped.append(f'"{one_line(clause.text, 80)}" {reason}')
    return Verified(tuple(kept), tuple(dropped))


def _fault(tally: _Tally, *, said: bool) -> str | None:
    applies = tally.right + tally.wrong
    if not applies:
        return None if said else "explains no other interaction"
    if tally.right < MIN_SHARE * applies:
        return f"explains {tally.right} of {applies} other interactions"
    return None


def _counted(clause: Clause, history: Sequence[Interaction]) -> _Tally | None:
    """What can be said without a model; None where the clause is neither a measurable one nor about labels."""
    stated = constraints_of(clause.text)
    if stated:
        results = []
        for row in _others(edits_in(history), clause):
            outcomes = [outcome(one, row) for one in stated]
            results.append(-1 if -1 in outcomes else max(outcomes))
        return _Tally(results.count(1), results.count(-1))
    return _by_label(clause, history)


def _others(rows: Sequence[Edit], clause: Clause) -> Sequence[Edit]:
    """The edits that a clause does not stand on; all of them where it stands on every one."""
    return [row for row in rows if row.interaction.id not in clause.evidence] or rows


def _by_label(clause: Clause, history: Sequence[Interaction]) -> _Tally | None:
    """For a clause that names one label and words of questions: how often these words went with the label."""
    closed = [i for i in history if i.choices and i.ground_truth and i.id not in clause.evidence]
    text = re.sub(r"(?i)\b(?:not|rather than|instead of|never)\s+[\"']?\w+", " ", clause.text)
    named = {c for i in closed for c in i.choices if re.search(rf"(?<!\w){re.escape(c)}(?!\w)", text, re.IGNORECASE)}
    if len(named) != 1:
        return None
    label = named.pop()
    signs = words_in(text) - words_in(label) - _PLAIN
    rows = [i for i in closed if label in i.choices and _share_word(signs, words_in(i.query))]
    if not rows:
        return None
    right = sum(i.ground_truth == label for i in rows)
    if MAX_DOUBT < right / len(rows) < MIN_SHARE:
        return None  # words alone do not tell where they go with several labels: the critic reads on
    return _Tally(right, len(rows) - right)


def _share_word(signs: Iterable[str], words: Iterable[str]) -> bool:
    known = list(words)
    return any(sign.startswith(word) or word.startswith(sign) for sign in signs for word in known)


async def _judged(
    models: Models, clause: Clause, history: Sequence[Interaction], counted: _Tally | None, *, may_ask: bool
) -> _Tally | str:
    if counted is not None:
        return counted
    rows = [i for i in history if i.ground_truth and i.id not in clause.evidence][-CASES:]
    if not rows:
        return _Tally(0, 0)
    if models.embedded or not may_ask:
        return "could not be verified"
    cases = "\n\n".join(f"{number}. {_case(row)}" for number, row in enumerate(rows, 1))
    prompt = render("verify_clause", rule=quote(clause.text, "rule"), cases=quote(cases, "interactions"))
    try:
        answer = await models.structured("critic", [HumanMessage(prompt)], VERDICTS_SCHEMA)
    except ModelError as error:
        return f"could not be verified: {error}"
    given = answer.get("verdicts")
    verdicts = [v for v in given if v in ("yes", "no", "n/a")][: len(rows)] if isinstance(given, list) else []
    if not verdicts:
        return "could not be verified: the critic gave no verdict"
    return _Tally(verdicts.count("yes"), verdicts.count("no"))


def _case(row: Interaction) -> str:
    written = row.rejected if row.truth_source == "pick" else row.response
    answered = f" Answered: {one_line(written, CASE_CHARS)!r}." if written else ""
    wanted = one_line(row.ground_truth or "", CASE_CHARS)
    return f"Asked: {one_line(row.query, CASE_CHARS)!r}.{answered} Wanted: {wanted!r}."


_PLAIN = frozenset(
    re.findall(
        r"\w+",
        "user users answer answers label labels category choose chose prefer prefers question questions articles",
    )
)
