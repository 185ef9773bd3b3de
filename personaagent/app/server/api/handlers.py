"""The JSON routes' work: each a coroutine of a ``Call`` that returns a value of its declared type."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from personaagent.app.server.api.forms import (
    MAX_FOUND,
    DecisionsRequest,
    Facts,
    FeedbackRequest,
    FeedbackTaken,
    ForgetRequest,
    Memories,
    Moment,
    Name,
    Personalization,
    PersonaNow,
    PinRequest,
    RollbackRequest,
    TurnRequest,
    Versions,
)
from personaagent.app.server.streaming import as_events, streamed, until_gone, whole
from personaagent.app.server.turns import Answer, Event, Turns
from personaagent.errors import InputError, UnknownInteraction, UnknownPin
from personaagent.graph.services import Services
from personaagent.library.user import User
from personaagent.memory.forgetting import ForgetReport
from personaagent.memory.portability import export_user
from personaagent.ports import Where
from personaagent.types import Interaction, Persona, Pin

MAX_WORDS = 1_000
_moment: TypeAdapter[Moment] = TypeAdapter(Moment)
_name: TypeAdapter[str] = TypeAdapter(Name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request of a user who is signed in. ``body`` is the validated one, None for a GET."""

    services: Services
    turns: Turns
    user: User
    request: Request
    user_id: str
    query: Mapping[str, str]
    path: Mapping[str, str]
    body: Any = None


async def turn(call: Call) -> Answer | Response:
    """Answer a message: the whole at once, or word by word as server-sent events."""
    wanted: TurnRequest = call.body
    return await _turn(call, call.turns.ask(call.user_id, wanted.question(call.user_id)), stream=wanted.stream)


async def decide(call: Call) -> Answer | Response:
    """Go on with a turn that waits for the user's approval of what a tool would do."""
    wanted: DecisionsRequest = call.body
    decisions = [one.model_dump() for one in wanted.decisions]
    events = call.turns.decide(call.user_id, call.path["turn_id"], decisions)
    return await _turn(call, events, stream=wanted.stream)


async def persona(call: Call) -> PersonaNow:
    """The persona in force, and the pinned instructions."""
    personas = call.services.personas
    return PersonaNow(
        persona=await personas.current(call.user_id),
        pins=tuple(await personas.pins(call.user_id)),
        personalize=await call.services.users.personalize(call.user_id),
    )


async def history(call: Call) -> Versions:
    """All versions of the persona, oldest first, and what critics had said."""
    return Versions(
        versions=tuple(await call.services.personas.history(call.user_id)),
        critiques=tuple(await call.services.critiques.history(call.user_id)),
    )


async def rollback(call: Call) -> Persona:
    """Put an old version back in force, as a new version that copies it."""
    wanted: RollbackRequest = call.body
    return await call.services.personas.rollback(call.user_id, wanted.version)


async def pin(call: Call) -> Pin:
    """Keep an instruction that holds for all answers and that alignment may never touch."""
    wanted: PinRequest = call.body
    return await call.services.personas.pin(call.user_id, wanted.text)


async def unpin(call: Call) -> Pin:
    """Take back an instruction, or a wish that was noted in a conversation."""
    pins = {one.id: one for one in await call.services.personas.pins(call.user_id)}
    if (found := pins.get(call.path["pin_id"])) is None:
        raise UnknownPin("this pinned instruction is not there any more")
    await call.services.personas.unpin(call.user_id, found.id)
    return found


async def memories(call: Call) -> Memories:
    """Memories by meaning (``q``), task and time."""
    where = Where(
        task=_given(call, "task", _name), since=_given(call, "since", _moment), before=_given(call, "before", _moment)
    )
    limit, words, episodic = _limit(call.query.get("limit", "20")), call.query.get("q", ""), call.services.episodic
    if len(words) > MAX_WORDS:
        raise InputError(f"q has {MAX_WORDS} characters at most")
    if words.strip():
        found = [recall.interaction for recall in await episodic.search(call.user_id, words, limit, where)]
    else:
        found = (await episodic.newest(call.user_id, limit, where))[::-1]
    return Memories(count=await episodic.count(call.user_id, where), memories=tuple(found))


async def memory(call: Call) -> Interaction:
    """One memory."""
    return await call.services.episodic.get(call.user_id, call.path["memory_id"])


async def feedback(call: Call) -> FeedbackTaken:
    """Say of a remembered answer what was really wanted, made of it, picked, thought or said."""
    wanted: FeedbackRequest = call.body
    call.services.limiter.admit_feedback(call.user_id)
    said = wanted.model_dump(exclude_unset=True)
    taken = await call.user.feedback(call.path["memory_id"], **said)
    return FeedbackTaken(memory=taken.interaction, understood=taken.understood, alignment_due=taken.alignment_due)


async def facts(call: Call) -> Facts:
    """The facts that hold; with ``all=true`` those too that no longer do."""
    everything = call.query.get("all", "false")
    if everything not in {"true", "false"}:
        raise InputError("all is true or false")
    known = await call.services.semantic.history(call.user_id)
    return Facts(facts=tuple(fact for fact in known if everything == "true" or fact.status == "active"))


async def export(call: Call) -> dict[str, Any]:
    """Everything that is kept of the user; ``personaagent memory import`` reads it."""
    return await export_user(call.services.database, call.user_id)


async def forget(call: Call) -> ForgetReport:
    """Forget memories and what was made of them, for good."""
    wanted: ForgetRequest = call.body
    report = await call.services.forgetter.forget(call.user_id, wanted.selection)
    if report.unknown and not report.interactions:
        raise UnknownInteraction(f"this user has no interaction {report.unknown[0]!r}")
    return report


async def personalization(call: Call) -> Personalization:
    """Switch personalization on or off."""
    wanted: Personalization = call.body
    await call.services.users.set_personalize(call.user_id, wanted.personalize)
    return wanted


async def _turn(call: Call, events: AsyncIterator[Event], *, stream: bool) -> Answer | Response:
    if stream or "text/event-stream" in call.request.headers.get("accept", ""):
        return await streamed(call.request, events, as_events)
    return await until_gone(call.request, whole(events))


def _given(call: Call, name: str, form: TypeAdapter[Any]) -> Any:
    if name not in call.query:
        return None
    try:
        return form.validate_python(call.query[name])
    except ValidationError as error:
        raise InputError(f"{name}: {error.errors()[0]['msg']}") from error


def _limit(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 3 or not 1 <= int(text) <= MAX_FOUND:
        raise InputError(f"limit is a number from 1 to {MAX_FOUND}")
    return int(text)
