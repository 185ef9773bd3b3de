"""What a trace is told of the run it belongs to: user by hash, persona version, usage and money by role, and causes.

A front door of nodes (``graph.watch``) calls ``traced``; everything lands on the trace's root run, where LangSmith
filters by it. Without a tracer this does next to nothing.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid5

from langchain_core.tracers.langchain import LangChainTracer
from langsmith.utils import LangSmithError, LangSmithWarning, get_tracer_project

from personaagent.labels.loss import loss
from personaagent.models.meter import metering
from personaagent.telemetry import hashed_user
from personaagent.tracing.client import RedactingClient, tracing_client
from personaagent.tracing.redaction import Redaction
from personaagent.types import Interaction

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langsmith.run_trees import RunTree

    from personaagent.types import Usage


TRACE_KEY: Final = "trace_id"  # of an interaction's metadata
CAUSES: Final = 64  # interactions that an alignment's trace names
Prices = Mapping[Any, tuple[float, float]]


class Traced:
    """One node's view of its trace; ``tell`` puts metadata on the root run."""

    def __init__(self, root: RunTree | None, graph: str, prices: Prices) -> None:
        self._root = root
        self._graph = graph
        self._prices = prices

    def tell(self, state: Mapping[str, Any], result: Mapping[str, Any]) -> None:
        """Note what the node's result says: persona version, interaction, and what an alignment stands on."""
        if self._root is None or self._graph == "simulation":
            return
        told = _told(result)
        if self._graph == "alignment" and "committed" in result:
            told["alignment"] = "committed" if result["committed"] else "no_change"
            told["rejected"] = len(result.get("rejected", state.get("rejected", [])))
        self._root.add_metadata(told)
        if told.get("persona_version") is not None:
            self._root.add_tags([f"persona:v{told['persona_version']}"])

    def spent(self, by_role: Mapping[Any, Usage]) -> None:
        """Add what the node's model calls cost to the root's counts."""
        if self._root is None or self._graph == "simulation":  # its caller's node counts it
            return
        metadata = self._root.metadata
        for role, usage in by_role.items():
            price = self._prices.get(role, self._prices.get("default"))
            counts: dict[str, float] = {
                f"{role}_calls": usage.calls,
                f"{role}_input_tokens": usage.input_tokens,
                f"{role}_output_tokens": usage.output_tokens,
            }
            if price:
                cost = (usage.input_tokens * price[0] + usage.output_tokens * price[1]) / 1e6
                counts |= {f"{role}_cost": cost, "cost": cost}
            for name, count in counts.items():
                metadata[name] = metadata.get(name, 0) + count


@contextmanager
def traced(graph: str, user_id: str, config: RunnableConfig, prices: Prices) -> Iterator[Traced]:
    """Work as a node of the graph for the user: names the user, by hash, and counts the node's model calls."""
    root, tracer = root_of(config)
    if root is None or tracer is None:
        yield Traced(None, graph, prices)
        return
    if isinstance(tracer.client, RedactingClient):
        tracer.client.known(root.trace_id, user_id, closed=graph != "agent")
    if graph != "simulation":
        user = f"user:{hashed_user(user_id)}"
        root.add_metadata({"user": user})
        root.add_tags([user, f"graph:{graph}"])
    node = Traced(root, graph, prices)
    with metering() as meter:
        try:
            yield node
        finally:
            node.spent(meter.by_role)


def trace_of(config: RunnableConfig) -> str | None:
    """The id of the trace that a node's run belongs to, which is its root run's; None where nothing is traced."""
    root, _ = root_of(config)
    return str(root.trace_id) if root is not None else None


def root_of(config: RunnableConfig) -> tuple[RunTree | None, LangChainTracer | None]:
    """The root run of a node's trace, and the tracer that it goes through; None for both without one."""
    callbacks: Any = config.get("callbacks")
    for handler in getattr(callbacks, "handlers", ()):
        if isinstance(handler, LangChainTracer):
            node = handler.run_map.get(str(callbacks.parent_run_id))
            root = handler.run_map.get(str(node.trace_id)) if node is not None else None
            if root is not None:
                return root, handler
    return None, None


