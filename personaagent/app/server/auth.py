"""What the LangGraph server asks before it does anything: who is asking, and whether what they ask for is theirs.

``langgraph.json`` names ``auth``. Everything that no handler here allows is refused. Threads, their runs and crons
carry the owner's mark, and every read, search and change is filtered by it. The user of a run is the one who is
signed in: a request that names another is refused, and where it names none theirs is filled in, over whatever an
assistant, a thread or a cron holds (``personaagent.inputs.user_of`` reads the identity again, in every node).
"""

from __future__ import annotations

import json
import logging
from typing import Any, Final
from urllib.parse import urlsplit

from langgraph_sdk import Auth, get_client
from starlette.exceptions import HTTPException

from personaagent import telemetry
from personaagent.app.server.identity import ASSISTANTS_WRITE, DEV_WARNING, WEBHOOKS, identify, studio_allowed
from personaagent.errors import (
    IdentityUnavailable,
    InvalidContext,
    InvalidUserId,
    NotSignedIn,
    SetupError,
    TooManyCrons,
    TooManyRuns,
)
from personaagent.graph.services import default_services
from personaagent.inputs import check_context, check_user_id
from personaagent.ownership import OWNER, is_alignment_thread, owner_of
from personaagent.settings import Settings
from personaagent.tools.page import is_public, resolve_host
from personaagent.tools.spec import ToolFault

RETRY_AFTER_S: Final = "60"
MAX_RECURSION: Final = 500  # steps of a run: more than the longest alignment takes
MAX_TOLD_CHARS: Final = 100_000  # of a run's context, config or metadata, as JSON
log = logging.getLogger(__name__)

auth = Auth()
SETTINGS = Settings()
if SETTINGS.auth == "dev":
    log.warning(DEV_WARNING)


@auth.authenticate
async def authenticate(scope: dict[str, Any]) -> Auth.types.MinimalUserDict:
    """The user of a request, from its headers."""
    headers = {name.decode("latin-1"): _text(value) for name, value in scope.get("headers", ())}
    client = scope.get("client")
    try:
        found = await identify(headers, SETTINGS, peer=client[0] if client else None)
    except NotSignedIn as error:
        raise Auth.exceptions.HTTPException(status_code=401, detail=str(error)) from error
    except (IdentityUnavailable, SetupError) as error:
        # the reason may name files and addresses: it is for the operator's log, not for whoever asks
        log.error("nobody can sign in: %s", error)
        # Starlette's own: the SDK's exception becomes 500 here unless it is 401 or 403
        raise HTTPException(503, _unavailable(error), headers={"Retry-After": RETRY_AFTER_S}) from error
    return {
        "identity": found.user_id,
        "display_name": found.display_name,
        "permissions": sorted(found.scopes),
        "is_authenticated": True,
    }


@auth.on
async def refuse(ctx: Auth.types.AuthContext, value: Any) -> bool:  # noqa: ARG001  # the server names both
    """Whatever has no handler of its own."""
    return False


@auth.on(resources=["threads", "crons"], actions=["read", "search", "delete"])
async def reach_own(ctx: Auth.types.AuthContext, value: Any) -> dict[str, str]:  # noqa: ARG001
    """Threads, copies of them, their state, history, runs and streams, and crons: one's own, or none."""
    return _own(ctx)


@auth.on.threads.create
async def create_thread(ctx: Auth.types.AuthContext, value: Any) -> dict[str, str]:
    """A new thread is its maker's, and its id is not that of anybody else's background work."""
    await _check_thread_id(ctx, value)
    return _marked(ctx, value)


@auth.on.threads.update
async def update_thread(ctx: Auth.types.AuthContext, value: Any) -> dict[str, str]:
    """Changing a thread, its state or its runs; its owner stays who it is."""
    return _marked(ctx, value) if value.get("metadata") is not None else _own(ctx)


