"""Wikipedia: live through langchain-community, or from recorded pages, so that evaluations run offline.

Recorded pages are JSON files ``{"title", "text"}`` (one, or a list of them, a file) in a folder.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from personaagent.errors import SetupError
from personaagent.tools.spec import ToolCall, ToolFault, ToolSpec

Lookup = Callable[[str], Awaitable[str]]
NOTHING = "Wikipedia has no page that fits. Try the exact title, or fewer words."
OFFLINE = "Wikipedia cannot be reached from here. Answer from what you know and from memory."


class WikipediaArgs(BaseModel):
    """What to look up."""

    query: str = Field(min_length=1, max_length=300, description="a title or a few keywords")


class LiveWikipedia:
    """langchain-community's Wikipedia, imported at the first call and run in a thread."""

    def __init__(self, language: str = "en", pages: int = 2, max_chars: int = 3_000) -> None:
        self._options: dict[str, Any] = {
            "lang": language, "top_k_results": pages, "doc_content_chars_max": max_chars
        }  # fmt: skip

    async def __call__(self, query: str) -> str:
        """The summaries of the best pages; raises ToolFault without a network."""
        return await asyncio.to_thread(self._search, query)

    def _search(self, query: str) -> str:
        try:
            from langchain_community.tools import WikipediaQueryRun
            from langchain_community.utilities import WikipediaAPIWrapper
            from requests.exceptions import RequestException
            from wikipedia.exceptions import WikipediaException
        except ImportError as error:
            raise ToolFault(f"Wikipedia is not installed here: {error}.") from error
        try:
            found = str(WikipediaQueryRun(api_wrapper=WikipediaAPIWrapper(**self._options)).run(query))
        except (RequestException, WikipediaException, OSError) as error:
            raise ToolFault(OFFLINE, transient=True) from error
        return NOTHING if found.startswith("No good Wikipedia") else found


class RecordedWikipedia:
    """Pages from a folder, ranked by the query's words in title (three times the weight) and text."""

    def __init__(self, folder: Path, pages: int = 2, max_chars: int = 1_500) -> None:
        self._folder, self._limit, self._max_chars = folder, pages, max_chars
        self._pages: list[tuple[str, str]] | None = None

    async def __call__(self, query: str) -> str:
        """The best recorded pages; raises SetupError when the folder cannot be read."""
        if self._pages is None:
            self._pages = await asyncio.to_thread(self._read)
        wanted = set(_words(query))
        scored = [(self._score(wanted, title, text), title, text) for title, text in self._pages]
        best = sorted((s for s in scored if s[0] > 0), key=lambda s: (-s[0], s[1]))[: self._limit]
        return "\n\n".join(f"Page: {t}\nSummary: {text[: self._max_chars]}" for _, t, text in best) or NOTHING

    def _read(self) -> list[tuple[str, str]]:
        pages = []
        try:
            for path in sorted(self._folder.glob("*.json")):
                content = json.loads(path.read_text(encoding="utf-8"))
                for page in content if isinstance(content, list) else [content]:
                    pages.append((str(page["title"]), str(page["text"])))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SetupError(f"recorded Wikipedia pages in {self._folder} cannot be read: {error}") from error
        if not pages:
            raise SetupError(f"no recorded Wikipedia pages in {self._folder}: set PERSONAAGENT_WIKIPEDIA_PAGES right")
        return pages

    @staticmethod
    def _score(wanted: set[str], title: str, text: str) -> float:
        counts = Counter(_words(text))
        # how often a word is said matters less and less, so a long page does not win by length
        return sum(3.0 * (w in _words(title)) + counts[w] / (counts[w] + 2.0) for w in wanted)


def _words(text: str) -> list[str]:
    return [word for word in re.findall(r"\w+", text.lower()) if len(word) > 2]


def wikipedia_tool(lookup: Lookup) -> ToolSpec:
    """The tool over LiveWikipedia or RecordedWikipedia."""

    async def run(call: ToolCall) -> str:
        return await lookup(str(call.arguments["query"]))

    return ToolSpec(
        name="wikipedia",
        description="Look up people, works, places and terms in Wikipedia.",
        args=WikipediaArgs,
        run=run,
        scopes=frozenset({"network"}),
        retries=1,
        cost=1.0,
    )
