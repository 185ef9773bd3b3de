"""Memories and facts: found by meaning, task and day, read one by one, and forgotten in two steps.

What would go is said first, and what went is reported. Of facts: on what evidence, since when; told, corrected and
forgotten by the user.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from starlette.responses import JSONResponse, Response

from personaagent.app.server.page.house import HEADERS, Visit
from personaagent.errors import InputError, UnknownFact, UnknownInteraction
from personaagent.graph.services import Services
from personaagent.inputs import MAX_COMMENT_CHARS, check_query, understood
from personaagent.ledger.facts import MAX_FACT_CHARS
from personaagent.memory.forgetting import Selection
from personaagent.memory.semantic import strongest_first
from personaagent.ports import Where
from personaagent.types import Interaction, clauses_of, is_wish

PAGE = 20
MAX_FOUND = 100  # a search by meaning goes no deeper
MAX_WORDS = 1_000
_SAID = ("thumb", "comment", "correction", "edit", "choice", "picked", "over")  # fields of the forms
RECENT = 400  # newest interactions whose tasks are offered


async def show_memories(visit: Visit) -> Response:
    """Newest first, or best first where words are asked for, a page at a time."""
    services, user_id, asked = visit.services, visit.user_id, visit.asked
    filters, words, number = filters_of(asked), asked.get("q", "").strip(), _number(asked.get("page", "1"))
    found = await _find(services, user_id, filters, words, number)
    return await visit.show(
        "memories.html",
        found=found[:PAGE],
        more=len(found) > PAGE,
        number=number,
        words=words,
        filters=filters,
        tasks=await tasks_of(services, user_id),
        count=await services.episodic.count(user_id, filters.where),
        total=await services.episodic.count(user_id),
    )


async def show_memory(visit: Visit) -> Response:
    """One memory with everything that is kept of it, and what stands on it."""
    services, user_id = visit.services, visit.user_id
    memory = await services.episodic.get(user_id, visit.request.path_params["memory_id"])
    persona = await services.personas.current(user_id)
    clauses = clauses_of(persona.sections) if persona else []
    return await visit.show(
        "memory.html",
        memory=memory,
        wish=is_wish(memory),
        understood=understood(memory),
        max_comment=MAX_COMMENT_CHARS,
        clauses=[clause for clause in clauses if memory.id in clause.evidence],
        facts=[fact for fact in await services.facts.holding(user_id) if memory.id in fact.evidence],
    )


async def take_feedback(visit: Visit) -> Response:
    """Take in what the user says of the answer; the memory's page tells what was understood.

    Raises UnknownInteraction, InvalidLabel, TooMuchFeedback.
    """
    visit.services.limiter.admit_feedback(visit.user_id)
    key = visit.request.path_params["memory_id"]
    said: dict[str, Any] = {name: text for name in _SAID if (text := visit.form.get(name, "").strip())}
    for source in ("correction", "edit", "choice"):
        if source in said:
            said |= {"ground_truth": said.pop(source), "source": source}
    taken = await visit.door.agent.user(visit.user_id).feedback(key, **said)
    if visit.by_script:
        return JSONResponse({"said": taken.understood}, headers=HEADERS)
    return visit.go(f"/me/memories/{quote(key, safe='')}", done="noted")


async def tasks_of(services: Services, user_id: str) -> list[str]:
    """The tasks of the user's newest interactions, in alphabetical order."""
    return sorted({found.task for found in await services.episodic.newest(user_id, RECENT) if found.task})


async def _find(services: Services, user_id: str, filters: Filters, words: str, number: int) -> list[Interaction]:
    """The page's memories, and one more where there are more."""
    end = number * PAGE + 1
    if words:
        check_query(words, MAX_WORDS)
        recalls = await services.episodic.search(user_id, words, min(end, MAX_FOUND), filters.where)
        return [recall.interaction for recall in recalls][end - PAGE - 1 :]
    newest = await services.episodic.newest(user_id, end, filters.where)
    return newest[::-1][end - PAGE - 1 :]


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= len(text) <= 5 or not int(text):
        raise InputError("a page is a number from 1 on")
    return int(text)


MAX_ID_CHARS = 64


async def forget_form(visit: Visit) -> Response:
    """What can be chosen; once something is, what would go, and the button."""
    selection, filters = selection_of(visit.asked)
    chosen = bool(selection.ids or selection.where or selection.about or selection.everything)
    foreseen = await visit.services.forgetter.preview(visit.user_id, selection) if chosen else None
    return await visit.show(
        "forget.html",
        filters=filters,
        selection=selection,
        foreseen=foreseen,
        failed="",
        tasks=await tasks_of(visit.services, visit.user_id),
    )


async def forget(visit: Visit) -> Response:
    """Forget what was confirmed, and report."""
    selection, filters = selection_of(visit.form)
    if visit.form.get("sure") != "yes":
        return await visit.show(
            "forget.html",
            status=400,
            filters=filters,
            selection=selection,
            foreseen=await visit.services.forgetter.preview(visit.user_id, selection),
            failed="Nothing was forgotten: tick the box to say that you are sure.",
            tasks=await tasks_of(visit.services, visit.user_id),
        )
    report = await visit.services.forgetter.forget(visit.user_id, selection)
    if report.unknown and not report.interactions:
        raise UnknownInteraction("this memory is not here any more")
    return await visit.show("forgotten.html", report=report, everything=selection.everything)


