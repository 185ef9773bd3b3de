"""The metrics of this process, in Prometheus' form; docs/operations.md says what each of them means.

No label ever holds a user id or anything that a user or a model wrote: a tool's name becomes a label only once a tool
of that name has run. Observing costs some microseconds and never raises.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Any, Final, Literal

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, generate_latest

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
