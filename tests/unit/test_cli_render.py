"""What the command line puts out: plain JSON values, differences, and nobody's markup."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest
from rich.console import Console, RenderableType

from personaagent.app.cli_run import plain, settings_of
from personaagent.app.render import changes, interactions_table, persona_diff, persona_view
from personaagent.errors import BadRow, SetupError
from personaagent.types import Clause, Interaction, Persona, Section

NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


def persona(*who: str, version: int = 0) -> Persona:
    sections = {Section.WHO: tuple(Clause(text=text, evidence=("i1",)) for text in who)}
    return Persona(user_id="ann", version=version, sections=sections, origin="seed", created_at=NOW)


def shown(view: RenderableType, **console: object) -> str:
    out = io.StringIO()
    Console(file=out, width=120, highlight=False, markup=False, emoji=False, **console).print(view)  # type: ignore[arg-type]
    return out.getvalue()


def test_a_persona_becomes_plain_json_values() -> None:
    value = plain(persona("Reads."))
    assert value["sections"] == {"who": [{"text": "Reads.", "evidence": ["i1"], "kind": None, "turn": None}]}
    assert value["created_at"] == "2026-01-02T03:04:00+00:00"
    assert plain({"b", "a"}) == ["a", "b"]
    assert plain((BadRow("row 3"),)) == ["row 3"]


def test_changes_tell_added_removed_and_same_lines() -> None:
    lines = changes(persona("Reads.", "Old.").sections, persona("Reads.", "New.").sections)
    assert lines == [("same", "## who"), ("same", "- Reads."), ("removed", "- Old."), ("added", "- New.")]


def test_a_diff_is_coloured_on_a_terminal_and_signed_without_colours() -> None:
    view = persona_diff(persona("Old.").sections, persona("New.").sections)
    coloured = shown(view, force_terminal=True, color_system="standard", no_color=False)
    assert "\x1b[31m- - Old." in coloured
    assert "\x1b[32m+ - New." in coloured
    assert "\x1b" not in shown(view)
    assert "- - Old." in shown(view)
    assert shown(persona_diff(persona("Old.").sections, persona("Old.").sections)).strip() == "no difference"


def test_what_others_wrote_is_neither_markup_nor_control_characters() -> None:
    hostile = "[red]hi[/red] :boom: \x1b[2Jwiped"
    interaction = Interaction(id="i1", user_id="ann", query=hostile, created_at=NOW)
    for text in (shown(interactions_table([interaction])), shown(persona_view(persona(hostile)))):
        assert "[red]hi[/red] :boom:" in text
        assert "\x1b" not in text


def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSONAAGENT_ALIGN_AFTER", "many")
    with pytest.raises(SetupError, match="align_after"):
        settings_of(None)
