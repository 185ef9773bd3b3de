"""Proposers of the caller's own: a function that says what to add to the persona, or an object that is a proposer."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from personaagent.errors import InvalidPersona, PersonaAgentError, SetupError
from personaagent.labels.statistics import EVIDENCE
from personaagent.persona.proposers import ProposalContext, Proposer, Refusal
from personaagent.persona.shape import to_text, validate_sections
from personaagent.text import one_line
from personaagent.types import Candidate, Clause, Section, Sections, evidence_of

TAKEN = frozenset(
    {"edits", "comments", "examples", "histogram", "contrast", "retire", "gradient", "user", "template", "monitor"}
)
REASON_CHARS = 200
_log = logging.getLogger(__name__)


def own_proposers(proposers: Sequence[object]) -> tuple[Proposer, ...]:
    """The proposers of what the caller handed in: functions of a ``ProposalContext``, or objects that are ``Proposer``.

    A function, sync or async, returns what it would add to the section ``answering``: a sentence, a ``Clause``, several
    of them, or None. An object returns a whole ``Candidate``, or a ``Refusal``. Raises SetupError where one cannot be a
    proposer, or has a name that is taken.
    """
    made = tuple(OwnProposer(_name(proposer), _function(proposer)) for proposer in proposers)
    for name, count in Counter(one.name for one in made).items():
        if count > 1 or name in TAKEN:
            raise SetupError(f"there is another proposer called {name!r}: give yours a name of its own")
    return made


class OwnProposer:
    """Asks what was handed in. What it returns is checked like a model's words; what it raises becomes a refusal."""

    def __init__(self, name: str, ask: Callable[[ProposalContext], Any]) -> None:
        self.name = name
        self._ask = ask

    async def propose(self, context: ProposalContext) -> Candidate | Refusal:
        """Return the candidate that it asks for, or why there is none."""
        try:
            answer = await asyncio.to_thread(self._ask, context)
            return self._checked(await answer if inspect.isawaitable(answer) else answer, context)
        except PersonaAgentError as error:
            return self._refuse(str(error))
        except Exception as error:
            _log.warning("the proposer %s failed", self.name, exc_info=True)
            return self._refuse(f"it failed ({type(error).__name__}: {one_line(str(error), REASON_CHARS)})")

    def _checked(self, answer: object, context: ProposalContext) -> Candidate | Refusal:
        if isinstance(answer, Refusal):
            return self._refuse(one_line(answer.reason, REASON_CHARS))
        if isinstance(answer, Candidate):
            sections, reason = answer.sections, one_line(answer.reason, REASON_CHARS)
        else:
            added, reason = _clauses(answer), ""
            if not added:
                return self._refuse("it has nothing to propose")
            before = context.incumbent.get(Section.ANSWERING, ())
            sections = {**context.incumbent, Section.ANSWERING: (*before, *added)}
        shown = {i.id for i in (*context.history, *context.teach, *context.commented)}
        sections = validate_sections(
            _grounded(sections, context),
            budget_tokens=context.token_budget,
            known_ids=shown | set(evidence_of(context.incumbent)),
        )
        if to_text(sections, evidence=False) == to_text(context.incumbent, evidence=False):
            return self._refuse("what it says is in the persona already")
        return Candidate(proposer=self.name, sections=sections, reason=reason)

    def _refuse(self, reason: str) -> Refusal:
        return Refusal(proposer=self.name, reason=reason)


def _name(proposer: object) -> str:
    name = getattr(proposer, "name", None) or getattr(proposer, "__name__", None)
    if not isinstance(name, str) or not name.isidentifier():
        raise SetupError(
            f"a proposer has the name {name!r}: write a function with `def`, or an object with a `name` of letters, "
            "digits and underscores"
        )
    return name


def _function(proposer: object) -> Callable[[ProposalContext], Any]:
    ask = getattr(proposer, "propose", proposer)
    if isinstance(proposer, type) or not callable(ask):
        raise SetupError(
            f"the proposer {_name(proposer)} cannot be asked: give a function, or an object with a method `propose`"
        )
    function: Callable[[ProposalContext], Any] = ask
    return function


def _clauses(answer: object) -> list[Clause]:
    several = isinstance(answer, Iterable) and not isinstance(answer, str | Clause | Mapping)
    items: list[Any] = list(answer) if several else [] if answer is None else [answer]  # type: ignore[call-overload]
    for item in items:
        if not isinstance(item, str | Clause):
            raise InvalidPersona(f"it returned {type(item).__name__}: return sentences, clauses, a candidate or None")
    return [Clause(text=item) if isinstance(item, str) else item for item in items]


def _grounded(sections: Sections, context: ProposalContext) -> Sections:
    """The sections with each clause that stands as it stands; a new one is no counted one and names evidence.

    One that names none stands on the newest labels that the proposer was shown, so it goes when they are forgotten.
    """
    standing = {clause.text: clause for clauses in context.incumbent.values() for clause in clauses}
    newest = tuple(i.id for i in context.history[-EVIDENCE:])
    return {
        section: tuple(
            standing.get(clause.text) or replace(clause, kind=None, turn=None, evidence=clause.evidence or newest)
            for clause in clauses
        )
        for section, clauses in sections.items()
    }
