"""An agent that becomes its user's own: ``from personaagent import PersonaAgent``. Importing this does no I/O."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from personaagent.library.agent import PersonaAgent
    from personaagent.library.turn import Turn
    from personaagent.library.user import User
    from personaagent.persona.proposers import ProposalContext
    from personaagent.tools.own import read_only
    from personaagent.types import Clause

__all__ = ["Clause", "PersonaAgent", "ProposalContext", "Turn", "User", "__version__", "read_only"]
_PLACES = {
    "Clause": "types",
    "PersonaAgent": "library.agent",
    "ProposalContext": "persona.proposers",
    "Turn": "library.turn",
    "User": "library.user",
    "read_only": "tools.own",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for by name when it is asked for."""
    if name in _PLACES:
        from importlib import import_module

        return getattr(import_module(f"personaagent.{_PLACES[name]}"), name)
    if name == "__version__":
        from importlib.metadata import version

        return version("personaagent")
    raise AttributeError(f"module 'personaagent' has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
