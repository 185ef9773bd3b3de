"""Persona and memory in other people's agents: middleware, a pair of nodes, a store and tools.

Whose they are is told by the run alone: the identity that a server knows, else ``user_id`` of the run's context.
``PersonaMiddleware`` is for LangChain's ``create_agent`` and needs the package ``langchain``; the rest does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from personaagent.extras import needs
from personaagent.middleware.nodes import PersonaNodes, PersonaState
from personaagent.middleware.store import MemoryStore
from personaagent.middleware.tools import persona_tools

if TYPE_CHECKING:
    from personaagent.middleware.agent import PersonaMiddleware

__all__ = ["MemoryStore", "PersonaMiddleware", "PersonaNodes", "PersonaState", "persona_tools"]


def __getattr__(name: str) -> Any:
    if name != "PersonaMiddleware":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with needs("langchain", name):
        from personaagent.middleware.agent import PersonaMiddleware

    return PersonaMiddleware
