"""What is seen of every node, and who is held back, in one place: nodes themselves know nothing of it.

A builder adds its nodes through ``Watch``: ``watch.add(builder, partial(reason, ...), "…")``. A watched
node is timed, its failures are counted by name, what it says about the turn is counted, and everything logged meanwhile
carries graph, node, hashed user and persona version; its trace, where there is one, is told the same. On a server the
first node of a turn and of feedback asks the limiter; that of an alignment always does. This costs
some tens of microseconds a node.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any, Literal

from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphBubbleUp
from langgraph.graph import StateGraph
from langgraph.runtime import Runtime

from personaagent import telemetry
from personaagent.context import Context
from personaagent.errors import AlignmentRunning, EmptyQuery, PersonaAgentError
from personaagent.foreground import Foreground
from personaagent.inputs import user_of
from personaagent.limits import Limiter
from personaagent.prompts import pulled
from personaagent.telemetry import bound, hashed_user
from personaagent.tracing.runs import Prices, traced
from personaagent.turn import turn_start

GraphName = Literal["agent", "simulation", "feedback", "alignment"]
Node = Callable[..., Awaitable[dict[str, Any]]]
LIVE = ("agent", "feedback")  # the graphs whose runs somebody waits for
FIRST, LAST = "load_persona", "write_memory"  # nodes of a turn
BEGINS, ENDS = "sample_turns", "refresh_profile"  # and of an alignment


class Watch:
    """Watches the nodes of one graph. ``on_server`` says whether this run is a client's, which the limits are for."""

    def __init__(
        self,
        graph: GraphName,
        limiter: Limiter,
        on_server: Callable[[], bool],
        foreground: Foreground,
        prices: Prices | None = None,
    ) -> None:
        self._graph = graph
        self._foreground = foreground
        self._prices = prices or {}
        self._limiter = limiter
        self._on_server = on_server

    def __call__(self, name: str, node: Node) -> Node:
        """The node, watched; LangGraph hands it ``state``, ``runtime`` and ``config``."""
        wants_config = "config" in inspect.signature(node).parameters

        async def watched(
            state: Mapping[str, Any], runtime: Runtime[Context], config: RunnableConfig
        ) -> dict[str, Any]:
            # the stretch that answers is shared: a turn that is simulated has a moment to which memory is cut
            graph: GraphName = "simulation" if state.get("before") and self._graph == "agent" else self._graph
            user_id = user_of(runtime)
            await pulled()
            with (
                bound(
                    graph=graph,
                    node=name,
                    user=hashed_user(user_id),
                    persona_version=state.get("persona_version"),
                    request_id=config.get("configurable", {}).get("langgraph_request_id"),
                ),
                self._foreground.live() if graph in LIVE else nullcontext(),
                telemetry.timed_node(graph, name),
                traced(graph, user_id, config, self._prices) as trace,
            ):
                try:
                    self._admit(graph, name, user_id, state, config)
                    result = await (
                        node(state, runtime=runtime, config=config) if wants_config else node(state, runtime=runtime)
                    )
                except BaseException as error:
                    self._failed(graph, user_id, state, config, error)
                    raise
                trace.tell(state, result or {})
            self._seen(graph, name, user_id, state, config, result or {})
            return result

        watched.__name__ = name
        return watched

    def add(self, builder: StateGraph[Any, Context, Any, Any], node: partial[Any], description: str) -> None:
        """Add the node, watched and named like its function, to the graph."""
        name = node.func.__name__
        builder.add_node(name, self(name, node), metadata={"description": description})

    def _admit(
        self, graph: GraphName, name: str, user_id: str, state: Mapping[str, Any], config: RunnableConfig
    ) -> None:
        self._limiter.run_began(user_id, str(config.get("configurable", {}).get("run_id")))
        if graph == "agent" and name == FIRST and self._on_server():
            turn = _turn(state)
            if turn is not None:
                self._limiter.begin_turn(user_id, turn)
        elif graph == "feedback" and name == "record_feedback" and self._on_server():
            self._limiter.admit_feedback(user_id)
        elif graph == "alignment" and name == BEGINS:
            self._limiter.begin_alignment(user_id, _thread(config))
        elif graph == "alignment":  # also where a client wrote the state of a thread, or copied one, and begins here
            self._limiter.go_on_aligning(user_id, _thread(config))

    def _failed(
        self, graph: GraphName, user_id: str, state: Mapping[str, Any], config: RunnableConfig, error: BaseException
    ) -> None:
        if graph == "agent":
            self._end(user_id, state)  # also of a turn that waits for the user's approval
        elif graph == "alignment" and not isinstance(error, AlignmentRunning):
            self._limiter.end_alignment(user_id, _thread(config))
        if isinstance(error, GraphBubbleUp) or not isinstance(error, Exception):
            return
        telemetry.errors.labels(type(error).__name__ if isinstance(error, PersonaAgentError) else "unexpected").inc()
        if graph == "alignment":
            telemetry.alignments.labels("failed").inc()

    def _seen(
        self,
        graph: GraphName,
        name: str,
        user_id: str,
        state: Mapping[str, Any],
        config: RunnableConfig,
        result: Mapping[str, Any],
    ) -> None:
        if graph == "alignment":
            if name == ENDS:
                self._limiter.end_alignment(user_id, _thread(config))
                telemetry.alignment_ended(state)
            return
        if graph != "agent":
            return
        before = [] if name == FIRST else state.get("degraded", [])
        telemetry.turn_degraded(result.get("degraded", before)[len(before) :])
        match name:
            case "retrieve_memory" if "recalled" in result:
                telemetry.recall_hits.observe(len(result["recalled"]))
            case "act":
                telemetry.tools_called(result["trace"][len(state.get("trace", [])) :])
            case _ if name == LAST:
                self._end(user_id, state)

    def _end(self, user_id: str, state: Mapping[str, Any]) -> None:
        turn = _turn(state)
        if turn is not None:
            self._limiter.end_turn(user_id, turn)


def _turn(state: Mapping[str, Any]) -> str | None:
    """The name of the turn: its human message's id; None where there is no message to answer."""
    messages = state.get("messages", [])
    try:
        return str(messages[turn_start(messages)].id)
    except EmptyQuery:
        return None


def _thread(config: RunnableConfig) -> str:
    """The thread that a run keeps its state in; empty where it keeps none."""
    return str(config.get("configurable", {}).get("thread_id", ""))
