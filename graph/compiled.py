"""The graphs as LangGraph server runs them: what it asks of a graph for every run is made once."""

from __future__ import annotations

from functools import cache
from typing import Any

from langgraph.checkpoint.serde import _msgpack
from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph
from pydantic import TypeAdapter

from personaagent.context import Context
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