def selection_of(given: Mapping[str, str]) -> tuple[Selection, Filters]:
    """What a form or a query string selects; raises InputError where everything and a part are both asked for."""
    filters, one, about = filters_of(given), given.get("id", ""), given.get("about", "").strip()
    if len(one) > MAX_ID_CHARS:
        raise UnknownInteraction("this memory is not here")
    everything = given.get("everything") == "yes"
    if everything and (one or about or filters.narrows):
        raise InputError("everything is not a part: choose one of the two")
    where = filters.where if filters.narrows else None
    return Selection(ids=(one,) if one else (), where=where, everything=everything, about=about), filters


MAX_NAME_CHARS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """The form's fields as they were entered; ``first`` and ``last`` are days (UTC), both of them included."""

    task: str = ""
    first: str = ""
    last: str = ""

    @property
    def narrows(self) -> bool:
        """Whether anything is asked for at all."""
        return bool(self.task or self.first or self.last)

    @property
    def where(self) -> Where:
        """The filter of the memory; raises InputError where a day is none."""
        last = day(self.last)
        return Where(
            task=self.task or None,
            since=day(self.first),
            before=last + timedelta(days=1) if last else None,
        )

    @property
    def fields(self) -> dict[str, str]:
        """What a link carries on."""
        return {name: getattr(self, name) for name in ("task", "first", "last") if getattr(self, name)}


def filters_of(given: Mapping[str, str]) -> Filters:
    """The filters of a form or of a query string; raises InputError where a name is too long."""
    task = given.get("task", "").strip()
    if len(task) > MAX_NAME_CHARS:
        raise InputError(f"a task's name has {MAX_NAME_CHARS} characters at most")
    return Filters(task=task, first=given.get("first", "").strip(), last=given.get("last", "").strip())


def day(text: str) -> datetime | None:
    """The day (UTC) of a form's field, None for an empty one; raises InputError."""
    if not text:
        return None
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise InputError("a day has the form 2026-03-31") from error
    if not 1970 <= day.year <= 9000:
        raise InputError("a day lies between 1970 and 9000")
    return day


async def show_facts(visit: Visit) -> Response:
    """The facts that hold, strongest first, and those that no longer do, newest first."""
    services, user_id = visit.services, visit.user_id
    history = await services.semantic.history(user_id)
    return await visit.show(
        "facts.html",
        holding=strongest_first([fact for fact in history if fact.status == "active"]),
        past=[fact for fact in reversed(history) if fact.status != "active"],
        texts={fact.id: fact.text for fact in history},
        evidence=await look_up(services, user_id, (fact.evidence for fact in history)),
        max_chars=MAX_FACT_CHARS,
    )


async def tell_fact(visit: Visit) -> Response:
    """Keep what the user says of themselves."""
    await visit.services.statements.remember(visit.user_id, _said(visit))
    return visit.go("/me/facts", done="told")


async def correct_form(visit: Visit) -> Response:
    """One fact, to be put in other words."""
    fact_id = visit.request.path_params["fact_id"]
    for fact in await visit.services.facts.holding(visit.user_id):
        if fact.id == fact_id:
            return await visit.show("fact.html", fact=fact, max_chars=MAX_FACT_CHARS)
    raise UnknownFact("this fact is not here any more")


async def correct_fact(visit: Visit) -> Response:
    """Put the user's word in the place of a fact, which stays in the history."""
    await visit.services.statements.correct(visit.user_id, visit.request.path_params["fact_id"], _said(visit))
    return visit.go("/me/facts", done="corrected")


async def forget_fact(visit: Visit) -> Response:
    """Delete a fact for good."""
    await visit.services.statements.forget(visit.user_id, visit.request.path_params["fact_id"])
    if visit.by_script:
        return JSONResponse({"said": ["It is forgotten."]}, headers=HEADERS)
    return visit.go("/me/facts", done="fact-gone")


def _said(visit: Visit) -> str:
    return " ".join(visit.form.get("text", "").split())


SHOWN = 5  # interactions shown behind one sentence; the others are counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The interactions that something stands on, ``count`` in all, the first of them in ``shown``."""

    count: int
    shown: tuple[Interaction, ...]


async def look_up(
    services: Services, user_id: str, standing: Iterable[tuple[str, ...]]
) -> Mapping[tuple[str, ...], Evidence]:
    """The evidence behind each tuple of interaction ids; ids that this user does not have are passed over."""
    wanted = set(standing)
    ids = {i for evidence in wanted for i in evidence}
    known = await services.interactions.get_many(user_id, sorted(ids))
    found = {}
    for evidence in wanted:
        mine = [known[i] for i in evidence if i in known]
        found[evidence] = Evidence(count=len(mine), shown=tuple(mine[:SHOWN]))
    return found
