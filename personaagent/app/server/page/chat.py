"""The chat: what one sees first. Answers come as server-sent events; beside each stands why it is as it is.

Without a script the form cannot send, and says so; what is told of an answer is rendered here, so the script only puts
it in its place.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from uuid import uuid4

from pydantic import TypeAdapter, ValidationError
from starlette.responses import JSONResponse, Response

from personaagent.app.server.page.house import HEADERS, Visit
from personaagent.app.server.streaming import as_events, streamed
from personaagent.app.server.turns import EARLIER_TURNS, Answer, Event, Question, Said, spoken
from personaagent.context import Context
from personaagent.errors import InputError, StoreError
from personaagent.ports import Where
from personaagent.types import Interaction, clauses_of

RECENT: Final = 200  # newest interactions among which earlier conversations are found
THREADS: Final = 8
MAX_THREAD_CHARS: Final = 64
MAX_SAID: Final = 80
_said: TypeAdapter[list[tuple[Literal["user", "assistant"], str]]] = TypeAdapter(
    list[tuple[Literal["user", "assistant"], str]]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """An earlier conversation, named by its first message."""

    thread_id: str
    title: str


async def show_chat(visit: Visit) -> Response:
    """The conversation of ``thread``, or a new one; earlier ones are offered. Without the ledger one can still ask."""
    services, user_id = visit.services, visit.user_id
    thread = _thread(visit.asked.get("thread", ""))
    newest: list[Interaction] = []
    past: list[Interaction] = []
    personalized, readable = True, True
    try:
        personalized = await services.users.personalize(user_id)
        newest = await services.episodic.newest(user_id, RECENT)
        past = await services.episodic.newest(user_id, EARLIER_TURNS, Where(thread_id=thread)) if thread else []
    except StoreError:
        readable = False  # a turn goes on without memory too, and says so
    return await visit.show(
        "chat.html",
        scripted=True,
        thread=thread,
        past=[(turn, spoken(turn)) for turn in past],
        talks=[talk for talk in _talks(newest) if talk.thread_id != thread],
        personalized=personalized,
        readable=readable,
        embedded=services.models.embedded,
        max_chars=services.settings.max_query_chars,
    )


async def take_turn(visit: Visit) -> Response:
    """Answer a message of the chat as server-sent events; raises what a turn raises before its first word."""
    temporary = visit.form.get("temporary") == "on"
    question = Question(
        text=visit.form.get("text", ""),
        context=Context(user_id=visit.user_id, personalize=not temporary),
        earlier=_earlier(visit.form.get("earlier", "")) if temporary else None,
        instead_of=visit.form.get("instead_of", ""),
        thread_id=_thread(visit.form.get("thread", "")) or str(uuid4()),
    )
    return await _stream(visit, visit.door.turns.ask(visit.user_id, question))


async def decide(visit: Visit) -> Response:
    """Go on with a turn that waits for the user; ``decision`` is of all its calls."""
    asked = visit.form.get("decision", "")
    if asked not in {"once", "always", "no"}:
        raise InputError("decision is once, always or no")
    count = visit.form.get("count", "1")
    one = {"type": "ignore"} if asked == "no" else {"type": "accept", "remember": asked == "always"}
    decisions = [one] * (int(count) if count.isascii() and count.isdigit() and len(count) < 3 else 1)
    return await _stream(visit, visit.door.turns.decide(visit.user_id, visit.request.path_params["turn_id"], decisions))


async def _stream(visit: Visit, events: AsyncIterator[Event]) -> Response:
    token = await visit.door.sessions.form_token(visit.session)

    def told(answer: Answer) -> dict[str, Any]:
        return {"html": visit.fragment("turn.html", form_token=token, answer=answer)}

    return await streamed(visit.request, events, lambda found: as_events(found, told))


async def show_news(visit: Visit) -> Response:
    """What has been learnt since an answer, which the script asks for a few times: of its message, and of ``version``.

    Facts that stand on the message and that the user did not tell themselves, and new sentences of the persona.
    """
    services, user_id, key = visit.services, visit.user_id, visit.request.path_params["memory_id"]
    facts = [one for one in await services.facts.holding(user_id) if key in one.evidence and one.source == "summarizer"]
    version = visit.asked.get("version", "")
    current = await services.personas.current(user_id)
    learnt: list[str] = []
    if current is not None and version.isascii() and version.isdigit() and current.origin == "aligned":
        versions = [one for one in await services.personas.history(user_id) if str(one.version) == version]
        before = {clause.text for one in versions for clause in clauses_of(one.sections)}
        learnt = [clause.text for clause in clauses_of(current.sections) if clause.text not in before]
    token = await visit.door.sessions.form_token(visit.session)
    html = visit.fragment(
        "news.html", form_token=token, facts=facts, learnt=learnt, version=current and current.version
    )
    return JSONResponse({"html": html.strip()}, headers=HEADERS)


def _talks(newest: Sequence[Interaction]) -> list[Talk]:
    """The newest conversations among these interactions, the newest first, each named by what began it."""
    titles: dict[str, str] = {}
    for one in reversed(newest):
        if one.thread_id:
            titles[one.thread_id] = one.query  # the oldest comes last, and names it
    return [Talk(thread_id=key, title=title) for key, title in list(titles.items())[:THREADS]]


def _thread(given: str) -> str:
    if len(given) > MAX_THREAD_CHARS or not given.isprintable():
        raise InputError(f"a conversation's id has {MAX_THREAD_CHARS} characters at most")
    return given


def _earlier(given: str) -> tuple[Said, ...]:
    """What was said before in a chat of which nothing is kept, as the browser holds it."""
    try:
        said = _said.validate_python(json.loads(given or "[]"))
    except (ValidationError, ValueError, RecursionError) as error:
        raise InputError("the earlier messages cannot be read: begin a new chat") from error
    return tuple(Said(role=role, text=text) for role, text in said[-MAX_SAID:])
