"""The page in a real browser, from signing in to forgetting, as a user goes through it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import browser_house
from browser_house import PHONE, chromium, needs_chromium
from page_house import ANN, BOB, CANARY, LEARNT, fill, poison, services_in, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = needs_chromium
VIEWS = ["/me", "/me/persona", "/me/persona/edit", "/me/history", "/me/history/1", "/me/memories", "/me/facts",
         "/me/try", "/me/data", "/me/forget", "/me/forget?task=news+category", "/me/nowhere"]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as made:
        yield made


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("page")

    async def prepare() -> None:
        await fill(home)
        services = services_in(home)
        await poison(services, BOB)
        await services.personas.pin(BOB, CANARY)
        await services.close()

    with ThreadPoolExecutor() as threads:  # Playwright has a loop running in this one
        threads.submit(asyncio.run, prepare()).result()
    with serving(home, requests_per_minute=0) as url:
        yield url


@contextmanager
def signed_in(browser: Browser, address: str, user: str, **options: Any) -> Iterator[Page]:
    """The persona's view of the user; at the end nothing may stand in its console but refusals."""
    with browser_house.signed_in(browser, f"{address}/me", user, timeout_ms=8_000, **options) as page:
        page.goto(f"{address}/me/persona")
        page.get_by_role("heading", level=1, name="Your persona").wait_for()
        yield page


def test_a_user_reads_edits_pins_and_rolls_back(browser: Browser, address: str) -> None:
    with signed_in(browser, address, ANN) as page:
        assert page.get_by_text(LEARNT).first.is_visible()
        page.get_by_text("2 memories").first.click()
        page.locator(".evidence a").first.click()
        page.get_by_role("heading", name="What you really wanted").wait_for()
        assert page.locator(".side").get_by_text(LEARNT).is_visible()

        page.get_by_role("link", name="Persona", exact=True).click()
        page.get_by_label("New instruction").fill("Always answer in French")
        page.get_by_role("button", name="Pin it").click()
        assert page.get_by_role("status").inner_text() == "The instruction is pinned."
        page.get_by_role("button", name="Unpin: Always answer in French").click()
        assert page.get_by_role("status").inner_text() == "The instruction is gone."

        page.get_by_role("link", name="Edit the persona").click()
        page.get_by_label("Who you are").fill(LEARNT.replace("politics", "world news"))
        page.get_by_role("button", name="Put it in force").click()
        assert page.locator(".clauses").get_by_text("appears under world news").first.is_visible()

        page.get_by_role("link", name="History", exact=True).click()
        newest = page.get_by_role("article", name="Version 2")
        assert newest.locator("del").inner_text().replace("\n", " ").strip().startswith("[removed: politics")
        assert newest.locator("ins").inner_text().replace("\n", " ").strip().startswith("[added: world news")
        assert "written by you" in newest.inner_text()
        learnt = page.get_by_role("article", name="Version 1")
        assert "Loss before" in learnt.inner_text()
        page.get_by_text(re.compile("attempts?, nothing better found")).first.click()
        assert page.locator(".refused .reason").first.is_visible()
        learnt.get_by_role("button", name="Go back to this version").click()
        assert page.get_by_role("status").inner_text() == "The older version is back in force."
        page.get_by_role("link", name="Persona", exact=True).click()
        assert page.get_by_text(LEARNT).first.is_visible()


def test_a_user_compares_two_versions_and_nothing_of_it_is_kept(browser: Browser, address: str) -> None:
    with signed_in(browser, address, ANN) as page:
        page.get_by_role("link", name="Memories", exact=True).click()
        before = page.locator(".heading .meta").inner_text()
        page.get_by_role("link", name="Compare", exact=True).click()
        page.get_by_label("Your question").fill("Senate votes on the budget")
        page.get_by_label("One version").select_option("0")
        page.get_by_label("The other").select_option("1")
        page.get_by_role("button", name="Ask both").click()
        answers = [answer.inner_text() for answer in page.locator(".answers blockquote").all()]
        assert answers == ["An answer.", "An answer on politics."]
        page.get_by_label("Asked as").select_option("news category")  # where the user's memories vote for both
        page.get_by_role("button", name="Ask both").click()
        answers = [answer.inner_text() for answer in page.locator(".answers blockquote").all()]
        assert answers == ["politics", "politics"]
        page.get_by_role("link", name="Memories", exact=True).click()
        assert page.locator(".heading .meta").inner_text() == before


def test_a_user_searches_exports_tells_corrects_and_forgets(browser: Browser, address: str, tmp_path: Path) -> None:
    with signed_in(browser, address, ANN) as page:
        page.goto(f"{address}/me/memories")
        first = page.locator(".memories h2").first.inner_text()
        page.get_by_label("What to look for").fill(first)
        page.get_by_role("button", name="Search").click()
        assert page.locator(".memories h2").first.inner_text() == first
        page.goto(f"{address}/me/memories")
        page.get_by_role("link", name="Older").click()
        assert page.locator(".pages").inner_text().replace("\n", " ").split() == ["Newer", "Page", "2"]

        page.get_by_role("link", name="Facts", exact=True).click()
        page.get_by_label("One sentence about you").fill("I live in Oslo")
        page.get_by_role("button", name="Remember it").click()
        page.get_by_role("link", name="Correct: I live in Oslo").click()
        page.get_by_label("How it really is").fill("I live in Bergen")
        page.get_by_role("button", name="Correct it").click()
        page.get_by_text("that no longer holds").click()
        assert page.get_by_text("replaced by “I live in Bergen”").is_visible()
        page.get_by_role("button", name="Forget for good: I live in Bergen").click()
        assert page.get_by_text("I live in Bergen").count() == 0

        page.get_by_role("link", name="Your data").click()
        with page.expect_download() as download:
            page.get_by_role("link", name="Export everything").click()
        file = tmp_path / "export.json"
        download.value.save_as(file)
        exported = json.loads(file.read_text(encoding="utf-8"))
        assert exported["user_id"] == ANN and len(exported["interactions"]) == 41

        page.get_by_role("button", name="Switch it off").click()
        page.get_by_role("link", name="Persona", exact=True).click()
        assert page.get_by_text("Personalization is off").is_visible()
        page.goto(f"{address}/me/data")
        page.get_by_role("button", name="Switch it on").click()

        page.get_by_role("link", name="Choose what to forget").click()
        page.get_by_label("Task").fill("news category")
        page.get_by_role("button", name="Show what would go").click()
        assert page.get_by_text("40 memories").is_visible()
        page.get_by_role("button", name="Forget it").click()
        assert page.get_by_role("alert").inner_text().startswith("Nothing was forgotten")
        page.get_by_label("I am sure").check()
        page.get_by_role("button", name="Forget it").click()
        page.get_by_role("heading", name="It is forgotten").wait_for()
        assert "Memories\n40" in page.locator("dl").inner_text()
        page.goto(f"{address}/me/memories")
        assert page.locator(".memories h2").all_inner_texts() == ["I live in Oslo"]


