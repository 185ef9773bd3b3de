"""Answers of a given form: what is asked for, what is taken, what is refused, and how often it is asked."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda

from personaagent.errors import InputError, ModelDenied, ModelOutputInvalid, ModelRefused
from personaagent.models.constrained import (
    choice_schema,
    choose,
    gbnf,
    match_choice,
    parse_object,
    probabilities,
    structured,
)
from scripted import Reply, ScriptedModel

ASKED: list[BaseMessage] = [SystemMessage("frame"), HumanMessage("Which?")]
SCORE: dict[str, Any] = {
    "title": "My score!",
    "type": "object",
    "properties": {"score": {"type": "integer", "minimum": 0, "maximum": 10}},
    "required": ["score"],
    "additionalProperties": False,
}


def answering(*replies: Reply) -> ScriptedModel:
    return ScriptedModel(list(replies))


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("Sports", "Sports"),
        (" sports \n", "Sports"),
        ("US", "US"),
        ("us", "us"),
        ("Us", "us"),
        ('{"answer": "SPORTS"}', "Sports"),
        ('```json\n{"answer": "us"}\n```', "us"),
        ("STRASSE", "Straße"),
        ("Sports.", None),
        ("It is Sports", None),
        ("", None),
        ('{"answer": 3}', None),
        ('{"reply": "Sports"}', None),
        ("[]", None),
    ],
)
def test_only_an_exact_choice_is_taken(text: str, choice: str | None) -> None:
    assert match_choice(text, ["Sports", "us", "US", "Straße"]) == choice


def test_a_grammar_escapes_quotes_backslashes_and_control_characters() -> None:
    assert gbnf(['say "hi"', "a\\b", "two\nlines", "é", "é"]) == (
        r'root ::= "say \"hi\"" | "a\\b" | "two\x0Alines" | "é"'
    )


async def test_llama_cpp_is_given_a_grammar_and_a_limit() -> None:
    chat = answering("b")
    assert await choose(chat, ASKED, ["A", "B"], grammar=True) == "B"
    assert chat.calls[0].kwargs["extra_body"] == {"grammar": 'root ::= "A" | "B"'}
    assert chat.calls[0].kwargs["max_tokens"] == 9
    assert chat.calls[0].messages == ASKED


async def test_other_endpoints_are_given_a_strict_schema() -> None:
    chat = answering('{"answer": "B"}')
    assert await choose(chat, ASKED, ["A", "B"], grammar=False) == "B"
    form = chat.calls[0].kwargs["response_format"]
    assert form["type"] == "json_schema"
    assert form["json_schema"] == {"name": "Answer", "schema": choice_schema(["A", "B"]), "strict": True}


@pytest.mark.parametrize("first", ["neither", "", ModelRefused("no response_format here"), ModelOutputInvalid("empty")])
async def test_a_choice_is_asked_once_more_in_words(first: Reply) -> None:
    chat = answering(first, "B")
    assert await choose(chat, ASKED, ["A", "B"], grammar=False) == "B"
    assert "response_format" not in chat.calls[1].kwargs
    assert [message.type for message in chat.calls[1].messages] == ["system", "human"]
    assert chat.calls[1].messages[-1].text.startswith("Which?")
    assert chat.calls[1].messages[-1].text.endswith("A\nB")


async def test_an_answer_outside_the_choices_is_refused_after_two_calls() -> None:
    chat = answering("C", "it\nis C", "B")
    with pytest.raises(ModelOutputInvalid, match=r"'it is C', which is none of the 2 choices"):
        await choose(chat, ASKED, ["A", "B"], grammar=False)
    assert len(chat.calls) == 2


async def test_a_denied_key_is_not_tried_again() -> None:
    chat = answering(ModelDenied("key"), "B")
    with pytest.raises(ModelDenied):
        await choose(chat, ASKED, ["A", "B"], grammar=False)
    assert len(chat.calls) == 1


async def test_nothing_to_choose_from_is_the_callers_error() -> None:
    with pytest.raises(InputError):
        await choose(answering(), ASKED, [], grammar=True)


@pytest.mark.parametrize("text", ['{"score": 7}', 'Here:\n```json\n{"score": 7}\n```\nDone.', '```\n{"score": 7}\n```'])
async def test_an_object_of_the_schema_is_taken(text: str) -> None:
    chat = answering(text)
    assert await structured(chat, ASKED, SCORE) == {"score": 7}
    assert chat.calls[0].kwargs["response_format"]["json_schema"]["name"] == "My_score_"


@pytest.mark.parametrize(
    "text",
    ["", "7", "[7]", '{"score": 7', '{"score": 11}', '{"score": "7"}', "{}", '{"score": 7, "x": 1}', '{"score": NaN}'],
)
async def test_anything_else_is_refused_after_two_calls(text: str) -> None:
    chat = answering(text, text, '{"score": 7}')
    with pytest.raises(ModelOutputInvalid) as caught:
        await structured(chat, ASKED, SCORE)
    assert "\n" not in str(caught.value)
    assert len(chat.calls) == 2


async def test_a_truncated_answer_is_refused_even_if_it_parses() -> None:
    cut = AIMessage('{"score": 1}', response_metadata={"finish_reason": "length"})
    with pytest.raises(ModelOutputInvalid, match="token limit"):
        await structured(answering(cut, cut), ASKED, SCORE)


async def test_an_endpoint_without_schemas_is_told_the_schema_in_words() -> None:
    chat = answering(ModelRefused("unknown response_format"), '{"score": 3}')
    assert await structured(chat, ASKED, SCORE) == {"score": 3}
    assert "response_format" not in chat.calls[1].kwargs
    assert json.dumps(SCORE) in chat.calls[1].messages[-1].text


async def test_a_schema_with_optional_parts_is_not_declared_strict() -> None:
    chat = answering("{}")
    await structured(chat, ASKED, {"type": "object", "properties": {"a": {"type": "string"}}})
    assert chat.calls[0].kwargs["response_format"]["json_schema"]["strict"] is False


async def test_constrained_answers_stay_out_of_the_message_stream() -> None:
    seen: list[Any] = []

    def listen(_: Any, config: RunnableConfig) -> AIMessage:
        seen.append(config["tags"])
        return AIMessage("A")

    class Listening(ScriptedModel):
        def bind(self, **kwargs: Any) -> Any:
            seen.append(kwargs["stream"])
            return RunnableLambda(listen)

    assert await choose(Listening(), ASKED, ["A"], grammar=True) == "A"
    assert seen == [False, ["nostream"]]


def test_deeply_nested_json_is_refused_not_a_crash() -> None:
    with pytest.raises(ModelOutputInvalid):
        parse_object('{"a":' * 100_000)


def first_tokens(*said: tuple[str, float]) -> AIMessage:
    top = [{"token": token, "logprob": math.log(p)} for token, p in said]
    return AIMessage("x", response_metadata={"logprobs": {"content": [{"token": said[0][0], "top_logprobs": top}]}})


async def test_probabilities_are_read_from_the_first_token_and_shared_by_choices_that_begin_alike() -> None:
    reply = first_tokens(("pol", 0.4), (" Wo", 0.2), ("ent", 0.1), ("banana", 0.3))
    chat = answering(reply)
    found = await probabilities(chat, ASKED, ["politics", "women", "world news", "entertainment"])
    assert found == pytest.approx({"politics": 4 / 7, "women": 1 / 7, "world news": 1 / 7, "entertainment": 1 / 7})
    assert (chat.calls[0].kwargs["logprobs"], chat.calls[0].kwargs["max_tokens"]) == (True, 1)


async def test_an_endpoint_without_log_probabilities_gives_an_empty_answer_and_a_model_that_chats_none() -> None:
    assert await probabilities(answering("politics"), ASKED, ["politics", "crime"]) == {}
    assert (
        await probabilities(answering(first_tokens(("The", 0.9), ("pol", 0.1))), ASKED, ["politics", "crime"]) is None
    )
