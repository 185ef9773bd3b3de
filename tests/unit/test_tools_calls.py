# ruff: noqa: RUF001  # marks of model templates
"""Tool calls written as text, and the question and answer of a human approval."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage

from personaagent.models.replies import CallFilter, calls_of, is_call_alone, without_calls
from personaagent.tools.approval import Decision, approval_request, parse_decisions
from personaagent.tools.calculator import calculator_tool
from personaagent.tools.talk import calls_in_text

NAMES = ("calculator", "recall")
KNOWN = {"calculator": ("expression",), "recall": ("query", "k"), "page": ("url",), "current_time": ("timezone",)}
ARGS = '{"expression": "1+1"}'
CALL = '{"name": "calculator", "arguments": {"expression": "1+1"}}'


@pytest.mark.parametrize(
    "text",
    [CALL, f"```json\n{CALL}\n```", f"Let me see.\n<tool_call>{CALL}</tool_call>", f"[{CALL}]", f"{{oops {CALL}",
     '{"type": "function", "function": {"name": "calculator", "arguments": "{\\"expression\\": \\"1+1\\"}"}}',
     '{"tool": "calculator", "parameters": {"expression": "1+1"}}'],
)  # fmt: skip
def test_a_call_written_as_text_becomes_a_call(text: str) -> None:
    message = calls_in_text(AIMessage(text, id="m"), NAMES)
    assert [(c["name"], c["args"]) for c in message.tool_calls] == [("calculator", {"expression": "1+1"})]
    assert (message.id, message.text) == ("m", "")
    assert message.tool_calls == calls_in_text(AIMessage(text, id="m"), NAMES).tool_calls


NOTATIONS = {
    "llama 3": '<|python_tag|>{"name": "calculator", "parameters": {"expression": "1+1"}}<|eom_id|>',
    "llama 3 custom": f"<function=calculator>{ARGS}</function>",
    "llama 3 built-in": '<|python_tag|>calculator.call(expression="1+1")',
    "llama 4": '<|python_start|>[calculator(expression="1+1")]<|python_end|>',
    "lfm": '<|tool_call_start|>[calculator(expression="1+1")]<|tool_call_end|>',
    "mistral": f"[TOOL_CALLS] [{CALL}]",
    "mistral 11": f"[TOOL_CALLS]calculator[ARGS]{ARGS}",
    "mistral 13": f"[TOOL_CALLS]calculator[CALL_ID]abc123456[ARGS]{ARGS}",
    "gemma": '```tool_code\nprint(default_api.calculator(expression="1+1"))\n```',
    "gemma in talk": 'Let me see.\n```tool_code\ncalculator(expression="1+1")\n```',
    "deepseek": f"<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>calculator\n```json\n{ARGS}\n```"
    "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    "phi": f"<|tool_call|>[{CALL}]<|/tool_call|>",
    "functools": f"functools[{CALL}]",
    "qwen coder": "<tool_call>\n<function=calculator>\n<parameter=expression>\n1+1\n</parameter>\n</function>\n"
    "</tool_call>",
    "qwen coder's tools": f"<tools>\n{CALL}\n</tools>",
    "glm": "<tool_call>calculator\n<arg_key>expression</arg_key>\n<arg_value>1+1</arg_value>\n</tool_call>",
    "kimi": "<|tool_calls_section_begin|><|tool_call_begin|>functions.calculator:0<|tool_call_argument_begin|>"
    f"{ARGS}<|tool_call_end|><|tool_calls_section_end|>",
    "harmony": f"<|channel|>commentary to=functions.calculator <|constrain|>json<|message|>{ARGS}<|call|>",
    "invoke": '<function_calls>\n<invoke name="calculator">\n<parameter name="expression">1+1</parameter>\n</invoke>\n'
    "</function_calls>",
    "react": f"Thought: I have to.\nAction: calculator\nAction Input: {ARGS}",
    "react in words": "Action: calculator\nAction Input: 1+1",
    "cohere": 'Action: ```json\n[{"tool_name": "calculator", "parameters": {"expression": "1+1"}}]\n```',
    "langchain": '```json\n{"action": "calculator", "action_input": {"expression": "1+1"}}\n```',
    "nemotron": f"<TOOLCALL>[{CALL}]</TOOLCALL>",
    "glaive": '<functioncall> {"name": "calculator", "arguments": \'{"expression": "1+1"}\'}',
    "python": "{'name': 'calculator', 'arguments': {'expression': '1+1'}}",
    "a list of calls": '{"content": null, "tool_calls": [{"function": {"name": "calculator", "arguments": '
    '"{\\"expression\\": \\"1+1\\"}"}}]}',
    "name as key": '{"calculator": {"expression": "1+1"}}',
    "flat": '<tool_call>{"name": "calculator", "expression": "1+1"}</tool_call>',
    "parallel": '{"recipient_name": "functions.calculator", "parameters": {"expression": "1+1"}}',
    "by place": 'calculator("1+1")',
}


@pytest.mark.parametrize("text", NOTATIONS.values(), ids=NOTATIONS)
def test_a_call_is_known_in_the_notation_of_every_family_and_kept_out_of_streams(text: str) -> None:
    found = calls_of(text, KNOWN)
    assert [(call["name"], call["args"]) for call in found] == [("calculator", {"expression": "1+1"})]
    assert without_calls(text, KNOWN) in {"", "Let me see.", "Thought: I have to."}
    for size in (1, 4, 1_000):
        stream = CallFilter(KNOWN)
        out = "".join(stream.feed(text[at : at + size]) for at in range(0, len(text), size)) + stream.end()
        assert len(stream.found) == 1
        assert "1+1" not in out
        assert "calculator" not in out


@pytest.mark.parametrize(
    "text",
    [
        "You can call `recall(query='x')` to search.",
        '{"name": "Ada", "page": 3, "url": "x"}',
        '{"profile": {"name": "Ada"}, "recall": {"query": "x"}}',
        "```python\nimport os\n\npage = open('x')\nprint(page)\n```\nThis prints it.",
        'Here is your page:\n```json\n{"title": "Home"}\n```',
        "Action: drink more water.\nResult: less thirst.",
        "The recall (of 2019) was large; see page (3).",
        '<b>page</b> <code>{x: 1}</code> [1], {2} and [NOTE] {"a": null, "b": -1}',
        "page = 3\nrecall = [1, 2]",
        '{"type": "page", "content": {"title": "x"}, "tags": [true, null]}',
    ],
)
def test_an_answer_that_speaks_of_tools_is_none_and_streams_whole(text: str) -> None:
    assert calls_of(text, KNOWN) == []
    assert without_calls(text, KNOWN) == text
    for size in (1, 5, 1_000):
        stream = CallFilter(KNOWN)
        assert "".join(stream.feed(text[at : at + size]) for at in range(0, len(text), size)) + stream.end() == text


def test_a_streamed_answer_is_not_held_back_by_lines_that_begin_like_a_tools_name() -> None:
    stream = CallFilter(KNOWN)
    assert stream.feed("pages of ") == "pages of "
    assert stream.feed("a book\nreca") == "a book\n"
    assert stream.feed("p it") == "recap it"
    assert stream.feed(" [Home](x), [NOTE] and <b>more</b> [x]") == " [Home](x), [NOTE] and <b>more</b> [x]"


@pytest.mark.parametrize(
    "text",
    ["", "42", '{"name": "Ada", "arguments": "for tea"}', '{"name": "rm", "arguments": {}}', '{"name": "calculator"}',
     '{"name": "calculator", "arguments": "{"}', '{"name": ["calculator"], "arguments": {}}', "{" * 5_000, CALL[:-2]],
)  # fmt: skip
def test_other_text_stays_an_answer(text: str) -> None:
    message = AIMessage(text)
    assert calls_in_text(message, NAMES) is message


@pytest.mark.parametrize(
    ("text", "alone"),
    [('```json\n{"name": "today", "arguments": {}}\n```', True), (' {"tool": "today", "args": {"zone": "UTC"}}', True),
     ('A call looks like {"name": "today", "arguments": {}}.', False), ('{"name": "Ada", "age": 7}', False),
     ("```python\nprint(1)\n```", False), ("", False)],
)  # fmt: skip
def test_a_text_that_is_nothing_but_a_call_is_known_whatever_the_tool(text: str, alone: bool) -> None:
    assert is_call_alone(text) is alone


def test_several_calls_have_their_own_ids_and_repeats_are_one() -> None:
    other = '{"name": "recall", "arguments": {"query": "tea"}}'
    calls = calls_in_text(AIMessage(f"{CALL}\n{other}\n{CALL}"), NAMES).tool_calls
    assert [c["name"] for c in calls] == ["calculator", "recall"]
    assert len({c["id"] for c in calls}) == 2


def test_real_calls_are_left_alone() -> None:
    real = AIMessage(CALL, tool_calls=[{"name": "recall", "args": {}, "id": "1"}])
    assert calls_in_text(real, NAMES) is real


def test_the_question_is_one_that_new_and_old_chat_interfaces_show_with_buttons() -> None:
    tool = calculator_tool()
    request = approval_request([(tool, {"expression": "1"}, ""), (tool, {"expression": "2"}, "")])
    assert [(one["name"], one["args"]) for one in request["action_requests"]] == [
        ("calculator", {"expression": "1"}),
        ("calculator", {"expression": "2"}),
    ]
    assert request["review_configs"] == [
        {"action_name": "calculator", "allowed_decisions": ["approve", "edit", "reject"]}
    ]
    assert request["action_request"] == {"action": "calculator", "args": {"expression": "1"}}
    assert set(request["config"]) == {"allow_accept", "allow_edit", "allow_respond", "allow_ignore"}
    assert json.loads(json.dumps(request)) == request


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([{"type": "accept", "args": None}], Decision(verb="approve")),
        ({"type": "approve", "remember": True}, Decision(verb="approve", remember=True)),
        ("yes", Decision(verb="approve")),
        (True, Decision(verb="approve")),
        ({"decisions": [{"type": "approve"}]}, Decision(verb="approve")),
        ([{"type": "edit", "args": {"action": "x", "args": {"a": 1}}}], Decision(verb="edit", arguments={"a": 1})),
        (
            {"type": "edit", "edited_action": {"name": "x", "args": {"a": 1}}},
            Decision(verb="edit", arguments={"a": 1}),
        ),
        ([{"type": "response", "args": "not now"}], Decision(verb="reject", message="not now")),
        ({"type": "reject", "message": "no"}, Decision(verb="reject", message="no")),
    ],
)
def test_the_answer_is_understood_in_every_known_form(value: Any, expected: Decision) -> None:
    assert parse_decisions(value, 1) == [expected]


@pytest.mark.parametrize("value", [None, 3, {}, "maybe", "edit", {"type": "edit", "args": "x"}, [], [[]], {"type": 1}])
def test_an_unclear_answer_rejects(value: Any) -> None:
    assert parse_decisions(value, 1)[0].verb == "reject"


def test_an_approval_is_never_spread_over_other_calls_but_a_rejection_is() -> None:
    assert [d.verb for d in parse_decisions("yes", 2)] == ["approve", "reject"]
    assert [d.verb for d in parse_decisions("no", 2)] == ["reject", "reject"]
    assert [d.verb for d in parse_decisions(["yes", "yes", "yes"], 2)] == ["approve", "approve"]