@auth.on.threads.create_run
async def create_run(ctx: Auth.types.AuthContext, value: Any) -> dict[str, str]:
    """A run, alone, in a batch, on a thread, from a checkpoint or by a cron: always as the user who asks for it."""
    if value.get("if_not_exists") == "create":
        await _check_thread_id(ctx, value)
    run = value["kwargs"]
    await _as_user(ctx, run)
    _check_size(run, value.get("metadata"))
    try:
        default_services().limiter.queue_run(
            _user(ctx), str(value.get("run_id")), float(value.get("after_seconds") or 0)
        )
    except TooManyRuns as error:
        telemetry.refused.labels("pending_runs").inc()
        detail = f"{type(error).__name__}: {error}"
        raise HTTPException(429, detail, headers={"Retry-After": str(error.retry_after_s)}) from error
    return _marked(ctx, value)


@auth.on(resources="crons", actions=["create", "update"])
async def write_cron(ctx: Auth.types.AuthContext, value: Any) -> dict[str, str]:
    """A cron runs as whoever made it, stays theirs, and is one of as many as they may have."""
    if value.get("payload") is not None:
        await _as_user(ctx, value["payload"])
        _check_size(value["payload"], value.get("metadata"))
    if ctx.action == "create" and SETTINGS.crons_per_user:
        await _admit_cron(ctx, value)
    if ctx.action == "update" and value.get("metadata") is None:
        return _own(ctx)
    return _marked(ctx, value)


@auth.on(resources="assistants", actions=["read", "search"])
async def read_assistants(ctx: Auth.types.AuthContext, value: Any) -> bool:  # noqa: ARG001
    """Assistants are the deployment's: everybody who is signed in finds and runs all of them."""
    return bool(_user(ctx))


@auth.on(resources="assistants", actions=["create", "update", "delete"])
async def write_assistants(ctx: Auth.types.AuthContext, value: Any) -> bool:
    """Everybody runs what is written here, so it takes a scope, and it can be nobody's in particular."""
    _user(ctx)
    # what stands for Studio in development proves nothing of who it is, and elsewhere it is a LangSmith seat
    studio_in_dev = isinstance(ctx.user, Auth.types.StudioUser) and SETTINGS.auth == "dev"
    if ASSISTANTS_WRITE not in ctx.permissions and not studio_in_dev:
        raise _forbidden(f"making and changing assistants needs the scope {ASSISTANTS_WRITE}")
    if any(_named(value)):
        raise _forbidden("an assistant is nobody's in particular: leave user_id out of its context")
    _check_context(value)
    _check_size(value, value.get("metadata"))
    return True


@auth.on.store
async def use_store(ctx: Auth.types.AuthContext, value: Any) -> bool:
    """Every namespace lies below the user's own; the agent itself keeps nothing in this store."""
    mark, asked = owner_of(_user(ctx)), tuple(value.get("namespace") or ())
    value["namespace"] = asked if asked[:1] == (mark,) else (mark, *asked)
    return True


def _unavailable(error: IdentityUnavailable | SetupError) -> str:
    """What whoever asks is told: the failure's name, and what to do."""
    what = (
        "the identity provider's signing keys cannot be fetched: send it again in a minute"
        if isinstance(error, IdentityUnavailable)
        else "signing in is not set up on this server"
    )
    return f"{type(error).__name__}: {what}. Whoever runs the server: its log says why, and `personaagent doctor`"


def _user(ctx: Auth.types.AuthContext) -> str:
    """The signed-in user's id; refuses Studio where the settings do, and whoever cannot be a user."""
    if isinstance(ctx.user, Auth.types.StudioUser) and not studio_allowed(SETTINGS):
        raise _forbidden("LangGraph Studio has no access here: PERSONAAGENT_STUDIO_ACCESS=on would give it")
    try:
        return check_user_id(ctx.user.identity)
    except InvalidUserId as error:
        raise _forbidden(str(error)) from error


def _own(ctx: Auth.types.AuthContext) -> dict[str, str]:
    return {OWNER: owner_of(_user(ctx))}


