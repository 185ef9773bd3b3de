"""Thinking in the content is no answer: stripped in one place, in streams too."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from personaagent.models.chat import ModelsFromSettings
from personaagent.models.replies import ThinkingFilter, without_thinking
from personaagent.settings import Settings
from stub_endpoint import endpoint

TEXTS = [
    ("<think>\nhm, jazz?\n</think>\n\nJazz.", "Jazz."),
    ("\n <Thinking>a < b</Thinking> Jazz", "Jazz"),
    ("<think></think><think>twice</think>Jazz", "Jazz"),
    ("<think>cut off before the ans", ""),
    ("", ""),
    ("Jazz.", "Jazz."),
    ("<b>Jazz</b>", "<b>Jazz</b>"),
    ("<thin", "<thin"),
    ("Write <think>this</think> in HTML", "Write <think>this</think> in HTML"),
    ("  indented", "  indented"),
]


@pytest.mark.parametrize(("text", "answer"), TEXTS)
@pytest.mark.parametrize("size", [1, 2, 7, 1_000])
def test_only_the_answer_is_left_however_it_is_cut_into_pieces(text: str, answer: str, size: int) -> None:
    stream = ThinkingFilter()
    pieces = [stream.feed(text[at : at + size]) for at in range(0, len(text), size)]
    assert "".join(pieces) + stream.end() == without_thinking(text) == answer


def test_a_block_whose_opening_the_template_wrote_is_thinking_too() -> None:
    assert without_thinking("hm, jazz?\n</think>\n\nJazz.") == "Jazz."


def thinks(body: dict[str, Any]) -> dict[str, Any]:
    answer = json.dumps({"genre": "jazz"}) if "response_format" in body else "jazz"
    return {"content": f"<think>rock? no, {{}} not rock</think>\n{answer}"}


async def test_nothing_of_it_comes_out_of_a_call_a_stream_a_choice_or_a_structured_call() -> None:
    schema = {"title": "G", "type": "object", "properties": {"genre": {"type": "string"}}, "required": ["genre"],
              "additionalProperties": False}  # fmt: skip
    asked = [HumanMessage("Which genre?")]
    with endpoint(thinks) as (url, _):
        models = ModelsFromSettings(Settings(openai_base_url=url, model_retries=0))
        chat = await models.chat("agent")
        assert (await chat.ainvoke(asked)).text == "jazz"
        assert "".join([chunk.text async for chunk in chat.astream(asked)]) == "jazz"
        assert await models.choose("agent", asked, ["rock", "jazz"]) == "jazz"
        assert await models.structured("agent", asked, schema) == {"genre": "jazz"}
        await models.close()