def test_two_users_at_once_never_see_each_other_and_markup_stays_text(browser: Browser, address: str) -> None:
    with signed_in(browser, address, "somebody new") as one, signed_in(browser, address, BOB) as other:
        other.goto(f"{address}/me/memories/poisoned")
        assert other.title() == "A memory · PersonaAgent"
        assert CANARY in other.locator("blockquote").first.inner_text()
        assert one.goto(f"{address}/me/memories/poisoned").status == 404  # type: ignore[union-attr]
        other.goto(f"{address}/me/persona")
        assert CANARY in other.locator(".pins").inner_text()
        one.goto(f"{address}/me/persona")
        assert one.get_by_text("There is none yet").is_visible()
        assert CANARY not in one.content() and other.locator("main img").count() == 0


def test_the_keyboard_alone_goes_all_the_way(browser: Browser, address: str) -> None:
    with signed_in(browser, address, BOB) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        assert page.evaluate("document.activeElement.getBoundingClientRect().top >= 0")
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        seen = []
        for _ in range(60):
            page.keyboard.press("Tab")
            focused = page.evaluate(FOCUSED)
            if focused is None:
                break
            assert focused["outline"], focused
            seen.append(focused["name"])
            if focused["name"] == "Pin it":
                break
            if focused["name"] == "New instruction":
                page.keyboard.type("By keyboard")
        assert "Edit the persona" in seen and seen[-1] == "Pin it"
        page.keyboard.press("Enter")
        assert page.get_by_role("status").inner_text() == "The instruction is pinned."


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_view_has_names_landmarks_and_contrast_and_fits_a_phone(
    browser: Browser, address: str, scheme: str
) -> None:
    options: dict[str, Any] = {"size": PHONE, "color_scheme": scheme, "reduced_motion": "reduce"}
    with signed_in(browser, address, BOB, **options) as page:
        page.goto(f"{address}/me/history/0")
        page.goto(f"{address}/me/memories")
        own = [page.locator(".memories h2 a").first.get_attribute("href") or ""]
        for path in [*VIEWS, *own]:
            page.goto(address + path)
            page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
            assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0], path
            found = page.evaluate(FLAWS)
            assert found == [], f"{path} in {scheme}: {found}"


FOCUSED = """() => {
  const one = document.activeElement;
  if (!one || one === document.body) return null;
  const style = getComputedStyle(one);
  return {name: one.getAttribute('aria-label') || one.labels?.[0]?.textContent || one.textContent.trim(),
          outline: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2};
}"""

FLAWS = """() => {
  const flaws = [];
  const say = (what, one) => flaws.push(what + ': ' + (one ? one.outerHTML.slice(0, 120) : ''));
  if (document.documentElement.lang !== 'en') say('no language');
  if (document.querySelectorAll('h1').length !== 1) say('not one h1');
  if (!document.title) say('no title');
  for (const landmark of ['header', 'main', 'footer']) if (!document.querySelector(landmark)) say('no ' + landmark);
  const ids = [...document.querySelectorAll('[id]')].map(one => one.id);
  if (new Set(ids).size !== ids.length) say('an id twice');
  for (const one of document.querySelectorAll('input:not([type=hidden]), textarea, select'))
    if (!one.labels.length && !one.getAttribute('aria-label')) say('no label', one);
  for (const one of document.querySelectorAll('a, button, summary'))
    if (!(one.getAttribute('aria-label') || one.textContent).trim()) say('no name', one);
  for (const one of document.querySelectorAll('img')) if (!one.hasAttribute('alt')) say('no alt', one);
  let level = 0;
  for (const one of document.querySelectorAll('main :is(h1, h2, h3, h4)')) {
    const now = Number(one.tagName[1]);
    if (now > level + 1) say('a heading skips a level', one);
    level = now;
  }
  const parse = text => { const m = text.match(/[\\d.]+/g).map(Number); return m.length < 4 ? [...m, 1] : m; };
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, n) => sum + v * [.2126, .7152, .0722][n], 0);
  const ground = one => {
    for (; one; one = one.parentElement) {
      const colour = parse(getComputedStyle(one).backgroundColor);
      if (colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const one = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || one.closest('.unseen, datalist, option')) continue;
    const [a, b] = [light(parse(getComputedStyle(one).color)), light(ground(one))].sort((x, y) => y - x);
    if ((a + .05) / (b + .05) < 4.5) say('contrast ' + ((a + .05) / (b + .05)).toFixed(2), one);
  }
  return flaws;
}"""
