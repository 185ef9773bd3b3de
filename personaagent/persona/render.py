"""The system prompt: what every turn of a user shares comes first, so that a prefix cache serves them all."""

from __future__ import annotations

from collections.abc import Sequence

from personaagent.prompts import render
from personaagent.text import clean, one_line
from personaagent.types import Persona, Section, Sections

MAX_NAME_CHARS = 80  # of a tool; a tool server may have written it

_HEADINGS = {
    Section.WHO: "Who the user is",
    Section.ANSWERING: "How to answer this user",
    Section.TOOLING: "Which tools to use for this user, and how",
    Section.INTERESTS: "What occupies the user at present",
}


def system_prompt(
    persona: Persona | None,
    pins: Sequence[str],
    *,
    instructions: str | None,
    choices: Sequence[str],
    tools: Sequence[str],
    personalize: bool,
) -> str:
    """Return the system prompt of a turn: frame, pins, persona, tools, task, form of the answer.

    ``tools`` are names, best first; what each does is in its binding, once. Without ``personalize`` neither pins nor
    persona are in it. The frame stands outside anything that an alignment can rewrite; pins and persona follow it and
    are bound by it.
    """
    blocks = [render("frame")]
    if personalize and pins:
        blocks.append(render("pins", pins=_list(pins)))
    if personalize and persona is not None and persona.sections:
        blocks.append(render("persona", sections=_sections(persona.sections, tooling=bool(tools))))
    if tools:
        blocks.append(render("tools", tools=", ".join(one_line(name, MAX_NAME_CHARS) for name in tools)))
    if instructions and instructions.strip():
        blocks.append(render("task", instructions=clean(instructions).strip()))
    if choices:
        blocks.append(render("answer_choice", choices=_list(choices)))
    return "\n\n".join(blocks)


def _sections(sections: Sections, *, tooling: bool) -> str:
    """The persona's text; advice on tools only where there are tools, or it asks for what cannot be had."""
    blocks = []
    for section, heading in _HEADINGS.items():
        clauses = sections.get(section, ())
        if clauses and (tooling or section is not Section.TOOLING):
            blocks.append(f"## {heading}\n{_list([clause.text for clause in clauses])}")
    return "\n\n".join(blocks)


def _list(items: Sequence[str]) -> str:
    return "\n".join(f"- {' '.join(clean(item).split())}" for item in items)