def _marked(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> dict[str, str]:
    """Write the owner's mark over whatever the client sent, and filter by it."""
    own = _own(ctx)
    if value.get("metadata") is None:
        value["metadata"] = {}
    value["metadata"].update(own)
    return own


async def _as_user(ctx: Auth.types.AuthContext, run: dict[str, Any]) -> None:
    """Make a run the signed-in user's; refuse it where it says that it is another's."""
    user_id = _user(ctx)
    if any(named != user_id for named in _named(run)):
        raise _forbidden("this run names another user than the one who is signed in: leave user_id out")
    # the server itself calls a webhook, from inside the deployment's network
    if run.get("webhook") and WEBHOOKS not in ctx.permissions:
        raise _forbidden(f"webhooks need the scope {WEBHOOKS}")
    if run.get("webhook"):
        await _check_webhook(str(run["webhook"]))
    _check_context(run)
    run["context"] = {**(run.get("context") or {}), "user_id": user_id}


async def _admit_cron(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> None:
    """Refuse a cron of a user who has as many as they may."""
    held = await get_client().crons.search(metadata=_own(ctx), limit=SETTINGS.crons_per_user, select=["cron_id"])
    try:
        default_services().limiter.make_cron(
            _user(ctx), str(value.get("cron_id")), [str(cron["cron_id"]) for cron in held]
        )
    except TooManyCrons as error:
        telemetry.refused.labels("crons").inc()
        raise HTTPException(409, f"{type(error).__name__}: {error}") from error


async def _check_webhook(url: str) -> None:
    """Refuse a webhook into the deployment's own network, unless the operator named its host."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 443
        inside = host not in (SETTINGS.webhook_hosts or ()) and not all(map(is_public, await resolve_host(host, port)))
    except (ValueError, ToolFault) as error:
        raise HTTPException(422, "the webhook's address cannot be used") from error
    if inside:
        raise HTTPException(422, "webhooks go to public addresses, or to hosts of PERSONAAGENT_WEBHOOK_HOSTS")


def _check_size(run: dict[str, Any], metadata: object) -> None:
    """Refuse a run, cron or assistant of too many steps, or that carries more beside its input than any field needs."""
    config = run.get("config") or {}
    if _number(config.get("recursion_limit")) > MAX_RECURSION:
        raise HTTPException(422, f"config.recursion_limit is {MAX_RECURSION} at most")
    told = {
        "context": run.get("context"),
        "metadata": [metadata, config.get("metadata")],
        "config": {name: value for name, value in config.items() if name not in {"configurable", "metadata"}},
        "config.configurable": {
            name: value
            for name, value in (config.get("configurable") or {}).items()
            if not name.startswith("langgraph_")
        },
    }
    for name, value in told.items():
        try:
            long = len(json.dumps(value, default=str, ensure_ascii=False)) > MAX_TOLD_CHARS
        except RecursionError:
            long = True
        if long:
            raise HTTPException(422, f"{name} has {MAX_TOLD_CHARS:,} characters at most")


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _check_context(run: dict[str, Any]) -> None:
    """Refuse what no run can be told, before it is kept and queued."""
    for told in (run.get("context"), (run.get("config") or {}).get("configurable")):
        try:
            check_context(told if isinstance(told, dict) else {})
        except InvalidContext as error:
            raise HTTPException(422, f"{type(error).__name__}: {error}") from error


def _named(run: dict[str, Any]) -> list[Any]:
    """The users that a run, a cron's payload or an assistant names."""
    places = (run.get("context"), (run.get("config") or {}).get("configurable"))
    return [told["user_id"] for told in places if isinstance(told, dict) and told.get("user_id")]


async def _check_thread_id(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> None:
    """Whoever made the thread of another's background work first would own what is written into it."""
    asked = value.get("thread_id")
    if is_alignment_thread(asked) and str(asked) != await default_services().alignment_thread(_user(ctx)):
        raise _forbidden("thread ids of this version are kept for background work: choose another")


def _forbidden(reason: str) -> Auth.exceptions.HTTPException:
    return Auth.exceptions.HTTPException(status_code=403, detail=reason)


def _text(value: bytes) -> str:
    """A header's value; names of users may be UTF-8."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")
