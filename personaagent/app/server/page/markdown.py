"""An answer's Markdown as safe HTML: no raw HTML, no pictures (an address would carry data away), no script links."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from functools import cache
from typing import Any, Final

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup, escape

from personaagent.text import clean

MAX_CHARS: Final = 100_000  # longer answers are shown as they are


def markdown(text: str) -> Markup:
    """The text as HTML; what is no Markdown is escaped."""
    text = clean(text)
    if len(text) > MAX_CHARS:
        return Markup("<pre>{}</pre>").format(escape(text))
    return Markup(_parser().render(text))  # noqa: S704  # the parser escapes everything: html is off


@cache
def _parser() -> MarkdownIt:
    made = MarkdownIt("js-default", {"html": False, "linkify": False, "breaks": True}).disable("image")
    made.add_render_rule("heading_open", _heading)
    made.add_render_rule("heading_close", _heading)
    made.add_render_rule("link_open", _link)
    return made


def _heading(self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, _: MutableMapping[str, Any]) -> str:
    """All of them stand below the heading of the answer."""
    tokens[index].tag = "h3"
    return self.renderToken(tokens, index, options, {})


def _link(self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, _: MutableMapping[str, Any]) -> str:
    tokens[index].attrSet("rel", "noopener noreferrer nofollow")
    tokens[index].attrSet("target", "_blank")
    return self.renderToken(tokens, index, options, {})
