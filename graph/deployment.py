"""The graphs that ``langgraph.json`` names, over the services of this process. Importing it opens the deployment."""

from __future__ import annotations

from functools import cache
from typing import Any

from langgraph.checkpoint.serde import _msgpack
from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph
from pydantic import TypeAdapter

from personaagent.context import Context
from personaagent.graph.agent import build_agent
from personaagent.graph.alignment import build_alignment
from personaagent.graph.feedback import build_feedback
from personaagent.graph.services import default_services
from personaagent.state import STATE_TYPES

# langgraph-api reads no `checkpointer.serde.allowed_msgpack_modules` of langgraph.json (langgraph#7695): it warns of
# these types, and takes them for plain data where LANGGRAPH_STRICT_MSGPACK is set
_msgpack.SAFE_MSGPACK_TYPES |= {(one.__module__, one.__name__) for one in STATE_TYPES}


class ServedGraph(CompiledStateGraph[Any, Context, Any, Any]):
    """A compiled graph that makes the JSON schema of its context once: pydantic takes 6 ms of CPU for it."""

    def get_context_jsonschema(self) -> dict[str, Any]:
        """The schema of ``Context``, shared by all who ask."""
        return _context_schema()


def served(builder: StateGraph[Any, Context, Any, Any], name: str) -> ServedGraph:
    """The graph that langgraph.json names, compiled without checkpointer, which the server brings."""
    graph = builder.compile(name=name)
    graph.__class__ = ServedGraph  # LangGraph has no way to compile to a class of one's own, and copies keep it
    assert isinstance(graph, ServedGraph)  # noqa: S101 (for the type)
    return graph


@cache
def _context_schema() -> dict[str, Any]:
    return TypeAdapter(Context).json_schema()


agent = served(build_agent(default_services()), "agent")
feedback = served(build_feedback(default_services()), "feedback")
alignment = served(build_alignment(default_services()), "alignment")
