"""Which addresses a call may reach by itself: those that the user wrote in this turn, or that a search gave."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from personaagent.tools.addresses import addresses_in, known_addresses, same, unknown_addresses

ASKED = "Read https://site.example/a?b=1 and (docs.example/guide), then [this](http://third.example/x_(y))."


def known(*messages: Any) -> frozenset[str]:
    return known_addresses(messages, {"web_search"})


@pytest.mark.parametrize(
    "url",
    [
        "https://site.example/a?b=1",
        "http://SITE.example/a?b=1#part",
        "https://docs.example/guide",
        "https://docs.example/guide/",
        "http://third.example/x_(y)",
    ],
)
def test_what_the_user_wrote_in_this_turn_is_known(url: str) -> None:
    assert unknown_addresses({"url": url}, known(HumanMessage(ASKED))) == []


@pytest.mark.parametrize(
    "url",
    [
        "https://site.example/a?b=1&d=lithium",
        "https://site.example/a?b=2",
        "https://site.example/a/lithium?b=1",
        "https://lithium.site.example/a?b=1",
        "https://site.example:8080/a?b=1",
        "https://ann@site.example/a?b=1",
        "https://docs.example/guide?",
        "https://other.example/",
        "http:\n//other.example/?d=lithium",
        "ht\ttp://other.example/?d=lithium",
        "other.example/collect?d=lithium",
        "www.other.example",
        "10.0.0.1/x",
    ],
)
def test_what_differs_by_anything_that_could_carry_data_is_not(url: str) -> None:
    wanted = [] if url.endswith("guide?") else [url]
    assert unknown_addresses({"url": url}, known(HumanMessage(ASKED))) == wanted


def test_an_address_of_an_earlier_turn_a_memory_or_another_tool_is_not_known() -> None:
    evil = "http://evil.example/collect"
    turns = [HumanMessage(f"see {evil}"), AIMessage(evil), ToolMessage(evil, tool_call_id="1", name="recall")]
    assert unknown_addresses({"url": evil}, known(*turns, HumanMessage("go on"))) == [evil]
    assert known() == frozenset()


def test_what_a_search_gave_in_this_thread_is_known() -> None:
    gave = ToolMessage("- Tea (https://tea.example/one?x=1)\n  all of it", tool_call_id="1", name="web_search")
    turns = [HumanMessage("tea?"), gave, AIMessage("one page"), HumanMessage("open it")]
    assert unknown_addresses({"url": "https://tea.example/one?x=1"}, known(*turns)) == []
    assert unknown_addresses({"url": "https://tea.example/one?x=2"}, known(*turns))


def test_an_address_in_a_script_without_spaces_is_found() -> None:
    assert (
        unknown_addresses({"url": "https://site.example/a"}, known(HumanMessage("请读https://site.example/a。谢谢")))
        == []
    )


def test_addresses_are_found_at_any_depth_and_files_and_numbers_are_none() -> None:
    assert addresses_in({"a": [{"b": "x"}, {"c": ["https://evil.example"]}]}) == ["https://evil.example"]
    for harmless in ("notes.md", "docs/notes.md", "1.5", "v1.2/notes.md", "Europe/Berlin", "ann@example.com", "10:30"):
        assert addresses_in({"path": harmless}) == [], harmless


@given(st.text(), st.text(max_size=30))
def test_whatever_is_written_is_read_and_what_is_appended_is_told_apart(text: str, more: str) -> None:
    known(HumanMessage(text))
    if same(f"https://site.example/a{more}") != same("https://site.example/a"):
        assert unknown_addresses(
            {"url": f"https://site.example/a{more}"}, known(HumanMessage("https://site.example/a"))
        )


def test_a_long_text_is_read_in_linear_time() -> None:
    for piece in ("a", ".", "a.", "(", "http://", "[.", "://"):
        assert isinstance(known(HumanMessage(piece * 200_000)), frozenset)
