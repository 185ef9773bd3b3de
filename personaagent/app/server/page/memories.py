"""Memories: found by meaning, task and day, read one by one."""

from __future__ import annotations

from urllib.parse import quote

from starlette.responses import JSONResponse, Response

from personaagent.app.feedback import give_feedback
from personaagent.app.server.page.filters import Filters, filters_of
from personaagent.app.server.page.house import HEADERS, Visit
from personaagent.errors import InputError
from personaagent.graph.services import Services
from personaagent.inputs import MAX_COMMENT_CHARS, check_query, understood
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
    said = {name: text for name in _SAID if (text := visit.form.get(name, "").strip())}
    for source in ("correction", "edit", "choice"):
        if source in said:
            said |= {"ground_truth": said.pop(source), "source": source}
    result = await give_feedback(visit.services, visit.user_id, key, said)
    if visit.by_script:
        return JSONResponse({"said": result["understood"]}, headers=HEADERS)
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
