"""What a model thinks aloud before its answer, in the content itself: no answer, no memory, no truth.

Only a block at the very beginning is thinking; the same tags further on are what somebody asked for.
"""

from __future__ import annotations

import re
from typing import Final

OPENING: Final = ("<think>", "<thinking>", "<thought>", "<reasoning>")
_CLOSING: Final = {tag: f"</{tag[1:]}" for tag in OPENING}
_UNOPENED: Final = re.compile(r"^(?:(?!<think>).)*?</think>\s*", re.DOTALL)  # the template wrote the opening


def without_thinking(text: str) -> str:
    """The answer alone; empty where the thinking was cut off before it."""
    stream = ThinkingFilter()
    answer = stream.feed(text) + stream.end()
    return _UNOPENED.sub("", answer, count=1) if "</think>" in answer else answer


class ThinkingFilter:
    """The same for a stream: give it the pieces as they come, it gives back what is answer."""

    def __init__(self) -> None:
        self._held = ""
        self._inside: str | None = None  # the tag that is to come
        self._answering = self._thought = False

    def feed(self, piece: str) -> str:
        """What of the text so far is answer and was not given back yet."""
        if self._answering:
            return piece
        self._held += piece
        if self._inside is None:
            begun = self._held.lstrip()
            tag = next((tag for tag in OPENING if begun.lower().startswith(tag)), None)
            if tag is None:
                if any(tag.startswith(begun.lower()) for tag in OPENING):
                    return ""  # it may still become one
                return self._answer(self._held)
            self._inside, self._held = _CLOSING[tag], begun[len(tag) :]
        at = self._held.lower().find(self._inside)
        if at < 0:
            self._held = self._held[-len(self._inside) :]
            return ""
        rest = self._held[at + len(self._inside) :]
        self._inside, self._held, self._thought = None, "", True
        return self.feed(rest)  # the answer, white space before it, or a second block

    def end(self) -> str:
        """What was held back and is answer after all."""
        return "" if self._inside is not None or self._answering else self._answer(self._held)

    def _answer(self, text: str) -> str:
        self._answering, self._held = True, ""
        return text.lstrip() if self._thought else text
