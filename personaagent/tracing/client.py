"""The LangSmith client of this process: nothing leaves it that was not redacted first.

LangChain and LangGraph, on LangGraph server too, send their runs through the client that is configured here. A run
says who its user is only once its first node works, so the runs of a trace wait until then (``known``), or for the
end of the trace where no node of ours ever does.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import langsmith
from langsmith.utils import tracing_is_enabled

from personaagent.settings import Settings
from personaagent.telemetry import use_salt
from personaagent.tracing.redaction import Content, Redaction

log = logging.getLogger(__name__)

MAX_TRACES: Final = 4_096  # whose user is remembered
MAX_WAITING: Final = 2_000  # runs of one trace that wait for its user
PASSED: Final = frozenset(  # what names and times a run: ids, and where it belongs
    """id run_id run_type trace_id parent_run_id dotted_order start_time end_time session_name session_id project_name
    reference_example_id revision_id address api_key api_url service_key tenant_id authorization cookie
    _replica_auths""".split()  # noqa: SIM905
)


@dataclass(slots=True)
class _Trace:
    users: set[str] = field(default_factory=set)
    closed: bool = True
    known: bool = False
    waiting: list[Callable[[], None]] = field(default_factory=list)


class RedactingClient(langsmith.Client):
    """A LangSmith client that redacts every run; what it cannot redact it does not send."""

    def __init__(self, content: Content, **settings: Any) -> None:
        super().__init__(omit_traced_runtime_info=True, **settings)
        self.content = content
        self._traces: OrderedDict[str, _Trace] = OrderedDict()
        self._traces_lock = threading.RLock()

    def known(self, trace_id: object, user_id: str, *, closed: bool) -> None:
        """Whose this trace is, and whether all it holds is remembered rather than said; sends what waited for it."""
        with self._traces_lock:
            trace = self._trace(trace_id)
            trace.closed = closed if not trace.known else trace.closed and closed
            trace.known = True
            trace.users.add(user_id)
            waiting, trace.waiting = trace.waiting, []
        for send in waiting:
            send()

    def create_run(self, name: str, inputs: dict[str, Any], run_type: Any, **run: Any) -> None:
        """Send a run's beginning, redacted."""
        send = super().create_run
        told = {"name": name, "inputs": inputs, "run_type": run_type, **run}
        self._pass_on(told, False, lambda safe: send(**safe))

    def update_run(self, run_id: Any, **run: Any) -> None:
        """Send a run's end, redacted."""
        send = super().update_run
        ends = run.get("trace_id") is None or str(run["trace_id"]) == str(run_id)
        self._pass_on({"run_id": run_id, **run}, ends, lambda safe: send(**safe))

    def _pass_on(self, run: dict[str, Any], ends: bool, send: Callable[[dict[str, Any]], None]) -> None:
        def redacted() -> None:
            try:
                send(self._redacted(run, trace))
            except Exception as error:
                # a trace is never worth a turn, nor worth sending what could not be redacted
                log.warning("a run was not traced: %s", type(error).__name__)

        with self._traces_lock:
            trace = self._trace(run.get("trace_id") or run.get("id") or run.get("run_id"))
            if not trace.known and not ends and len(trace.waiting) < MAX_WAITING:
                trace.waiting.append(redacted)
                return
            waiting, trace.waiting = trace.waiting, []
        for earlier in waiting:
            earlier()
        redacted()

    def _redacted(self, run: dict[str, Any], trace: _Trace) -> dict[str, Any]:
        extra = dict(run.get("extra") or {})
        metadata = dict(extra.get("metadata") or {})
        signed_in = str(metadata.get("langgraph_auth_user_id") or metadata.get("user_id") or "")
        redaction = Redaction(self.content, {*trace.users, signed_in}, closed=trace.closed and trace.known)
        rewritten: dict[str, Callable[[Any], Any]] = {
            "name": lambda name: redaction.text(name, "id"),
            "inputs": redaction.value,
            "outputs": lambda value: redaction.value(value, closed=run.get("run_type") == "tool"),
            "error": lambda error: redaction.error(str(error)),
            "tags": lambda tags: [redaction.text(tag, "id") for tag in tags],
            "events": lambda events: list(map(_timed, events)),
            "serialized": redaction.value,
        }
        safe: dict[str, Any] = {"name": None} | {name: value for name, value in run.items() if name in PASSED}
        safe |= {name: rewrite(run[name]) for name, rewrite in rewritten.items() if run.get(name) is not None}
        safe["extra"] = {
            name: value if name == "runtime" else redaction.value(value)
            for name, value in extra.items()
            if name != "metadata"
        } | {"metadata": redaction.metadata(metadata)}
        return safe

    def _trace(self, trace_id: object) -> _Trace:
        key = str(UUID(str(trace_id))) if trace_id else ""
        trace = self._traces.setdefault(key, _Trace())
        self._traces.move_to_end(key)
        while len(self._traces) > MAX_TRACES:
            self._traces.popitem(last=False)
        return trace


def _timed(event: dict[str, Any]) -> dict[str, Any]:
    return {key: event[key] for key in ("name", "time") if key in event}


_installed: list[RedactingClient] = []


def set_up_tracing(settings: Settings) -> None:
    """Where LANGSMITH_TRACING is on, let every run that this process traces go through a redacting client.

    The client is LangSmith's own otherwise, made from LANGSMITH_*; it takes the place of one that was configured.
    Where tracing is off none is made, because a client asks its endpoint for what it can do as soon as it is there.
    """
    if tracing_is_enabled() is not True:
        return
    use_salt(settings)
    if _installed:
        _installed[0].content = settings.trace_content
    else:
        use_client(RedactingClient(settings.trace_content))


def use_client(client: RedactingClient) -> None:
    """Trace through this client from now on."""
    _installed[:] = [client]
    langsmith.configure(client=client)


def tracing_client() -> RedactingClient | None:
    """The client that traces go through; None where nothing was set up or tracing is off."""
    return _installed[0] if _installed and tracing_is_enabled() is True else None
