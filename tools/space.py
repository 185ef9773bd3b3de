"""One user's action space: which tools, in which order and with which words (paper, general tools and own data)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from personaagent.tools.spec import ToolSpec, brief_schema

MAX_GUIDANCE_CHARS = 300
_QUOTED = re.compile(r'"[^"]*"')
_NOT = re.compile(r"\b(not|never|avoid|don't|without|instead of|rather than)\b", re.IGNORECASE)


@dataclass(frozen=True)
class ActionSpace:
    """The tools that this user's agent may use in this run, best first by the persona's guidance."""

    specs: tuple[ToolSpec, ...] = ()
    guidance: tuple[str, ...] = ()  # the clauses of the persona's tooling section

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The tools' names, in order."""
        return tuple(spec.name for spec in self.specs)

    @cached_property
    def parameters(self) -> dict[str, tuple[str, ...]]:
        """The names of each tool's arguments."""
        return {spec.name: tuple(spec.schema["properties"]) for spec in self.specs}

    @cached_property
    def searches(self) -> frozenset[str]:
        """The names of the tools whose results may be read without asking."""
        return frozenset(spec.name for spec in self.specs if spec.searches)

    def get(self, name: str) -> ToolSpec | None:
        """The tool of that name, or None when it is not in the space."""
        return next((spec for spec in self.specs if spec.name == name), None)

    def describe(self) -> list[tuple[str, str]]:
        """Name and description of every tool, in order, each with what the persona says of it."""
        return [(spec.name, self._description(spec)) for spec in self.specs]

    @cached_property
    def bindings(self) -> list[dict[str, Any]]:
        """The tools in OpenAI's function form, for ``model.bind_tools``; made once, nobody may change them."""
        return [
            {
                "type": "function",
                "function": {
                    "name": spec.name,
                    "description": self._description(spec),
                    "parameters": brief_schema(spec.schema),
                },
            }
            for spec in self.specs
        ]

    def _description(self, spec: ToolSpec) -> str:
        said = " ".join(clause for clause in self.guidance if _mention(clause, spec.name) is not None)
        return f"{spec.description} For this user: {said[:MAX_GUIDANCE_CHARS]}" if said else spec.description


def action_space(
    specs: Iterable[ToolSpec],
    *,
    deployment: Collection[str] | None = None,
    allowed: Collection[str] | None = None,
    denied: Collection[str] = (),
    asked: Collection[str] | None = None,
    guidance: Sequence[str] = (),
) -> ActionSpace:
    """What the deployment grants ∩ what the user allows ∩ what the run asks for; None grants all, ``denied`` wins."""
    granted = [
        spec
        for spec in specs
        if all(spec.in_any(layer) for layer in (deployment, allowed, asked) if layer is not None)
        and not spec.in_any(denied)
    ]
    ordered = sorted(granted, key=lambda spec: _rank(spec.name, guidance))
    return ActionSpace(tuple(ordered), tuple(guidance))


def _rank(name: str, guidance: Sequence[str]) -> tuple[int, int, int]:
    """Tools that the guidance names come first, in its order; those it warns of come last."""
    for line, clause in enumerate(guidance):
        place = _mention(clause, name)
        if place is not None:
            # only the words just before the name can negate it: "search, not wikipedia"
            warned = _NOT.search(clause[max(0, place - 24) : place]) is not None
            return (2 if warned else 0, line, place)
    return (1, 0, 0)


def _mention(clause: str, name: str) -> int | None:
    """Where the clause names the tool (``web_search`` or "web search"), or None; quoted text is what to ask for."""
    pattern = re.escape(name).replace("_", "[_ ]")
    bare = _QUOTED.sub(lambda quoted: " " * len(quoted[0]), clause)
    found = re.search(rf"(?<!\w){pattern}(?!\w)", bare, re.IGNORECASE)
    return found.start() if found else None
