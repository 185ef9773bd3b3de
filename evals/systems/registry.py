"""Systems by name and arguments: ``rag``, ``nearest_neighbour:votes=5``, ``persona_agent:alignment=off,batch=6``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from personaagent.errors import InputError
from personaagent.evals.systems import Bench, System

SUMMARY = {
    "majority": "the user's most frequent label so far (floor)",
    "last_label": "the user's last label (floor)",
    "nearest_neighbour": "the label of the most similar labelled query, no model (votes=1)",
    "weighted_vote": "the labels of similar queries, closer ones counting more, no model (votes=16)",
    "no_personalization": "the model alone",
    "icl": "the newest interactions as examples",
    "rag": "the most similar interactions as examples",
    "pag": "RAG and a profile written by a model",
    "cipher": "preferences that a model read from each edit, those of similar questions listed",
    "react": "thoughts and tool calls, no persona (steps=3)",
    "membank": "fading memories and a portrait of summaries",
    "persona_agent": "the agent; alignment, persona, memory, action, own_tools, wikipedia, gate = on|off; "
    "batch, judge, epochs, candidates, realign = numbers",
}
PRESETS = {
    "agent": "persona_agent",
    "agent_without_alignment": "persona_agent:alignment=off",
    "agent_without_persona": "persona_agent:persona=off",
    "agent_without_memory": "persona_agent:memory=off",
    "agent_without_action": "persona_agent:action=off",
    "agent_with_memory_tools_only": "persona_agent:wikipedia=off",
    "agent_with_wikipedia_only": "persona_agent:own_tools=off",
    "agent_without_gate": "persona_agent:gate=off",
    "recalled_examples": "persona_agent:persona=off,alignment=off,action=off",
}
Value = bool | int


def parse(spec: str) -> tuple[str, dict[str, Value]]:
    """Name and arguments of a system's specification; raises InputError for what is no such thing."""
    plain, _, more = spec.strip().partition(":")
    plain = plain.replace("-", "_")
    name, _, given = PRESETS.get(plain, plain).partition(":")
    given = ",".join(filter(None, (given, more)))
    if name not in SUMMARY:
        raise InputError(f"there is no system {name!r}; there are: {', '.join(SUMMARY)}")
    arguments: dict[str, Value] = {}
    for part in filter(None, (part.strip() for part in given.split(","))):
        key, sign, text = part.partition("=")
        if not sign or key not in (known := defaults(name)):
            raise InputError(f"{name} takes no argument {part!r}; it takes: {', '.join(known) or 'none'}")
        arguments[key] = _value(known[key], key, text)
    return name, arguments


def label(name: str, arguments: dict[str, Value]) -> str:
    """The specification in its one spelling, which names folders and columns; arguments that are the default go."""
    told = {k: v for k, v in sorted(arguments.items()) if v != defaults(name)[k]}
    text = ",".join(f"{k}={_text(v)}" for k, v in told.items())
    return f"{name}:{text}" if text else name


def make(name: str, arguments: dict[str, Value], bench: Bench) -> System:
    """The system, over this bench."""
    if name == "persona_agent":
        from personaagent.evals.systems.persona_agent import Parts, PersonaAgent

        return PersonaAgent(bench, Parts(**_typed(arguments)))
    made: System = _class(name)(bench, **_typed(arguments))
    return made


def _class(name: str) -> Callable[..., Any]:
    if name == "react":
        from personaagent.evals.systems.react import ReAct

        return ReAct
    from personaagent.evals.systems import baselines

    return {
        "majority": baselines.Majority,
        "last_label": baselines.LastLabel,
        "nearest_neighbour": baselines.NearestNeighbour,
        "weighted_vote": baselines.WeightedVote,
        "no_personalization": baselines.NoPersonalization,
        "icl": baselines.InContext,
        "rag": baselines.Retrieval,
        "pag": baselines.ProfileAugmented,
        "membank": baselines.MemoryBank,
        "cipher": baselines.Preferences,
    }[name]


def defaults(name: str) -> dict[str, Value]:
    """A system's arguments and their defaults."""
    if name == "persona_agent":
        from personaagent.evals.systems.persona_agent import Parts

        return {field.name: field.default for field in fields(Parts)}  # type: ignore[misc]
    parameters = inspect.signature(_class(name)).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}


def _value(default: Value, key: str, text: str) -> Value:
    if isinstance(default, bool):
        if text not in ("on", "off"):
            raise InputError(f"{key} is {text!r}: give on or off")
        return text == "on"
    if not text.isdecimal():
        raise InputError(f"{key} is {text!r}: give a number")
    return int(text)


def _text(value: Value) -> str:
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


def _typed(arguments: dict[str, Value]) -> dict[str, Any]:
    return dict(arguments)
