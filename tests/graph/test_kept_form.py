"""What pins and clauses state of the form holds for the answer, its stream and its memory, whatever the model wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage

from personaagent import PersonaAgent, Turn
from personaagent.library.values import Token
from scripted import HashEmbedder

LONG = "Play something slow. Satie would do. So would Debussy."


async def streamed(folder: Path, query: str, pins: list[str], **options: Any) -> tuple[list[str], Turn, str | None]:
    """The tokens, the turn, and what is remembered of it."""
    model = GenericFakeChatModel(messages=iter([AIMessage(LONG)]))
    async with PersonaAgent(folder, model=model, embedder=HashEmbedder()) as agent:
        ann = agent.user("ann")
        for pin in pins:
            await ann.pin(pin)
        events = [event async for event in ann.stream(query, **options)]
        turn = events[-1]
        assert isinstance(turn, Turn)
        kept = (await ann.memories()).interactions
        return [e.text for e in events if isinstance(e, Token)], turn, kept[-1].response if kept else None


async def test_a_stated_form_holds_in_the_stream_the_turn_and_the_memory(tmp_path: Path) -> None:
    pins = ["Answer in one sentence.", 'End every answer with the line "Yours, Max"']
    tokens, turn, remembered = await streamed(tmp_path, "What shall I play?", pins)
    assert tokens == [turn.answer] == [remembered] == ["Play something slow.\n\nYours, Max"]


async def test_small_letters_hold_although_the_model_is_not_asked_for_them(tmp_path: Path) -> None:
    pins = ["Write everything in lower case, without capital letters."]
    tokens, turn, remembered = await streamed(tmp_path, "What shall I play?", pins)
    assert tokens == [turn.answer] == [remembered] == [LONG.lower()]


@pytest.mark.parametrize(
    ("query", "pins", "options"),
    [
        ("What shall I play?", [], {}),
        ("What shall I play?", ["Be kind."], {}),
        ("What shall I play? Tell me in detail.", ["Answer in one sentence."], {}),
        ("What shall I play?", ["Answer in one sentence."], {"personalize": False}),
    ],
)
async def test_all_else_streams_as_the_model_writes_it(
    tmp_path: Path, query: str, pins: list[str], options: dict[str, Any]
) -> None:
    tokens, turn, _ = await streamed(tmp_path, query, pins, **options)
    assert len(tokens) > 1
    assert "".join(tokens) == turn.answer == LONG
