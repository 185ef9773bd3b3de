"""What a model call is sent fits the model, alternates, and keeps what is needed most."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage, ToolMessage

from personaagent.conversation import Room, build_messages
from personaagent.errors import QueryTooLong
from personaagent.models.tokens import count_messages
from personaagent.persona.seed import seed_sections
from personaagent.turn import words_of
from personaagent.types import Fact, Interaction, Persona, Recall, UserProfile

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def recall(query: str) -> Recall:
    return Recall(interaction=Interaction(id="i", user_id="ann", query=query, created_at=NOW), score=1.0)


def profile(*texts: str) -> UserProfile:
    facts = tuple(Fact(id=t, user_id="ann", text=t, evidence=("i",), confidence=1.0, valid_from=NOW) for t in texts)
    return UserProfile(user_id="ann", facts=facts)


def persona() -> Persona:
    seeded = seed_sections(UserProfile(user_id="ann"))
    return Persona(user_id="ann", version=0, sections=seeded, origin="seed", created_at=NOW)


def built(messages: list[AnyMessage], room: Room, **state: Any) -> list[Any]:
    return build_messages(
        {"messages": messages, "persona": persona(), **state},
        instructions=None, choices=(), tools=(), personalize=True, room=room,
    )  # fmt: skip


TEXTS = st.one_of(st.text(max_size=80), st.sampled_from(["word " * 2_000, "中" * 3_000, "🙂" * 900, "x = {}\n" * 500]))
HISTORY = st.lists(
    st.one_of(
        st.builds(HumanMessage, TEXTS),
        st.builds(AIMessage, TEXTS),
        st.builds(SystemMessage, st.text(max_size=40)),
        st.builds(lambda text: ToolMessage(text, tool_call_id="1"), TEXTS),
        st.builds(
            lambda text: HumanMessage(
                [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": "x"}}]
            ),
            st.text(max_size=40),
        ),
    ),
    max_size=12,
)


@given(HISTORY, st.lists(TEXTS, max_size=6), st.sampled_from([1024, 2048, 4096, 8192, 131_072]))
@settings(max_examples=60, deadline=None)
def test_whatever_was_said_what_is_sent_fits_and_alternates(
    history: list[AnyMessage], memories: list[str], context: int
) -> None:
    room = Room(context=context, known=True)
    sent = built([*history, HumanMessage("What now?")], room, recalled=[recall(m) for m in memories],
                 profile=profile(*(m[:200] for m in memories if m.strip())))  # fmt: skip
    assert count_messages(sent) <= context * 0.95
    assert sent[0].type == "system"
    roles = [message.type for message in sent[1:]]
    assert roles == ["human" if at % 2 == 0 else "ai" for at in range(len(roles))]
    assert "What now?" in sent[-1].text


@pytest.mark.parametrize("entry", ["word " * 1_600, "中" * 1_500])
def test_long_memories_are_cut_to_their_share(entry: str) -> None:
    room = Room(context=4096, known=True)
    sent = built([HumanMessage("hello")], room, recalled=[recall(f"{n} {entry}") for n in range(6)])
    assert count_messages(sent) < 4096 - 1024
    assert all(f": {n} " in sent[-1].text for n in range(4))
    assert sent[-1].text.endswith("hello")


def test_a_turn_that_no_context_takes_is_refused_by_name() -> None:
    with pytest.raises(QueryTooLong, match=r"about 6\d{3} tokens, and the model takes 4096"):
        built([HumanMessage("some words " * 3_000)], Room(context=4096, known=True))
    assert built([HumanMessage("some words " * 3_000)], Room(context=4096))  # nobody said that it takes no more


def test_the_persona_goes_before_the_turn_does() -> None:
    alone = count_messages(built([HumanMessage("hello")], Room())[:1])
    room = Room(context=4096, known=True)
    sent = built([HumanMessage("word " * (2_662 - alone))], room)
    assert room.left_out == ["the persona"]
    assert "The user's persona" not in sent[0].text


def test_results_of_tools_are_cut_oldest_first() -> None:
    calls = [AIMessage("", tool_calls=[{"name": "page", "args": {}, "id": str(n)}]) for n in range(2)]
    results = [ToolMessage(f"{n} " + "word " * 900, tool_call_id=str(n)) for n in range(2)]
    exchange = [calls[0], results[0], calls[1], results[1]]
    sent = built([HumanMessage("hello"), *exchange], Room(context=4096, known=True))
    assert [message.type for message in sent[-4:]] == ["ai", "tool", "ai", "tool"]
    assert sent[-1].text == results[1].text
    assert len(sent[-3].text) < len(results[0].text)
    assert count_messages(sent) < 4096


def test_a_failed_turn_and_a_clients_system_message_leave_roles_that_alternate() -> None:
    history: list[AnyMessage] = [
        SystemMessage("Speak like a pirate."), HumanMessage("one"), HumanMessage("two"), AIMessage("2"),
        AIMessage("and more"), HumanMessage("three"),
    ]  # fmt: skip
    sent = built([*history, HumanMessage("four")], Room())
    assert [(m.type, m.text) for m in sent[1:]] == [
        ("human", "one\n\ntwo"), ("ai", "2\n\nand more"), ("human", "three\n\nfour")
    ]  # fmt: skip
    assert "Speak like a pirate." in sent[0].text


def test_a_picture_is_passed_on_and_noted_later() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    asked = HumanMessage([{"type": "text", "text": "What is this?"}, picture])
    sent = built([asked], Room(), recalled=[recall("I keep cats")])
    assert sent[-1].content[-1] == picture
    assert "I keep cats" in sent[-1].text
    later = built([asked, AIMessage("A cat."), HumanMessage("Which breed?")], Room())
    assert [m.text for m in later[1:]] == ["What is this? [image]", "A cat.", "Which breed?"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([{"type": "text", "text": "What?"}, {"type": "input_audio", "input_audio": {}}], "What? [audio]"),
        ([{"type": "text", "text": "one"}, {"type": "text", "text": "two"}], "one\ntwo"),
        (["one", "two", {"type": "text", "text": None}, {"type": "thinking", "thinking": "hm"}], "one\ntwo"),
        ([{"type": "document"}, {"foo": 1}], "[document]"),
    ],
)
def test_the_parts_of_a_message_stay_apart_and_what_is_no_text_is_named(content: list[Any], words: str) -> None:
    assert words_of(HumanMessage(content)) == words


def test_an_answer_behind_an_edited_question_and_half_a_surrogate_pair_are_not_sent() -> None:
    broken = HumanMessage("half \ud83d of it")
    sent = built([broken, AIMessage("What?"), HumanMessage("edited"), AIMessage("the answer before the edit")], Room())
    assert [(m.type, m.text) for m in sent[1:]] == [("human", "half ? of it"), ("ai", "What?"), ("human", "edited")]
