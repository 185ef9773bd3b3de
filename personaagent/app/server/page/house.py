"""What every view of the page shares: who visits, what may be posted, how it is shown, and how a failure is told.

A view is a coroutine of a ``Visit``. It reaches data only by ``visit.user_id``, so another user's ids are unknown ids.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, wraps
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from personaagent.app.server.page.templating import environment
from personaagent.app.server.session import Session, Sessions
from personaagent.app.server.turns import Turns
from personaagent.errors import (
    BudgetSpent,
    ConflictError,
    FeedbackWaits,
    IdentityUnavailable,
    InputError,
    ModelError,
    NotSignedIn,
    PersonaAgentError,
    RequestTooLarge,
    SetupError,
    StoreError,
    TooManyRequests,
    UnknownFact,
    UnknownInteraction,
    UnknownPin,
    UnknownVersion,
)
from personaagent.graph.services import Services
from personaagent.library.agent import PersonaAgent
from personaagent.limits import Rate

MAX_FORM_BYTES: Final = 512_000  # a message of the longest kind, each character as nine of a form
MAX_FIELDS: Final = 64
UPLOAD: Final = "/me/data/import"  # the one form that brings a file
_POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
# of the one view that has a script, which is a file of ours and reaches this server only
SCRIPTED: Final = HEADERS | {"Content-Security-Policy": f"{_POLICY}; script-src 'self'; connect-src 'self'"}
log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Door:
    """What the views of one process stand on."""

    services_of: Callable[[], Services]
    sessions: Sessions
    rate: Rate
    proposed: str = ""  # the name that the sign-in form of development mode begins with
    comparing: set[str] = field(default_factory=set)  # users whose comparison is under way

    @property
    def services(self) -> Services:
        """The services; made at the first visit, not when the server starts."""
        return self.services_of()

    @cached_property
    def agent(self) -> PersonaAgent:
        """The library over the same services."""
        return PersonaAgent.over(self.services)

    @cached_property
    def turns(self) -> Turns:
        """What answers turns, made at the first of them."""
        return Turns(self.agent)


@dataclass(kw_only=True)
class Visit:
    """One request of a user who is signed in."""

    door: Door
    request: Request
    session: Session
    form: Mapping[str, str]
    file: UploadFile | None = None  # of a form with one

    @property
    def services(self) -> Services:
        """The ports."""
        return self.door.services

    @property
    def user_id(self) -> str:
        """Who is signed in; raises NotSignedIn."""
        if self.session.user_id is None:
            raise NotSignedIn("nobody is signed in, or the time of the session is over: sign in")
        return self.session.user_id

    @property
    def asked(self) -> Mapping[str, str]:
        """The query string, each name once."""
        return dict(self.request.query_params)

    @property
    def by_script(self) -> bool:
        """Whether the script of the chat asks, which reads JSON, and no browser that shows what comes."""
        return "application/json" in self.request.headers.get("accept", "")

    def fragment(self, template: str, **values: Any) -> str:
        """A part of the page made of a template."""
        values["root"] = self.request.scope.get("root_path", "")
        return environment().get_template(template).render(values)

    async def show(self, template: str, *, status: int = 200, scripted: bool = False, **values: Any) -> Response:
        """The page made of a template; ``scripted`` lets it run the script of ours that it names."""
        here = self.request.url.path
        root = self.request.scope.get("root_path", "")
        values |= {
            "session": self.session,
            "dev": self.services.settings.auth == "dev",
            "form_token": await self.door.sessions.form_token(self.session),
            "root": root,
            "here": here.removeprefix(root),
            "done": self.request.query_params.get("done", ""),
        }
        body = environment().get_template(template).render(values)
        return Response(body, status, headers=SCRIPTED if scripted else HEADERS, media_type="text/html")

    def go(self, path: str, **query: str) -> Response:
        """On to another view after something was done, so that a reload does not do it again."""
        where = self.request.scope.get("root_path", "") + path + (f"?{urlencode(query)}" if query else "")
        return RedirectResponse(where, 303, headers=HEADERS)


View = Callable[[Visit], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


def viewed(door: Door, view: View, *, public: bool = False) -> Endpoint:
    """A route's endpoint: the view behind the session, the origin check, the form's token and the named failures."""

    @wraps(view)
    async def endpoint(request: Request) -> Response:
        visit = Visit(door=door, request=request, session=Session(id=""), form={})
        try:
            visit.session = await door.sessions.of(request)
            if not public:
                _admit(door, visit.user_id)
            if request.method == "POST" and (refusal := await _foreign(visit)) is not None:
                return await refuse(visit, refusal)
            return await view(visit)
        except NotSignedIn as error:
            if not public and request.method in {"GET", "HEAD"}:
                return visit.go("/me/sign-in", next=_inside(request))
            return await refuse(visit, refusal_of(error), type(error).__name__)
        except PersonaAgentError as error:
            if isinstance(error, TooManyRequests):
                log.info("page: %s", error)
            return await refuse(visit, refusal_of(error), type(error).__name__)
        except ClientDisconnect:
            return Response(status_code=400)

    return endpoint


async def refuse(visit: Visit, refusal: Refusal, name: str = "") -> Response:
    """A friendly page that says what is the matter and what to do; to the script of the chat the same in JSON."""
    response: Response
    if visit.by_script:
        told = {"error": {"name": name or "Refused", "message": refusal.text}}
        response = JSONResponse(told, refusal.status, headers=HEADERS)
    else:
        response = await visit.show("refusal.html", status=refusal.status, refusal=refusal)
    if refusal.retry_after_s:
        response.headers["Retry-After"] = str(refusal.retry_after_s)
    return response


def _admit(door: Door, user_id: str) -> None:
    if wait := door.rate.wait(user_id):
        raise TooManyRequests("you asked for too many pages within a minute: wait a little", wait)


async def _foreign(visit: Visit) -> Refusal | None:
    """Read the form of a POST; says so where it did not come from this session's own page."""
    origin = visit.request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != visit.request.headers.get("host", ""):
        return _not_taken("It came from another site.")
    if visit.request.headers.get("content-type", "").startswith("multipart/form-data"):
        try:
            given = await visit.request.form(max_files=1, max_fields=MAX_FIELDS)
        except HTTPException as error:
            raise InputError(f"the form cannot be read ({error.detail}): open the page and send it again") from error
        visit.form = {name: value for name, value in given.items() if isinstance(value, str)}
        visit.file = next((value for value in given.values() if isinstance(value, UploadFile)), None)
    else:
        visit.form = await form_of(visit.request)
    if not await visit.door.sessions.form_is_own(visit.session, visit.form.get("token", "")):
        return _not_taken("It is too old, or was opened in another session.")
    return None