def _told(result: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata out of a node's update: short names and ids, never a text."""
    told: dict[str, Any] = {}
    if result.get("persona_version") is not None:
        told["persona_version"] = result["persona_version"]
    if result.get("interaction_id"):
        told["interaction_id"] = result["interaction_id"]
    if result.get("interaction") is not None:
        told |= _causes([result["interaction"]])
    if result.get("base") is not None:
        told["persona_version"] = result["base"].version
        told |= _causes([*result.get("teach", ()), *result.get("judge", ())])
    for name in ("committed", "rolled_back"):
        if result.get(name) is not None:
            told["new_persona_version"] = result[name].version
    if result.get("degraded"):
        told["degraded"] = sorted({str(line).split(":", 1)[0] for line in result["degraded"]})
    return told


def _causes(interactions: list[Any]) -> dict[str, list[str]]:
    """The interactions that brought a run about, and the traces of the turns they were."""
    newest = interactions[-CAUSES:]
    return {
        "interaction_ids": [i.id for i in newest],
        "caused_by_runs": [str(i.metadata[TRACE_KEY]) for i in newest if i.metadata.get(TRACE_KEY)],
    }


log = logging.getLogger(__name__)

SHOWN: Final = ("correction", "edit", "pick")  # sources of truths that the user wrote or chose
MAX_WAITING: Final = 1_000
ATTEMPTS: Final = 3  # a run that LangSmith has not taken in yet is asked for again
_NAMESPACE: Final = UUID("f4e5f4b8-4a52-4c0c-9d5b-5a0e4b7f8a11")
_waiting = threading.BoundedSemaphore(MAX_WAITING)
_sender = ThreadPoolExecutor(max_workers=1, thread_name_prefix="langsmith-feedback")


def report(interaction: Interaction) -> Future[None] | None:
    """Send what is known of how the user took this turn; None when there is nothing to send, or nowhere to.

    ``user_truth`` is how near the answer came (1: what they wanted), ``rating`` their own 1 to 5, ``comment``
    their words. The same feedback again replaces itself. Never raises.
    """
    client = tracing_client()
    run_id = interaction.metadata.get(TRACE_KEY)
    if client is None or not run_id:
        return None
    scores = _scores(interaction, client)
    if not scores:
        return None
    if not _waiting.acquire(blocking=False):
        log.warning("feedback was not sent to LangSmith: %d wait already", MAX_WAITING)
        return None
    return _sender.submit(_send, client, str(run_id), interaction.id, scores)


def _scores(interaction: Interaction, client: RedactingClient) -> list[dict[str, Any]]:
    scores: list[dict[str, Any]] = []
    redaction = Redaction(client.content, [interaction.user_id])
    if interaction.ground_truth is not None and interaction.response is not None:
        wanted = redaction.text(interaction.ground_truth)
        scores.append(
            {
                "key": "user_truth",
                "score": 1.0 - loss(interaction.ground_truth, interaction.response, interaction.choices),
                "correction": {"answer": wanted} if interaction.truth_source in SHOWN else None,
                "source_info": {"source": interaction.truth_source, "confidence": interaction.truth_confidence},
            }
        )
    if interaction.rating is not None:
        scores.append({"key": "rating", "score": float(interaction.rating)})
    if interaction.comment is not None:
        scores.append({"key": "comment", "comment": redaction.text(interaction.comment)})
    return scores


@lru_cache(maxsize=4)
def _project(client: RedactingClient) -> UUID | None:
    """The id of the project that traces go to, which newer deployments find a run by; None where it is not told."""
    try:
        return UUID(str(client.read_project(project_name=get_tracer_project()).id))
    except LangSmithError:
        return None


def _send(client: RedactingClient, run_id: str, interaction_id: str, scores: list[dict[str, Any]]) -> None:
    try:
        for score in scores:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", LangSmithWarning)
                client.create_feedback(
                    run_id,
                    trace_id=run_id,
                    session_id=_project(client),
                    feedback_id=uuid5(_NAMESPACE, f"{interaction_id}/{score['key']}"),
                    stop_after_attempt=ATTEMPTS,
                    **score,
                )
    except Exception as error:
        # whatever LangSmith or the network answers: the label is in the ledger, which is what counts
        log.warning("feedback on run %s was not sent to LangSmith: %s", run_id, type(error).__name__)
    finally:
        _waiting.release()
