"""What is told of this process: metrics for Prometheus, and structured logs."""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from time import perf_counter
from typing import Any, Final, Literal, TextIO

import structlog
from prometheus_client import REGISTRY, Counter, Gauge, Histogram, generate_latest
from structlog.contextvars import bind_contextvars, get_contextvars, reset_contextvars

from personaagent.settings import Settings
from personaagent.types import ToolTrace, Usage

AlignmentOutcome = Literal["accepted", "rejected", "no_change", "rolled_back", "failed"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
MAX_TOOL_LABELS: Final = 200  # a users' file may name any number of servers; a time series each would be too many
_STEP_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)

# prometheus_client's own registry, because LangGraph server serves that one under /metrics
node_seconds = Histogram(
    "personaagent_node_seconds",
    "Seconds that a node of a graph took; graph is agent, simulation, feedback or alignment",
    ("graph", "node"),
    buckets=_STEP_BUCKETS,
)
model_seconds = Histogram(
    "personaagent_model_seconds",
    "Seconds that a model call took, by role",
    ("role",),
    buckets=_STEP_BUCKETS,
)
model_calls = Counter("personaagent_model_calls", "Model calls, by role", ("role", "outcome"))
tokens = Counter("personaagent_tokens", "Tokens of model calls, by role", ("role", "direction"))
recall_hits = Histogram(
    "personaagent_recall_hits",
    "Memories that a live turn was shown",
    buckets=(0, 1, 2, 4, 8, 16),
)
degraded = Counter("personaagent_degraded_turns", "Live turns that went on without a part", ("part",))
alignments = Counter("personaagent_alignments", "Alignments, by what became of them", ("outcome",))
tool_calls = Counter("personaagent_tool_calls", "Tool calls of live turns, by tool and outcome", ("tool", "outcome"))
errors = Counter("personaagent_errors", "Failures, by their name in errors.py", ("error",))
refused = Counter("personaagent_refused", "Requests over a limit, by limit", ("limit",))
queue_jobs = Gauge("personaagent_queue_jobs", "Background jobs that wait or are at work")
outbox_depth = Gauge("personaagent_outbox_depth", "Changes that the index has not seen yet")
outbox_age = Gauge(
    "personaagent_outbox_oldest_seconds",
    "How long this process has seen the oldest of them wait",
)
spool_depth = Gauge("personaagent_spool_depth", "Interactions that wait for the ledger")
ledger_up = Gauge("personaagent_ledger_up", "1 while the ledger answers")

_run_tools: set[str] = set()


def exposition() -> bytes:
    """All metrics as Prometheus reads them (``CONTENT_TYPE``)."""
    return generate_latest(REGISTRY)


@contextmanager
def timed_node(graph: str, node: str) -> Iterator[None]:
    """Time a step of a graph, also one that fails."""
    began = perf_counter()
    try:
        yield
    finally:
        node_seconds.labels(graph, node).observe(perf_counter() - began)


def model_called(role: str, seconds: float, usage: Usage, *, failed: bool) -> None:
    """Note one model call and what it cost."""
    model_seconds.labels(role).observe(seconds)
    model_calls.labels(role, "failed" if failed else "ok").inc()
    tokens.labels(role, "input").inc(usage.input_tokens)
    tokens.labels(role, "output").inc(usage.output_tokens)


def turn_degraded(notes: Sequence[str]) -> None:
    """Note what a turn went on without; a note begins with the part and a colon."""
    for note in notes:
        degraded.labels(note.partition(":")[0][:40]).inc()


def tools_called(traces: Sequence[ToolTrace]) -> None:
    """Note how the tool calls of a step ended."""
    for trace in traces:
        tool_calls.labels(_tool_label(trace), trace.outcome).inc()


def alignment_ended(result: Mapping[str, Any]) -> None:
    """Note what became of an alignment, from the final state of its graph."""
    outcome: AlignmentOutcome = "no_change"
    if result.get("committed") is not None:
        outcome = "accepted"
    elif result.get("rejected"):
        outcome = "rejected"
    alignments.labels(outcome).inc()


def _tool_label(trace: ToolTrace) -> str:
    if trace.outcome != "refused" and len(_run_tools) < MAX_TOOL_LABELS:
        _run_tools.add(trace.name)  # only a tool that exists gets so far; a refused name may be the model's invention
    return trace.name if trace.name in _run_tools else "other"


CHATTY: Final = ("httpx", "httpcore", "openai", "qdrant_client", "alembic")  # a line a request, or a step
HASH_CHARS: Final = 16
_SERVER_LOGGING: Final = "langgraph_api.logging"
_process_salt: Final = secrets.token_bytes(32)
_salt: list[bytes] = []  # the salt of the settings, once a front door has read them


def set_up_logs(settings: Settings, *, level: int = logging.INFO, stream: TextIO | None = None) -> None:
    """Send the process's logs to ``stream`` (stderr), as JSON unless it is a terminal; call it once, at a front door.

    Under LangGraph server, which formats logs itself, its records get what is bound and nothing else changes.
    """
    use_salt(settings)
    if _SERVER_LOGGING in sys.modules:
        for handler in logging.getLogger().handlers:
            if not any(isinstance(known, _Binding) for known in handler.filters):
                handler.addFilter(_Binding())
        return
    out = stream or sys.stderr
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: Any = structlog.dev.ConsoleRenderer() if out.isatty() else structlog.processors.JSONRenderer()
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for chatty in CHATTY:
        logging.getLogger(chatty).setLevel(max(level, logging.WARNING))


def use_salt(settings: Settings) -> None:
    """Hash with the salt of the settings from now on, where they have one."""
    if settings.log_salt is not None:
        _salt[:] = [settings.log_salt.get_secret_value().encode()]
        hashed_user.cache_clear()


@contextmanager
def bound(**values: str | int | None) -> Iterator[None]:
    """Bind these values to what is logged meanwhile in this context; None binds nothing."""
    tokens = bind_contextvars(**{name: value for name, value in values.items() if value is not None})
    try:
        yield
    finally:
        reset_contextvars(**tokens)


@lru_cache(maxsize=4096)
def hashed_user(user_id: str) -> str:
    """The user as logs and traces know them: the same in a process, and in processes that share ``log_salt``."""
    return keyed_hash(user_id)


def keyed_hash(text: str) -> str:
    """The text's HMAC under the salt, 16 hexadecimal digits: equal for equal texts, and no more to be learned of it."""
    key = _salt[0] if _salt else _process_salt
    return hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:HASH_CHARS]


class _Binding(logging.Filter):
    """Gives a record of the server's logging what is bound here; its formatter writes such extra fields out."""

    def filter(self, record: logging.LogRecord) -> bool:
        for name, value in get_contextvars().items():
            if name not in record.__dict__:
                record.__dict__[name] = value
        return True