def _not_taken(why: str) -> Refusal:
    text = f"{why} Nothing was changed. Open the page anew and send it again."
    return Refusal(status=403, heading="This form cannot be taken", text=text)


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form, each once; raises RequestTooLarge."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM_BYTES:
            raise RequestTooLarge(f"the form has more than {MAX_FORM_BYTES} bytes: send less at once")
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS))
    except ValueError as error:  # not UTF-8, or too many fields
        raise RequestTooLarge(f"the form cannot be read ({error}): open the page and send it again") from error


def _inside(request: Request) -> str:
    """Where to go after signing in."""
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


_OPERATOR = "This is for whoever runs this service. Nothing of yours was changed."
# the first that fits; a message of the last four may name files and addresses, which are the operator's
_TOLD: tuple[tuple[tuple[type[PersonaAgentError], ...], int, str, str | None], ...] = (
    (
        (UnknownInteraction, UnknownFact, UnknownPin, UnknownVersion),
        404,
        "This is not here",
        "It may have been forgotten.",
    ),
    ((RequestTooLarge,), 413, "That was too much at once", None),
    ((InputError,), 400, "That could not be done", None),
    ((ConflictError,), 409, "Something changed meanwhile", None),
    ((NotSignedIn,), 403, "You are not signed in", None),
    ((TooManyRequests, BudgetSpent), 429, "A little slower, please", None),
    ((ModelError,), 503, "The model does not answer", "The model cannot be reached now. Try again in a while."),
    ((FeedbackWaits,), 503, "The memory does not answer", None),
    ((StoreError,), 503, "The memory does not answer", "What is kept of you cannot be read now. Try again in a while."),
    ((IdentityUnavailable, SetupError, PersonaAgentError), 503, "Not available at present", _OPERATOR),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What is shown instead of a view."""

    status: int
    heading: str
    text: str
    retry_after_s: int = 0


def refusal_of(error: PersonaAgentError) -> Refusal:
    """How a named failure is told."""
    wait = error.retry_after_s if isinstance(error, TooManyRequests) else 0
    for kinds, status, heading, text in _TOLD:
        if isinstance(error, kinds):
            return Refusal(status=status, heading=heading, text=text or _sentence(str(error)), retry_after_s=wait)
    return Refusal(status=500, heading="Not available at present", text=_OPERATOR)


def _sentence(message: str) -> str:
    """A one-line message of ours as a sentence."""
    return message[:1].upper() + message[1:].rstrip(".") + "."
