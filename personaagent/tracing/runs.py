"""What a trace is told of the run it belongs to: user by hash, persona version, usage and money by role, and causes.

A front door of nodes (``graph.watch``) calls ``traced``; everything lands on the trace's root run, where LangSmith
filters by it. Without a tracer this does next to nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from langchain_core.tracers.langchain import LangChainTracer

from personaagent.models.meter import metering
from personaagent.telemetry.logs import hashed_user
from personaagent.tracing.client import RedactingClient

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
