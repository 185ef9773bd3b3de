"""Writes ``docs/reference.md`` from the docstrings: ``python docs/make_reference.py``; a test says when it is old."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_name("reference.md")
PLACES = {
    "personaagent": ["PersonaAgent", "User", "Turn", "Clause", "ProposalContext", "read_only"],
    "personaagent.library.aligning": ["Aligned"],
    "personaagent.library.values": [
        "Token", "ToolStep", "Approval", "FeedbackTaken", "PersonaView", "PersonaDiff", "Why", "Rejected", "Memories",
        "ToolAccess", "ImportTaken", "Rows",
    ],
    "personaagent.persona.proposers": ["Proposer", "Refusal"],
    "personaagent.types": ["Candidate", "Fact", "Interaction", "Persona", "Pin", "Recall", "Section"],
    "personaagent.middleware": ["PersonaMiddleware", "PersonaNodes", "MemoryStore", "persona_tools"],
}  # fmt: skip
HEAD = """# Reference

Written from the docstrings by `python docs/make_reference.py`. How to use what is here: [the library](library.md),
[clients](clients.md). Errors: `personaagent/errors.py`. Fields of a run's context (`ask(..., task=..., choices=...)`):
`personaagent/context.py`.
"""


def reference() -> str:
    """The whole page."""
    parts = [HEAD]
    for place, names in PLACES.items():
        module = import_module(place)
        parts.append(f"## {place}\n")
        parts += [_entry(name, getattr(module, name)) for name in names]
    return "\n".join(parts)


def _entry(name: str, thing: Any) -> str:
    parts = [f"### {name}\n", f"```\n{name}{_signature(thing)}\n```\n", f"{_text(thing)}\n"]
    if inspect.isclass(thing):
        methods = [line for key, value in vars(thing).items() if (line := _method(key, value))]
        parts += ["\n".join(methods) + "\n"] if methods else []
    return "\n".join(parts)


def _method(name: str, value: Any) -> str:
    """A line for a public method or property of the class itself; an empty one for anything else."""
    function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
    if name.startswith("_") or not inspect.isfunction(function) or not function.__doc__:
        return ""
    how = "async " if inspect.iscoroutinefunction(function) else ""
    shown = f"`{name}` (property)" if isinstance(value, property) else f"`{how}{name}{_signature(function)}`"
    return f"- {shown}: {' '.join(_text(function).split())}"


def _signature(thing: Any) -> str:
    """The parameters as they are written, without ``self``; nothing for what is not called."""
    if inspect.isclass(thing) and (issubclass(thing, str | tuple) or getattr(thing, "_is_protocol", False)):
        return ""
    signature = inspect.signature(thing)
    given = [p for p in signature.parameters.values() if p.name not in {"self", "cls"}]
    parameters = [p for p in given if not str(p.annotation).startswith("InitVar")]
    named = [n for n, p in enumerate(parameters) if p.kind is p.KEYWORD_ONLY]
    shown = [_parameter(p) for p in parameters]
    if named and not any(p.kind is p.VAR_POSITIONAL for p in parameters):
        shown.insert(named[0], "*")
    returns = "" if inspect.isclass(thing) else f" -> {signature.return_annotation}"
    return f"({', '.join(shown)}){returns}"


def _parameter(parameter: inspect.Parameter) -> str:
    stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    default: Any = parameter.default
    plain = default is None or isinstance(default, bool | int | float | str) or default == ()
    value = "" if default is parameter.empty else f" = {default!r}" if plain else " = …"
    return f"{stars}{parameter.name}: {parameter.annotation}{value}"


def _text(thing: Any) -> str:
    return (inspect.getdoc(thing) or "").replace("``", "`")


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
