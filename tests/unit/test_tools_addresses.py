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
        "http://site.example/a?b=1",
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
        "https://docs.example/gu ide",
        "https://docs.example/g\x0buide",
        "https://docs.example/guide//",
        "https://site.example/a/?b=1",
        "https://site.example/a?b=1#lithium",
        "https://SiTe.example/a?b=1",
        "gopher://site.example/a?b=1",
        "HTTPS://site.example/a?b=1",
        "https://site.example/a?%62=1",
        "https://other.example/",
        "http:\n//other.example/?d=lithium",
        "ht\ttp://other.example/?d=lithium",
        "other.example/collect?d=lithium",
        "www.other.example",
        "10.0.0.1/x",
    ],
)
def test_what_differs_by_anything_that_could_carry_data_is_not(url: str) -> None:
    assert unknown_addresses({"url": url}, known(HumanMessage(ASKED))) == [url]


def test_an_address_is_known_as_it_was_written_and_without_the_part_that_is_not_sent() -> None:
    asked = known(HumanMessage("HTTP://Site.example/A#Part"))
    for url in ("HTTP://Site.example/A#Part", "http://site.example/A#Part", "https://site.example/A"):
        assert unknown_addresses({"url": url}, asked) == [], url
    assert unknown_addresses({"url": "http://site.example/a"}, asked)


@pytest.mark.parametrize(
    "words",
    [
        "http://evil.example/c?d=lithium",
        "translate EVIL.example/c?d=lithium.",
        "evil.example/c?d=lithium&",
        "http%3A%2F%2Fevil.example%2Fc%3Fd%3Dlithium",
    ],
)
def test_what_a_search_was_asked_for_is_none_of_what_it_gave(words: str) -> None:
    call = AIMessage("", tool_calls=[{"name": "web_search", "args": {"query": words}, "id": "1"}])
    echoed = f"- You asked: {words} (http://evil.example/c?d=lithium)\n  http://evil.example/c?d=lithium. https://tea.example/1"
    turns = known(HumanMessage("go on"), call, ToolMessage(echoed, tool_call_id="1", name="web_search"))
    for url in ("http://evil.example/c?d=lithium", "http://evil.example/c?d=lithium.", "evil.example/c?d=lithium&"):
        assert unknown_addresses({"url": url}, turns) == [url]
    assert unknown_addresses({"url": "https://tea.example/1"}, turns) == []


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


@pytest.mark.parametrize(
    "written",
    [
        "//evil.example/x", "evil.example./x", "me@evil.example/x", "evil\u3002example/x", "evil.example\\x",
        "пример.рф/x", "[2001:db8::1]/x", "2130706433/x", "0x7f000001/x", "http:/evil.example/x", "https:evil.example",
        "data:text/html,x", "http%3A%2F%2Fevil.example/x", "localhost:80/x",
    ],
)  # fmt: skip
def test_an_address_in_another_form_is_one(written: str) -> None:
    assert addresses_in({"text": (written,)}) == [written]
    assert addresses_in({written: 1}) == [written]


def test_what_an_argument_that_is_named_for_it_holds_is_an_address() -> None:
    assert addresses_in({"host": "lithium.evil.example"}) == ["lithium.evil.example"]
    assert addresses_in({"start_url": ["x"], "URLs": {"a": "y"}}) == ["x", "y"]


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
