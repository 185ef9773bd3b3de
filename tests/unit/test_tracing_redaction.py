"""What a trace may tell, by the deployment's choice."""

from __future__ import annotations

import json

import pytest
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage

from personaagent.ownership import alignment_thread
from personaagent.tracing.redaction import Content, Redaction, mask_text

USER = "zora@example.org"


@pytest.mark.parametrize("content", ["masked", "full", "none"])
def test_the_user_id_never_leaves_in_clear(content: Content) -> None:
    redaction = Redaction(content, [USER])
    told = [
        redaction.value({"user_id": USER, "messages": [HumanMessage(f"I am {USER.upper()}")], "id": USER}),
        redaction.metadata({"langgraph_auth_user_id": USER, "thread_id": f"chat-{USER}", "who": USER}),
        redaction.text(f"for {USER}", "id"),
        redaction.error(f"UnknownInteraction: {USER}"),
    ]
    assert USER not in json.dumps(told).casefold()


@pytest.mark.parametrize(
    "secret",
    ["zora@quill.org", "+49 151 2345678", "(555) 123-4567", "sk-abcdefgh1234567890abcdefgh", "192.168.7.12"],
)
def test_patterns_of_personal_data_are_masked_and_the_rest_stays(secret: str) -> None:
    masked = mask_text(f"Which film? {secret} please")
    assert secret not in masked
    assert masked.startswith("Which film? ")


def test_a_name_that_introduces_itself_is_masked() -> None:
    assert "Quillfeather" not in mask_text("My name is Zora Quillfeather, which film?")


def test_masked_tells_the_turn_and_not_what_is_remembered() -> None:
    state = {
        "messages": [
            SystemMessage("secret persona"),
            HumanMessage("Which film?"),
            ToolMessage("kept", tool_call_id="t"),
        ],
        "persona": {"version": 3, "text": "likes Tarkovsky"},
    }
    told = json.dumps(Redaction("masked").value(state))
    assert "Which film?" in told
    assert '"version": 3' in told
    assert not [text for text in ("secret persona", "Tarkovsky", "kept") if text in told]


def test_quoted_memories_in_a_message_are_digested() -> None:
    text = '<data label="memories">\n- likes Solaris\n</data>\n\nWhich film?'
    told = Redaction("masked").text(text)
    assert "Solaris" not in told
    assert told.endswith("Which film?")


@pytest.mark.parametrize(("content", "closed"), [("none", False), ("masked", True)])
def test_a_closed_trace_tells_no_text(content: Content, closed: bool) -> None:
    told = json.dumps(Redaction(content, closed=closed).value({"answer": "Solaris it is", "steps": 2}))
    assert "Solaris" not in told
    assert '"steps": 2' in told


def test_full_tells_texts() -> None:
    assert Redaction("full").value({"answer": "Solaris"}) == {"answer": "Solaris"}


def test_the_thread_of_background_work_is_hashed_because_it_is_made_of_the_user_id() -> None:
    lane = alignment_thread(USER, "salt")
    assert Redaction("full", [USER]).metadata({"thread_id": lane})["thread_id"].startswith("thread:")
