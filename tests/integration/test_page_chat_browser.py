"""The chat in a real browser: streaming, stopping, why, feedback, undo, temporary, keyboard, phone, two users."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk
from test_page_browser import FLAWS

import page_house
from browser_house import PHONE, chromium, needs_chromium, signed_in
from page_house import services_in, serving
from personaagent.memory.statements import Statements
from personaagent.types import Clause, FactOperation, Interaction, Section
from scripted import ScriptedModel, ScriptedModels

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = needs_chromium
ANSWER = """Two that fit, **Ann**:

1. *Solaris*
2. `Stalker`

| film | year |
|---|---|
| Mirror | 1975 |

# Heading
<script>document.title = "owned"</script> <img src=x onerror=alert(1)> ![a](https://evil.example/?q=you)
[bad](javascript:alert(1)) [good](https://example.org/)"""


class SlowModel(ScriptedModel):
    """Writes what it says slowly as a model does."""

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        async for chunk in super()._astream(*args, **kwargs):
            await asyncio.sleep(0.02 if chunk.text.strip() == "word" else 0)
            yield chunk


def scripted() -> ScriptedModels:
    chosen: set[str] = set()

    def said(messages: list[BaseMessage], tools: list[Any]) -> AIMessage | str:
        asked = messages[-1].text
        if messages[-1].type == "tool":
            return "I have it."
        if asked.endswith("Remember that I play the cello"):
            call = {"name": "remember", "args": {"text": "I play the cello"}, "id": "1", "type": "tool_call"}
            return AIMessage("", tool_calls=[call])
        if "Which film" in asked:
            return ANSWER
        if "slowly" in asked:
            return "word " * 2_000
        words, humans = asked.splitlines()[-1], sum(m.type == "human" for m in messages)
        another = ", another" if words in chosen else ""
        chosen.update({words} & {"Tea or coffee?"})
        return f"You said: {words} ({humans}{another})"

    models = ScriptedModels()
    models._models["agent"] = SlowModel(said, role="agent", calls=models.calls)
    return models


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as made:
        yield made


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("chat")


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    async def prepare() -> None:
        services = services_in(home)
        told = Statements(services.episodic, services.facts, services.forgetter)
        await told.remember("ann", "The user is vegetarian and likes their coffee black")
        await services.close()

    with ThreadPoolExecutor() as threads:  # Playwright has a loop running in this one
        threads.submit(asyncio.run, prepare()).result()
    before = page_house.scripted
    page_house.scripted = scripted
    try:
        with serving(home, requests_per_minute=0, turns_per_minute=0) as url:
            yield url
    finally:
        page_house.scripted = before


@contextmanager
def chatting(browser: Browser, address: str, user: str, **options: Any) -> Iterator[Page]:
    """The chat of a user who has just signed in, by the address that they would type."""
    with signed_in(browser, f"{address}/", user, timeout_ms=20_000, **options) as page:
        yield page


def ask(page: Page, text: str) -> None:
    before = page.locator(".theirs").count()
    page.get_by_label("Your message").fill(text)
    page.keyboard.press("Enter")
    page.locator(".theirs").nth(before).locator(".prose").wait_for()


def last(page: Page) -> str:
    return page.locator(".theirs .prose").last.inner_text()


def test_an_answer_is_markdown_and_nothing_in_it_is_markup_or_reaches_out(browser: Browser, address: str) -> None:
    with chatting(browser, address, "ann") as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        ask(page, "Which film tonight?")
        prose = page.locator(".theirs .prose").last
        assert prose.locator("strong").inner_text() == "Ann"
        assert prose.locator("ol li").all_inner_texts() == ["Solaris", "Stalker"]
        assert prose.locator("td").all_inner_texts() == ["Mirror", "1975"]
        assert prose.locator("h3").inner_text() == "Heading"
        assert prose.locator("img, script").count() == 0
        assert prose.locator("a").last.get_attribute("rel") == "noopener noreferrer nofollow"
        assert not any(href.startswith("javascript") for href in page.evaluate("[...document.links].map(a => a.href)"))
        assert page.title() == "Chat · PersonaAgent"
        assert all(url.startswith(address) for url in asked)


def test_why_speaks_to_the_owner_and_feedback_is_understood_in_place(browser: Browser, address: str) -> None:
    with chatting(browser, address, "ann") as page:
        ask(page, "What shall I cook?")
        page.get_by_text("Why this answer").last.click()
        why = page.locator(".why").last
        assert why.get_by_text("You are vegetarian and like your coffee black").is_visible()
        assert not why.get_by_text("Where taste decides").is_visible()  # starting rules are folded
        why.get_by_text(re.compile(r"\d starting rules")).click()
        assert why.get_by_text("Where taste decides").is_visible()

        ask(page, "What shall I cook tomorrow?")
        page.get_by_text("Why this answer").last.click()
        assert page.locator(".why").last.get_by_role("link", name="What shall I cook?").is_visible()
        answer = page.locator(".theirs").last
        answer.get_by_role("button", name="This answer was right").click()
        answer.get_by_text("Right as it was.").wait_for()
        answer.get_by_text("Correct", exact=True).click()
        answer.get_by_label("What it should have said").fill("Lentils")
        answer.get_by_role("button", name="Correct it").click()
        answer.get_by_text("It should have been: Lentils").wait_for()
        answer.get_by_text("Edit", exact=True).click()
        answer.get_by_label("The answer as you would have it").fill("Lentils, again")
        answer.get_by_role("button", name="Keep my version").click()
        answer.get_by_text(re.compile("You cut the answer from")).wait_for()
        answer.get_by_text("Comment", exact=True).click()
        answer.get_by_label("In your words").fill("too long")
        answer.get_by_role("button", name="Say it").click()
        answer.get_by_text("Noted for later answers: too long.").wait_for()
        page.reload()  # the conversation is in the address and in the ledger
        assert page.locator(".mine p").all_inner_texts() == ["What shall I cook?", "What shall I cook tomorrow?"]
        page.get_by_role("link", name="New chat").click()
        page.get_by_role("link", name="What shall I cook?").click()
        assert page.locator(".mine p").count() == 2


def test_a_wish_is_noted_at_once_and_undone(browser: Browser, address: str) -> None:
    with chatting(browser, address, "wisher") as page:
        ask(page, "From now on answer in French. Who are you?")
        page.get_by_text("Noted: answer in French").wait_for()
        page.get_by_role("button", name="Undo: answer in French").click()
        page.get_by_text("It is taken back.").wait_for()
        page.get_by_role("link", name="Persona", exact=True).click()
        assert page.locator(".pins").count() == 0


def test_what_is_learnt_a_while_later_is_noted_then_and_undone(browser: Browser, address: str, home: Path) -> None:
    async def read() -> None:
        services = services_in(home)
        (said,) = await services.episodic.newest("reader", 1)
        add = FactOperation(kind="add", text="The user eats no nuts.", evidence=(said.id,))
        await services.semantic.apply("reader", [add], through=said.created_at)
        old = await services.seeds.persona("reader")
        new = {**old.sections, Section.WHO: (Clause(text="The user cooks for two.", evidence=(said.id,)),)}
        await services.personas.append("reader", new, "aligned", expected_parent=0, proposer="gradient")
        await services.close()

    with chatting(browser, address, "reader") as page:
        ask(page, "I eat no nuts. What shall I cook?")
        with ThreadPoolExecutor() as threads:
            threads.submit(asyncio.run, read()).result()
        page.get_by_text("Noted: You eat no nuts.").wait_for()
        assert page.get_by_text("Your agent has learnt: You cook for two.").is_visible()
        page.get_by_role("button", name="Undo: You eat no nuts.").click()
        page.get_by_text("It is forgotten.").wait_for()
        page.get_by_role("link", name="Facts", exact=True).click()
        assert page.locator(".facts-list").count() == 0


def test_of_two_answers_the_better_one_is_picked(browser: Browser, address: str, home: Path) -> None:
    with chatting(browser, address, "chooser") as page:
        ask(page, "Tea or coffee?")
        page.get_by_role("button", name="Another answer").click()
        page.locator(".theirs .prose").nth(1).wait_for()
        assert last(page) == "You said: Tea or coffee? (1, another)"
        assert page.locator(".mine").count() == 1
        page.get_by_role("button", name="The first").click()
        page.get_by_text("Of the two you prefer: You said: Tea or coffee? (1)").wait_for()
        assert page.get_by_role("button", name="Another answer").count() == 1
        ask(page, "And now?")
        assert last(page) == "You said: And now? (2)"
        page.reload()
        assert page.locator(".theirs .prose").first.inner_text() == "You said: Tea or coffee? (1)"

    async def read() -> list[Interaction]:
        services = services_in(home)
        found = await services.episodic.newest("chooser", 9)
        await services.close()
        return found

    with ThreadPoolExecutor() as threads:
        kept = threads.submit(asyncio.run, read()).result()[0]
    assert (kept.truth_source, kept.ground_truth) == ("pick", "You said: Tea or coffee? (1)")
    assert kept.rejected == kept.response == "You said: Tea or coffee? (1, another)"


def test_the_last_message_is_edited_and_its_answer_made_anew(browser: Browser, address: str) -> None:
    with chatting(browser, address, "editor") as page:
        ask(page, "Tell me of Lisbon")
        ask(page, "And of trams")
        edit = page.get_by_role("button", name="Edit what you wrote")
        assert edit.count() == 1  # the last one alone
        edit.click()
        changed = page.get_by_label("What you wrote, changed")
        assert changed.input_value() == "And of trams"
        page.keyboard.press("Escape")
        assert changed.count() == 0 and page.evaluate("document.activeElement.textContent") == "Edit"
        page.keyboard.press("Enter")
        changed.fill("And of ships")
        page.keyboard.press("Enter")
        page.locator(".prose", has_text="You said: And of ships (2)").wait_for()
        assert page.locator(".mine p").all_inner_texts() == ["Tell me of Lisbon", "And of ships"]
        page.get_by_role("button", name="Edit what you wrote").click()
        changed.fill("Speak slowly")
        page.get_by_role("button", name="Send").first.click()
        page.locator(".live", has_text="word").wait_for()
        page.keyboard.press("Escape")
        page.get_by_text("Stopped. This answer is not kept.").wait_for()
        assert changed.input_value() == "Speak slowly"  # the words are not lost, and the old turn stands
        page.get_by_role("button", name="Cancel").click()
        page.reload()
        assert page.locator(".mine p").all_inner_texts() == ["Tell me of Lisbon", "And of ships"]
        assert last(page) == "You said: And of ships (2)"
        page.get_by_role("button", name="Edit what you wrote").click()
        changed.fill("And of bridges")
        page.keyboard.press("Enter")
        page.locator(".prose", has_text="You said: And of bridges (2)").wait_for()
        page.get_by_role("link", name="Memories", exact=True).click()
        assert page.locator(".memories h2").all_inner_texts() == ["And of bridges", "Tell me of Lisbon"]


def test_a_message_of_a_temporary_chat_is_edited_too(browser: Browser, address: str) -> None:
    with chatting(browser, address, "hushed") as page:
        page.get_by_label("Temporary chat").check()
        ask(page, "Between us")
        ask(page, "And again")
        page.get_by_role("button", name="Edit what you wrote").click()
        page.get_by_label("What you wrote, changed").fill("And once more")
        page.keyboard.press("Enter")
        page.locator(".prose", has_text="You said: And once more (2)").wait_for()
        ask(page, "Third")
        assert last(page) == "You said: Third (3)"


def test_a_tool_asks_first_and_goes_on_by_the_answer(browser: Browser, address: str) -> None:
    with chatting(browser, address, "cellist") as page:
        page.get_by_label("Your message").fill("Remember that I play the cello")
        page.keyboard.press("Enter")
        page.get_by_text("text: I play the cello").wait_for()
        page.get_by_role("button", name="Allow once").click()
        page.locator(".prose", has_text="I have it.").wait_for()
        page.get_by_role("link", name="Facts", exact=True).click()
        assert page.locator(".facts-list .text").all_inner_texts() == ["I play the cello"]


def test_stopping_keeps_nothing_and_the_next_message_goes_on(browser: Browser, address: str) -> None:
    with chatting(browser, address, "stopper") as page:
        for stop in ("button", "Escape"):
            page.get_by_label("Your message").fill("Speak slowly")
            page.keyboard.press("Enter")
            page.locator(".live", has_text="word").last.wait_for()
            if stop == "button":
                page.get_by_role("button", name="Stop").click()
            else:
                page.keyboard.press(stop)
            page.get_by_text("Stopped. This answer is not kept.").last.wait_for()
            assert page.evaluate("document.activeElement.id") == "text"
        ask(page, "Hello")
        assert last(page) == "You said: Hello (1)"
        page.get_by_role("link", name="Memories", exact=True).click()
        assert page.locator(".memories h2").all_inner_texts() == ["Hello"]


def test_a_temporary_chat_knows_its_own_words_and_keeps_none(browser: Browser, address: str) -> None:
    with chatting(browser, address, "secretive") as page:
        page.get_by_label("Temporary chat").check()
        assert page.get_by_text("nothing of it is kept").is_visible()
        ask(page, "Between us")
        ask(page, "And again")
        assert last(page) == "You said: And again (2)"
        assert page.locator(".feedback, .why").count() == 0
        assert page.get_by_label("Temporary chat").is_disabled()
        assert "thread" not in page.url
        page.get_by_role("link", name="Memories", exact=True).click()
        assert page.get_by_text("0 in all").is_visible()


def test_a_session_that_is_over_says_so_and_loses_no_words(browser: Browser, address: str) -> None:
    with chatting(browser, address, "sleeper") as page:
        page.context.clear_cookies()
        page.get_by_label("Your message").fill("A long thought")
        page.keyboard.press("Enter")
        page.locator(".failed").wait_for()
        assert page.get_by_role("link", name="Sign in").is_visible()
        assert page.get_by_label("Your message").input_value() == "A long thought"


def test_two_users_at_once_read_their_own_only(browser: Browser, address: str) -> None:
    with chatting(browser, address, "one") as one, chatting(browser, address, "two") as two:
        for page, text in ((one, "mine alone"), (two, "yours alone")):
            page.get_by_label("Your message").fill(text)
            page.keyboard.press("Enter")
        for page, text in ((one, "mine alone"), (two, "yours alone")):
            page.locator(".theirs .prose").wait_for()
            assert last(page) == f"You said: {text} (1)"
        thread = one.url.partition("thread=")[2]
        two.goto(f"{address}/me?thread={thread}")
        assert two.locator(".mine").count() == 0 and "mine alone" not in two.content()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_of_it_with_names_and_contrast(browser: Browser, address: str, scheme: Any) -> None:
    with chatting(browser, address, "ann", size=PHONE, color_scheme=scheme, reduced_motion="reduce") as page:
        ask(page, "From now on answer in German. Which film tonight?")
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
        assert page.evaluate(FLAWS) == []


def test_the_keyboard_alone_reaches_everything(browser: Browser, address: str) -> None:
    with chatting(browser, address, "typist") as page:
        assert page.evaluate("document.activeElement.id") == "text"
        page.keyboard.type("One line")
        page.keyboard.press("Shift+Enter")
        page.keyboard.type("and another")
        page.keyboard.press("Enter")
        page.locator(".theirs .prose").wait_for()
        assert page.locator(".mine p").inner_text() == "One line\nand another"
        page.locator(".theirs .why summary").first.focus()
        seen = []
        for _ in range(8):
            page.keyboard.press("Tab")
            seen.append(
                page.evaluate(
                    "document.activeElement.getAttribute('aria-label') || "
                    "document.activeElement.textContent.trim() || document.activeElement.id"
                )
            )
        assert seen[:5] == ["This answer was right", "This answer was not right", "Correct", "Edit", "Comment"]
        assert "text" in seen[5:]
