"""The report in a real browser, at desktop and phone width, light and dark: it reads well and needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from browser_house import DESKTOP, PHONE, chromium, needs_chromium
from personaagent.evals.evaluation import Wanted, evaluate
from personaagent.evals.report import write
from personaagent.evals.tasks import news
from personaagent.settings import Settings
from scripted import HashEmbedder, ScriptedModels

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, needs_chromium]
SYSTEMS = {
    2: ("majority", "rag"),  # a second sheet, so that there is a curve over the memories
    4: ("majority", "nearest_neighbour", "rag", "agent_without_alignment", "persona_agent:epochs=1", "agent"),
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of real rows and the real graphs; only the model is scripted."""
    out = tmp_path_factory.mktemp("run")
    for memories, systems in SYSTEMS.items():
        wanted = Wanted(task=news.task(), systems=systems, out=out / str(memories), users=2, limit=2, recall_k=memories)
        settings = Settings(home=out / "unused", _env_file=None)  # type: ignore[call-arg]
        evaluate(wanted, settings, models=ScriptedModels("politics"), embedder=HashEmbedder())
    return write(out, HashEmbedder())[0]


@pytest.fixture(scope="module")
def browser(report: Path) -> Iterator[Browser]:  # the report first: Playwright holds the event loop
    with chromium() as opened:
        yield opened


def opened(browser: Browser, report: Path, size: tuple[int, int], **more: Any) -> tuple[Page, list[str]]:
    page = browser.new_page(viewport={"width": size[0], "height": size[1]}, **more)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: said.append(request.url) if not request.url.startswith("file:") else None)
    page.goto(report.as_uri())
    return page, said


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_page_fits_its_width_and_asks_nobody_for_anything(
    browser: Browser, report: Path, size: tuple[int, int]
) -> None:
    page, said = opened(browser, report, size)
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert said == []
    # wide tables scroll inside their own box, and the system's name stays in view
    box = page.locator(".wide").first
    box.evaluate("e => e.scrollLeft = e.scrollWidth")
    left = page.locator("tbody tr td").first.bounding_box()
    assert left is not None
    assert left["x"] >= 0
    page.close()


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_drawings_are_large_enough_to_read_and_no_label_is_cut(
    browser: Browser, report: Path, size: tuple[int, int]
) -> None:
    page, _ = opened(browser, report, size)
    sizes = page.evaluate(
        """() => [...document.querySelectorAll('svg')].map(svg => {
          const box = svg.getBoundingClientRect(), scale = box.width / svg.viewBox.baseVal.width;
          const outside = [...svg.querySelectorAll('text')].filter(t => {
            const b = t.getBoundingClientRect();
            return b.left < box.left - 1 || b.right > box.right + 1 || b.top < box.top - 1 || b.bottom > box.bottom + 1;
          }).map(t => t.textContent);
          return {height: box.height, letters: 12 * scale, outside, name: svg.getAttribute('aria-label')};
        })"""
    )
    assert len(sizes) >= 5  # bars, curves, heat map, map of personas
    assert [drawing for drawing in sizes if drawing["outside"]] == []
    assert [drawing for drawing in sizes if drawing["letters"] < 9 or drawing["height"] < 40] == []
    assert all(drawing["name"] for drawing in sizes)
    page.close()


def test_a_user_unfolds_to_queries_answers_and_the_persona_with_its_change(browser: Browser, report: Path) -> None:
    page, _ = opened(browser, report, DESKTOP)
    first = page.locator("section > details", has_text="Persona: persona_agent").first
    assert not first.locator("table").is_visible()
    first.locator("summary").first.press("Enter")  # by keyboard alone
    assert first.locator("table").is_visible()
    text = first.inner_text()
    assert "query" in text
    assert "truth" in text
    persona = first.locator("details", has_text="Persona: persona_agent").first
    persona.locator("summary").click()
    assert persona.locator("pre").is_visible()
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(browser: Browser, report: Path, scheme: str) -> None:
    page, _ = opened(browser, report, DESKTOP, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    faint = page.evaluate(
        """() => {
          const parse = c => (c.match(/[\\d.]+/g) || []).map(Number);
          const light = ([r, g, b]) => [r, g, b].map(v => (v /= 255) <= .04 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
            .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
          const ground = e => { for (; e; e = e.parentElement) {
            const c = parse(getComputedStyle(e).backgroundColor); if (c.length === 3 || c[3] > 0) return c; }
            return [255, 255, 255]; };
          const faint = [];
          for (const e of document.querySelectorAll('h1,h2,h3,p,td,th,summary,pre,ins,del,small,figcaption')) {
            const [a, b] = [light(parse(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
            const ratio = (a + .05) / (b + .05);
            if (ratio < 4.5) faint.push(e.tagName + ' ' + e.className + ' ' + ratio.toFixed(2));
          }
          return faint;
        }"""
    )
    assert faint == []
    page.close()
