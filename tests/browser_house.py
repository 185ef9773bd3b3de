"""A real headless Chromium for tests; a test that needs one is skipped where there is none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = os.environ.get("PERSONAAGENT_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
DESKTOP, PHONE = (1280, 900), (390, 844)
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium: install it, or name one in PERSONAAGENT_TEST_CHROMIUM"
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a window, closed at the end."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def signed_in(
    browser: Browser, entry: str, user: str, *, timeout_ms: int, size: tuple[int, int] = DESKTOP, **options: Any
) -> Iterator[Page]:
    """The chat of a user who signed in by the address ``entry``; at the end its console may hold refusals alone."""
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, **options)
    page = context.new_page()
    page.set_default_timeout(timeout_ms)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(entry)
    page.get_by_label("Your user name").fill(user)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_label("Your message").wait_for()
    page.wait_for_load_state()  # the field is there before the script that sends what is typed into it
    yield page
    assert [text for text in said if "responded with a status of 4" not in text] == []
    context.close()
