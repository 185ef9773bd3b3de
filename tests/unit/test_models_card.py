"""What an endpoint can do is found out once, kept and used: parameters, context size, tools, half answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage, SystemMessage

from personaagent.app.doctor import endpoint as doctor_endpoint
from personaagent.errors import ContextTooLong, ModelRefused
from personaagent.models.card import NEEDS_ONE, Card, Cards, limit_in
from personaagent.models.chat import ModelsFromSettings
from personaagent.models.replies import CallFilter, without_calls
from personaagent.settings import Settings
from stub_endpoint import endpoint, obliging, refusing

ASKED = [SystemMessage("Be brief."), HumanMessage("hello")]
CALL = {"id": "1", "type": "function", "function": {"name": "calculator", "arguments": '{"expression": "1+1"}'}}
WRITTEN = '{"name": "calculator", "arguments": {"expression": "1+1"}}'


def models_at(url: str, **settings: Any) -> ModelsFromSettings:
    return ModelsFromSettings(Settings(**({"openai_base_url": url, "model_retries": 0} | settings)))


def strict(refuses: Callable[[dict[str, Any]], bool], message: str, status: int = 400, **told: Any) -> Any:
    return lambda body: refusing(message, status, **told) if refuses(body) else obliging(body)


REFUSALS = [
    (
        "temperature",
        strict(
            lambda body: "temperature" in body,
            "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) is supported.",
            param="temperature",
        ),
    ),
    ("temperature", strict(lambda body: "temperature" in body, "`temperature` must be strictly positive", 422)),
    (
        "stream_options",
        strict(lambda body: "stream_options" in body, "stream_options: Extra inputs are not permitted", 422),
    ),
    ("system", strict(lambda body: body["messages"][0]["role"] == "system", "System role not supported")),
    ("tools", strict(lambda body: "tools" in body, "registry.ollama.ai/library/gemma:2b does not support tools")),
    ("tools", strict(lambda body: "tools" in body, "tools param requires --jinja flag", 500)),
    ("tools", strict(lambda body: "tools" in body, "No endpoints found that support tool use", 404)),
    (
        "max_completion_tokens",
        strict(lambda body: "max_completion_tokens" in body, "Unrecognized request argument: max_completion_tokens"),
    ),
    (
        "temperature",
        strict(lambda body: "temperature" in body, "invalid temperature: only 1 is allowed for this model"),
    ),
    ("temperature", strict(lambda body: "temperature" in body, "temperature参数非法")),
    (
        "temperature",
        strict(lambda body: "temperature" in body, "`temperature` may only be set to 1 when thinking is enabled."),
    ),
    (
        "system",
        strict(
            lambda body: body["messages"][0]["role"] == "system",
            "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
            param="messages[0].role",
        ),
    ),
    (
        "system",
        strict(lambda body: body["messages"][0]["role"] == "system", "Only user and assistant roles are supported!"),
    ),
    (
        "stream",
        strict(
            lambda body: body.get("stream"),
            "Your organization must be verified to stream this model.",
            param="stream",
            code="unsupported_value",
        ),
    ),
]


@pytest.mark.parametrize(("parameter", "reply"), REFUSALS, ids=[f"{n}-{name}" for n, (name, _) in enumerate(REFUSALS)])
@pytest.mark.parametrize("streams", [False, True])
async def test_a_refused_parameter_is_left_out_and_that_is_remembered(
    parameter: str, reply: Any, streams: bool
) -> None:
    tool = {"type": "function", "function": {"name": "x", "description": "x", "parameters": {"type": "object"}}}
    with endpoint(reply) as (url, seen):
        for calls in (2, 3):  # the second time by another process, which has read what the first one kept
            models = models_at(url)
            chat = (await models.chat("agent")).bind_tools([tool]).bind(max_tokens=9)
            if streams:
                text = "".join([chunk.text async for chunk in chat.astream(ASKED)])
            else:
                text = (await chat.ainvoke(ASKED)).text
            await models.close()
            assert "hello" in text
            assert len(seen) == calls - (parameter.startswith("stream") and not streams)  # only streams have it
    last = seen[-1]
    assert "max_tokens" in last if parameter == "max_completion_tokens" else not last.get(parameter)
    assert [m["role"] for m in last["messages"]] == (["user"] if parameter == "system" else ["system", "user"])
    if parameter == "system":
        assert last["messages"][0]["content"] == "Be brief.\n\nhello"


async def test_another_refusal_is_not_asked_again() -> None:
    with endpoint(lambda body: refusing("the picture cannot be read")) as (url, seen):
        models = models_at(url)
        with pytest.raises(ModelRefused, match="the picture cannot be read"):
            await (await models.chat("agent")).ainvoke(ASKED)
        await models.close()
    assert len(seen) == 1


@pytest.mark.parametrize(
    "said",
    [
        "the temperature of the server is too high",
        [{"loc": ["messages", 0], "msg": "a string is expected", "input": "Which tools does the system role support?"}],
    ],
)
async def test_what_a_refusal_only_mentions_is_not_left_out_for_good(said: object) -> None:
    with endpoint(lambda body: refusing(said)) as (url, seen):
        models = models_at(url)
        with pytest.raises(ModelRefused):
            await (await models.chat("agent")).ainvoke(ASKED)
        card = await models.card("simulator")
        await models.close()
    assert len(seen) <= 2
    assert not card.refused


async def refused_with(said: str) -> tuple[int | None, Card]:
    """The size that the error of a refused request names, and the card as it is then."""
    with endpoint(lambda body: refusing(said)) as (url, _):
        models = models_at(url)
        with pytest.raises(ContextTooLong) as caught:
            await (await models.chat("agent")).ainvoke([HumanMessage("word " * 2_000)])
        card = await models.card("simulator")
        await models.close()
    return caught.value.limit, card


@pytest.mark.parametrize(
    ("said", "limit"),
    [
        ("This model's maximum context length is 4096 tokens. However, you requested 4487 tokens", 4096),
        ("the request exceeds the available context size (2048 tokens), try increasing it", 2048),
        ("{'code': 400, 'type': 'exceed_context_size_error', 'n_prompt_tokens': 9000, 'n_ctx': 8192}", 8192),
        ("This model's maximum context length is 8,192 tokens", 8192),
        ("prompt is too long: 215000 tokens > 200000 maximum", 200_000),
        ("input is too long: 5000 tokens, max 4096", 4096),
        ("The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).", 1_048_576),
        ("Request too large for model: tokens per minute (TPM): Limit 6000, Requested 9000", 6000),
        ("Input is too long for requested model.", None),
        ("This model's maximum prompt length is 131072 but the request contains 537812 tokens.", 131_072),
        ("`inputs` tokens + `max_new_tokens` must be <= 4097. Given: 4200 `inputs` tokens and 100", 4097),
        ("The provided prompt length is 4200 but maximum sequence length is 4096", 4096),
        ("InternalError.Algo.InvalidParameter: Range of input length should be [1, 30720]", 30_720),
        ("Prompt contains 40000 tokens, too large for model with 32768 maximum context length", 32_768),
        ("too many tokens: size limit exceeded by 5000 tokens. Try using shorter or fewer inputs.", None),
    ],
)
async def test_a_refused_context_names_its_size_and_is_remembered(said: str, limit: int | None) -> None:
    assert limit_in(said) == limit
    named, card = await refused_with(said)
    assert named == limit
    assert card.context_from == "refusal"
    assert card.context == limit or 1_000 < (card.context or 0) < 2_000


@pytest.mark.parametrize(
    "said",
    [
        "Invalid 'messages[0].content': string too long. Expected a string with maximum length 10485760, but got a "
        "string with length 12582912 instead.",
        "Invalid 'messages': array too long. Expected an array with maximum length 2048, but got 2049.",
        "request is too large: 4194304 bytes maximum",
        "input is too long: at most 100000 characters",
    ],
)
async def test_a_limit_of_something_else_is_no_context(said: str) -> None:
    named, card = await refused_with(said)
    assert (named, card.context) == (None, None)


@pytest.mark.parametrize(
    ("routes", "context"),
    [
        ({"/props": {"default_generation_settings": {"n_ctx": 4096}, "total_slots": 1}}, 4096),
        ({"/v1/models": {"data": [{"id": "stub", "max_model_len": 32768}]}}, 32768),
        ({"/v1/models": {"data": [{"id": "stub", "meta": {"n_ctx_train": 131072, "n_ctx": 16384}}]}}, 16384),
        (
            {"/v1/models": {"data": [{"id": "other", "context_length": 9}, {"id": "stub", "context_length": 65536}]}},
            65536,
        ),
        ({"/api/ps": {"models": [{"name": "stub", "context_length": 8192}]}}, 8192),
        ({"/api/ps": {"models": []}, "/api/show": {"model_info": {"llama.context_length": 131072}}}, 4096),
        (
            {"/api/ps": {"models": []}, "/api/show": {"model_info": {}, "parameters": "stop x\nnum_ctx       16384"}},
            16384,
        ),
        ({"/props": [], "/v1/models": {"data": "x"}, "/api/ps": {"models": 3}}, None),
        ({}, None),
    ],
)
async def test_the_context_size_is_asked_of_the_endpoint(routes: dict[str, Any], context: int | None) -> None:
    with endpoint(routes=routes) as (url, seen):
        models = models_at(url, model="stub")
        assert (await models.card("simulator")).context == context
        assert (await models_at(url, model="stub", model_context=777).card("simulator")).context == 777
    assert seen == []


def calling(body: dict[str, Any]) -> dict[str, Any]:
    """A model that calls a tool where it needs one, and else does not."""
    wanted = any(NEEDS_ONE in str(m["content"]) for m in body["messages"])
    return {"tool_calls": [CALL]} if wanted else {"content": "Ash"}


@pytest.mark.parametrize(
    ("reply", "use"),
    [
        (calling, "well"),
        (lambda body: {"tool_calls": [CALL]}, "badly"),
        (lambda body: {"content": f"```json\n{WRITTEN}\n```"}, "badly"),
        (obliging, "badly"),
        (strict(lambda body: "tools" in body, "this model does not support tools"), "none"),
        (lambda body: refusing("overloaded", 503), None),
    ],
)
async def test_how_a_model_calls_tools_is_tried_once_and_kept(reply: Any, use: str | None, own_settings: Path) -> None:
    with endpoint(reply) as (url, seen):
        models = models_at(url)
        assert (await models.card("agent")).tools == (use or "badly")  # what is not known is not staked on
        asked = len(seen)
        assert (await models.card("agent")).tools == (use or "badly")
        await models.close()  # what was found out is on the disk then
        assert (await models_at(url).card("simulator")).tools == (use or "badly")
        assert (await models_at(url, tool_calling="on").card("agent")).tools == "well"
        assert len(seen) <= max(asked, 2)  # two questions at most
    if use is not None:
        kept = json.loads((own_settings / "endpoints.json").read_text(encoding="utf-8"))
        assert [card["tools"] for card in kept.values()] == [use]


@pytest.mark.parametrize(
    "kept", ["", "{", "[]", '{"a": 1}', '{"http://x gpt-4o-mini": {"context": "x", "refused": 3}}']
)
def test_a_broken_file_of_cards_is_no_card(kept: str, own_settings: Path) -> None:
    own_settings.mkdir()
    (own_settings / "endpoints.json").write_text(kept, encoding="utf-8")
    cards = Cards(own_settings)
    assert cards.get("a") == Card()
    cards.note("a", context=4096)
    assert Cards(own_settings).get("a").context == 4096


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(("finish", "half"), [("stop", False), ("length", True), (None, True)])
async def test_a_half_answer_is_known_by_its_finish(streams: bool, finish: str | None, half: bool) -> None:
    from personaagent.turn import BREAKS_OFF

    if not streams and finish is None:
        return
    with endpoint(lambda body: {"content": "The first half of", "finish_reason": finish}) as (url, _):
        models = models_at(url)
        chat = await models.chat("agent")
        if streams:
            chunks = [chunk async for chunk in chat.astream(ASKED)]
            reply: Any = chunks[0]
            for chunk in chunks[1:]:
                reply += chunk
        else:
            reply = await chat.ainvoke(ASKED)
        await models.close()
    assert reply.text == "The first half of"
    assert (reply.response_metadata.get("finish_reason") in BREAKS_OFF) == half


def test_a_call_in_a_stream_is_held_back_and_other_text_is_not() -> None:
    whole = f'Let me see.\n```json\n{WRITTEN}\n```\nand `code` {{x}} {{"a": 1}} ```py\nx = {{}}\n``` end'
    for size in (1, 3, 1000):
        filter_ = CallFilter(["calculator"])
        out = "".join(filter_.feed(whole[at : at + size]) for at in range(0, len(whole), size)) + filter_.end()
        assert [call["name"] for call in filter_.found] == ["calculator"]
        assert "calculator" not in out
        assert out.startswith("Let me see.\n")
        assert out.endswith('and `code` {x} {"a": 1} ```py\nx = {}\n``` end')


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (WRITTEN, ""),
        (f"[{WRITTEN}]", ""),
        (f"<tool_call>\n{WRITTEN}\n</tool_call>", ""),
        (f"I will.\n```json\n{WRITTEN}\n```", "I will."),
        ('{"name": "Ada"} is JSON', '{"name": "Ada"} is JSON'),
    ],
)
def test_an_answer_without_its_calls(text: str, left: str) -> None:
    assert without_calls(text, ["calculator"]) == left


async def test_the_doctor_tries_what_a_model_can_do_and_keeps_it() -> None:
    def picky(body: dict[str, Any]) -> dict[str, Any]:
        if "temperature" in body:
            return refusing("Unsupported value: 'temperature' does not support 0 with this model")
        return obliging(body) if "response_format" in body else calling(body)

    with endpoint(picky, routes={"/props": {"default_generation_settings": {"n_ctx": 4096}}}) as (url, _):
        settings = Settings(openai_base_url=url, model="stub")
        found = {check.name: check for check in await doctor_endpoint(settings)}
        models = models_at(url, model="stub")
        card = await models.card("agent")
        await models.close()
    assert found["context"].detail == "4,096 tokens, from the endpoint"
    assert found["tools"].detail.startswith("calls tools well")
    assert found["temperature"].status == "warn"
    assert found["system role"].detail == "taken"
    assert found["json_schema"].detail == "held"
    assert found["log-probabilities"].status == "warn"
    assert found["speed"].detail.endswith("tokens a second")
    assert (card.context, card.tools, card.schema, card.logprobs, card.thinks) == (4096, "well", True, False, False)
    assert card.refused == {"temperature", "logprobs"}


async def test_the_doctor_claims_nothing_of_an_endpoint_that_is_too_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("personaagent.app.doctor.SECONDS", 0.3)
    with endpoint(seconds=0.6) as (url, _):
        found = await doctor_endpoint(Settings(openai_base_url=url, model="stub"))
    assert {check.detail for check in found[3:]} == {"not found out in time"}


async def test_a_model_that_thinks_first_is_given_the_room_to_show_how_it_calls_tools() -> None:
    def thinking(body: dict[str, Any]) -> dict[str, Any]:
        if (body.get("max_completion_tokens") or body.get("max_tokens")) < 100:
            return {"content": "<think>Is a tool", "finish_reason": "length"}
        return calling(body)

    with endpoint(thinking) as (url, seen):
        models = models_at(url)
        assert (await models.card("agent")).tools == "well"
        await models.close()
    assert len(seen) == 4


async def test_the_doctor_names_an_endpoint_that_does_not_answer() -> None:
    found = await doctor_endpoint(Settings(openai_base_url="http://127.0.0.1:9/v1"))
    assert [(check.name, check.status) for check in found] == [("endpoint", "fail")]
    assert "cannot be reached" in found[0].detail
