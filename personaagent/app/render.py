"""What people see: personas, differences, tables. What others wrote is shown as cleaned text, never as markup."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any, Literal

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from personaagent.persona.shape import to_text
from personaagent.text import clean, one_line
from personaagent.types import Candidate, Clause, Critique, Fact, Interaction, Persona, Pin, Recall, Section, Sections

HEADINGS = {
    Section.WHO: "Who the user is",
    Section.ANSWERING: "How to answer",
    Section.TOOLING: "Tools",
    Section.INTERESTS: "At present",
}
Change = Literal["same", "added", "removed"]
_SIGNS: dict[Change, tuple[str, str]] = {"same": ("  ", "dim"), "added": ("+ ", "green"), "removed": ("- ", "red")}


def persona_view(persona: Persona, pins: Sequence[Pin] = ()) -> RenderableType:
    """One version: where it comes from, its clauses by section, and the user's own instructions."""
    lines: list[RenderableType] = [Text(persona_line(persona), style="bold")]
    for section in Section:
        if clauses := persona.sections.get(section, ()):
            lines.append(Text(f"  {HEADINGS[section]}", style="cyan"))
            lines += [_clause(clause) for clause in clauses]
    if pins:
        lines.append(Text("  Pinned by the user", style="magenta"))
        lines += [_item(f"{pin.text}  ({pin.id})", _said(pin)) for pin in pins]
    return Group(*lines)


def persona_line(persona: Persona) -> str:
    """A version on one line: number, origin, proposer, parent, loss, time."""
    return str(persona)


def persona_history(versions: Sequence[Persona]) -> RenderableType:
    """All versions, oldest first, each with the reason it was made for."""
    table = _table("version", "parent", "origin", "proposer", "loss", "made", "clauses", "reason")
    for persona in versions:
        loss = ""
        if persona.loss_before is not None and persona.loss_after is not None:
            loss = f"{persona.loss_before:.2f} → {persona.loss_after:.2f}"
        parent = "" if persona.parent is None else persona.parent
        clauses = sum(map(len, persona.sections.values()))
        made = f"{persona.created_at:%Y-%m-%d %H:%M}"
        _row(
            table, persona.version, parent, persona.origin, persona.proposer or "", loss, made, clauses, persona.reason
        )
    return table


def changes(before: Sections, after: Sections) -> list[tuple[Change, str]]:
    """The lines of both personas, each with what became of it; unchanged ones are told too."""
    old, new = _lines(before), _lines(after)
    told: list[tuple[Change, str]] = []
    for kind, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            told += [("same", line) for line in old[a:b]]
        else:
            told += [("removed", line) for line in old[a:b]]
            told += [("added", line) for line in new[c:d]]
    return told


def persona_diff(before: Sections, after: Sections) -> RenderableType:
    """What was added (green, ``+``) and removed (red, ``-``)."""
    lines = changes(before, after)
    if all(kind == "same" for kind, _ in lines):
        return Text("no difference", style="dim")
    return Group(*(Text(_SIGNS[kind][0] + clean(line), style=_SIGNS[kind][1]) for kind, line in lines))


def interactions_table(interactions: Iterable[Interaction], scores: Sequence[float] | None = None) -> RenderableType:
    """Interactions with what the user really wanted; ``scores`` for those found by a search."""
    table = _table("id", "time", "query", "answered", "truth", "source", *(["score"] if scores is not None else []))
    for place, interaction in enumerate(interactions):
        cells = [
            interaction.id,
            f"{interaction.created_at:%Y-%m-%d %H:%M}",
            one_line(interaction.query, 160),
            one_line(interaction.response or "", 80),
            one_line(interaction.ground_truth or "", 80),
            interaction.truth_source or "",
        ]
        _row(table, *cells, *([f"{scores[place]:.3f}"] if scores is not None else []))
    return table


def recalls_table(recalls: Sequence[Recall]) -> RenderableType:
    """Recalled interactions, best first, with how well they fit."""
    return interactions_table([r.interaction for r in recalls], [r.score for r in recalls])


def facts_table(facts: Iterable[Fact]) -> RenderableType:
    """Facts about the user and what they stand on."""
    table = _table("id", "fact", "confidence", "evidence", "source", "status")
    for fact in facts:
        confidence = f"{fact.confidence:.2f}"
        _row(table, fact.id, fact.text, confidence, len(fact.evidence), fact.source, fact.status)
    return table


def why_view(persona: Persona, critiques: Sequence[Critique], queries: Mapping[str, str]) -> RenderableType:
    """A version, its reason, and what critics had said of which answers before it."""
    lines: list[RenderableType] = [Text(persona_line(persona), style="bold")]
    if persona.reason:
        lines.append(Text(f"  {clean(persona.reason)}"))
    for critique in critiques:
        about = one_line(queries.get(critique.interaction_id, critique.interaction_id), 80)
        lines.append(_item(critique.text, f"  [{about}, loss {critique.loss:.2f}]"))
    return Group(*lines)


def candidates_view(rejected: Sequence[Candidate]) -> RenderableType:
    """The candidates that were not taken, each reason once."""
    reasons = dict.fromkeys(
        f"{candidate.proposer}: {candidate.verdict.reason}" for candidate in rejected if candidate.verdict
    )
    return Group(*(Text(f"  ✗ {clean(reason)}", style="yellow") for reason in reasons))


def rows_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> RenderableType:
    """Any rows as a table."""
    table = _table(*columns)
    for row in rows:
        _row(table, *row)
    return table


def pairs_view(pairs: Iterable[tuple[str, Any]]) -> RenderableType:
    """Names and values, one a line."""
    grid = Table.grid(padding=(0, 2))
    for name, value in pairs:
        grid.add_row(Text(name, style="cyan"), Text(clean(str(value))))
    return grid


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, no_wrap=column in {"id", "time", "made", "score", "loss"}, overflow="fold")
    return table


def _row(table: Table, *cells: Any) -> None:
    table.add_row(*(cell if isinstance(cell, Text) else Text(clean(str(cell))) for cell in cells))


def _clause(clause: Clause) -> RenderableType:
    standing = f"  [{len(clause.evidence)} interactions]" if clause.evidence else ""
    return _item(clause.text, standing)


def _said(pin: Pin) -> str:
    return f"  said on {pin.created_at:%Y-%m-%d}" if pin.origin == "wish" else ""


def _item(text: str, note: str = "") -> RenderableType:
    return Padding(Text.assemble("• ", clean(text), (note, "dim")), (0, 0, 0, 4), expand=False)


def _lines(sections: Sections) -> list[str]:
    return [line for line in to_text(sections, evidence=False).splitlines() if line]
