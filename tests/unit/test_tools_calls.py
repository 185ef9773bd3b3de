"""Tool calls written as text, and the question and answer of a human approval."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage

from personaagent.models.calls_in_text import is_call_alone
from personaagent.tools.approval import Decision, approval_request, parse_decisions
from personaagent.tools.calculator import calculator_tool
from personaagent.tools.calls import calls_in_text

NAMES = ("calculator", "recall")
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


def test_the_question_is_a_human_interrupt_in_json() -> None:
    request = approval_request(calculator_tool(), {"expression": "1"})
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
