"""The textual loss of a simulation (paper, textual gradient), and whether a clause that a model wrote explains more.

One that does not explain the user's other interactions is no candidate. What can be measured is measured, a label and
its words are counted, and only what is left is asked of the critic.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from langchain_core.messages import HumanMessage, SystemMessage

from personaagent.errors import ModelError
from personaagent.form import understood
from personaagent.persona.constraint import constraints_of
from personaagent.persona.proposers.counted import words_in
from personaagent.persona.proposers.edits import Edit, edits_in, outcome
from personaagent.ports import Models
from personaagent.prompts import quote, render
from personaagent.rules import broken_rule
from personaagent.text import one_line
from personaagent.types import Clause, Critique, Interaction, Sections, Simulation, TextualLoss, ToolTrace, evidence_of

KEEP = "Keep what led to this answer: it was what the user wanted."
MAX_PART_CHARS = 400
KEPT, KEPT_CHARS = 8, 600  # critiques of one epoch that are kept, and how much of each
QUERY_CHARS = 2_000
ANSWER_CHARS = 1_000

_PARTS = {"persona_change": "Persona", "tool_use": "Tools", "about_user": "User"}
CRITIQUE_SCHEMA: dict[str, Any] = {
    "title": "Critique",
    "type": "object",
    "properties": {name: {"type": "string", "maxLength": MAX_PART_CHARS} for name in _PARTS},
    "required": list(_PARTS),
    "additionalProperties": False,
}


async def critique(
    models: Models,
    persona_text: str,
    simulation: Simulation,
    interaction: Interaction,
    history_brief: str = "",
    *,
    ask_when_right: bool = False,
) -> TextualLoss:
    """Return how the persona must change for this user; a failing critic becomes an ``error``, never an exception.

    A right answer gets ``KEEP`` without a model call, unless asked. The embedded model is not asked: what was answered
    and what was wanted is then all the critique there is. What the critic says is cleaned, cut to 400 characters a
    part, and left out where it speaks to the assistant's rules instead of the user.
    """

    def told(text: str, error: str | None = None) -> TextualLoss:
        return TextualLoss(interaction_id=interaction.id, loss=simulation.loss, critique=text, error=error)

    if simulation.error is not None:
        return told("", f"not criticised, there was no answer: {simulation.error}")
    if simulation.loss <= 0 and not ask_when_right:
        return told(KEEP)
    if models.embedded:
        return told("The answer was not what the user wanted.")
    messages = [
        SystemMessage(render("critique", persona=quote(persona_text or "empty", "persona"))),
        HumanMessage(_case(simulation, interaction, history_brief)),
    ]
    try:
        answer = await models.structured("critic", messages, CRITIQUE_SCHEMA)
    except ModelError as error:
        return told("", str(error))
    parts = {name: one_line(str(answer.get(name) or ""), MAX_PART_CHARS) for name in _PARTS}
    sound = [f"{_PARTS[name]}: {text}" for name, text in parts.items() if text and broken_rule(text) is None]
    return told(" ".join(sound)) if sound else told("", "the critic said nothing that a persona could use")


def to_keep(losses: Sequence[TextualLoss], persona: Sections, *, run: str, epoch: int) -> list[Critique]:
    """What is kept of an epoch's textual losses: at most ``KEPT`` of answers that went wrong, the worst first.

    ``persona`` is what the critic read, so a critique stands on all that stands behind it.
    """
    wrong = [loss for loss in losses if loss.loss > 0 and loss.critique and loss.error is None]
    now = datetime.now(UTC)
    return [
        Critique(
            run=run,
            epoch=epoch,
            interaction_id=loss.interaction_id,
            loss=loss.loss,
            text=one_line(loss.critique, KEPT_CHARS),
            evidence=tuple(dict.fromkeys([loss.interaction_id, *evidence_of(persona)])),
            created_at=now,
        )
        for loss in sorted(wrong, key=lambda loss: -loss.loss)[:KEPT]
    ]


def _case(simulation: Simulation, interaction: Interaction, history_brief: str) -> str:
    """The example, all of it as data: a label or a tool's answer that gives orders is one more thing to judge."""
    form = f"\nAllowed answers: {', '.join(interaction.choices)}" if interaction.choices else ""
    return render(
        "critique_case",
        history=quote(history_brief or "unknown", "the user's habits"),
        query=quote(interaction.query[:QUERY_CHARS] + form, "question"),
        actual=quote(simulation.actual[:ANSWER_CHARS] or "nothing usable", "what the assistant answered"),
        expected=quote(simulation.expected[:ANSWER_CHARS], "what the user really wanted"),
        edit=_edit(interaction),
        tools=quote("\n".join(map(_call, simulation.tools)) or "none", "tool calls"),
    )


def _edit(interaction: Interaction) -> str:
    """Of an edit: what the assistant had written, what the user made of it, and what that changed in its form."""
    written = interaction.rejected if interaction.truth_source == "pick" else interaction.response
    truth = interaction.ground_truth
    if interaction.choices or not written or not truth or interaction.truth_source not in ("edit", "pick"):
        return ""
    changed = " ".join(understood(written, truth)) or "nothing that can be measured"
    shown = f"{written[:ANSWER_CHARS]}\n-> became ->\n{truth[:ANSWER_CHARS]}"
    said = f"\n{quote(interaction.comment[:ANSWER_CHARS], 'what the user said of it')}" if interaction.comment else ""
    return f"{quote(shown, 'how the user edited it')}\nMeasured: {changed}{said}"


def _call(trace: ToolTrace) -> str:
    arguments = ", ".join(f"{key}={one_line(str(value), 80)!r}" for key, value in trace.arguments.items())
    left = ", which the answer left aside" if trace.outcome == "ok" and trace.used is False else ""
    return f"- {trace.name}({arguments}) → {trace.outcome}{left}: {one_line(trace.brief, 200)}"


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
    cases = "\n\n".join(f"{number}. {_case_of(row)}" for number, row in enumerate(rows, 1))
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


def _case_of(row: Interaction) -> str:
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
