"""The system prompt: what every turn of a user shares comes first, so that a prefix cache serves them all."""

from __future__ import annotations

from collections.abc import Sequence

from personaagent.persona.keeping import without_model
from personaagent.persona.seed import TEMPLATE
from personaagent.prompts import render
from personaagent.text import clean, one_line
from personaagent.types import Persona, Section, Sections, clauses_of

MAX_NAME_CHARS = 80  # of a tool; a tool server may have written it
STATED = (None, "edits", "comments")  # kinds of clauses that say what to do, rather than what was counted
SMALL_KNOWN = 8  # sentences about the user that the small embedded model is shown

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
    formed: bool = False,
) -> str:
    """Return the system prompt of a turn: frame, pins, persona, tools, task, form of the answer.

    ``tools`` are names, best first; what each does is in its binding, once. Without ``personalize`` neither pins nor
    persona are in it. The frame stands outside anything that an alignment can rewrite; pins and persona follow it and
    are bound by it. Where all that can be answered is one of ``choices``, nothing can be disclosed or done: the frame
    is short, and the persona is without the rules that every persona begins with. Where the answer is ``formed`` after
    it was written (``persona.keeping``), what is kept better without the model is not told.
    """
    bare = bool(choices) and not tools
    blocks = [render("frame_choice" if bare else "frame")]
    if personalize:
        sections = persona.sections if persona is not None else {}
        if formed:
            pins, sections = _needing_model(pins, sections)
        blocks += _personal(pins, _own(sections) if bare else sections, tooling=bool(tools))
    if tools:
        blocks.append(render("tools", tools=", ".join(one_line(name, MAX_NAME_CHARS) for name in tools)))
    if instructions and instructions.strip():
        blocks.append(render("task", instructions=clean(instructions).strip()))
    if choices:
        blocks.append(render("answer_choice", choices=_list(choices)))
    return "\n\n".join(blocks)


def small_prompt(
    persona: Persona | None, pins: Sequence[str], facts: Sequence[str], *, instructions: str | None, personalize: bool
) -> str:
    """Return the system prompt of free text by the small embedded model: a sentence, then what is surely the user's.

    Headings, rules and quoted data are too much for such a model: it answers about them. So it reads pins, facts and
    the clauses of ``STATED``, as plain sentences, and the task; it has no tools and no secret to keep.
    """
    blocks = [render("frame_small")]
    known = list(dict.fromkeys([*stated(persona, pins), *facts]))[:SMALL_KNOWN] if personalize else []
    if known:
        blocks.append(render("about_user", known=_list(known)))
    if instructions and instructions.strip():
        blocks.append(clean(instructions).strip())
    return "\n\n".join(blocks)


def stated(persona: Persona | None, pins: Sequence[str]) -> list[str]:
    """Pins and clauses that say what to do, in the order in which they count."""
    return [*pins, *(c.text for c in clauses_of(persona.sections if persona else {}) if c.kind in STATED)]


def _needing_model(pins: Sequence[str], sections: Sections) -> tuple[list[str], Sections]:
    left = {section: tuple(c for c in clauses if not without_model(c.text)) for section, clauses in sections.items()}
    return [pin for pin in pins if not without_model(pin)], left


def _personal(pins: Sequence[str], sections: Sections, *, tooling: bool) -> list[str]:
    blocks = [render("pins", pins=_list(pins))] if pins else []
    if shown := _sections(sections, tooling=tooling):
        blocks.append(render("persona", sections=shown))
    return blocks


def _own(sections: Sections) -> Sections:
    return {section: tuple(c for c in clauses if c.kind != TEMPLATE) for section, clauses in sections.items()}


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
