"""``chat`` in a real terminal: keys, a pasted text, an answer that is stopped."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_cli_process import COMMAND, environment

from chat_transcript import Terminal
from stub_endpoint import endpoint

SECONDS = 30.0


class Chat(Terminal):
    def read_until(self, words: str) -> str:
        """What came until these words are there."""
        until = time.monotonic() + SECONDS
        while words not in self.text:
            assert time.monotonic() < until, f"{words!r} did not come: {self.text[-2000:]}"
            self.read(0.2)
        before, _, self.text = self.text.partition(words)
        return before

    def prompted(self) -> None:
        """Wait until there is a prompt and nothing more comes."""
        self.read_until(">")
        while self.read(1.5):
            pass


@pytest.fixture
def slow() -> Iterator[str]:
    with endpoint(seconds=3) as (url, _):
        yield url


def test_an_answer_is_stopped_and_a_pasted_text_is_one_question(tmp_path: Path, slow: str) -> None:
    settings = {"OPENAI_BASE_URL": slow, "OPENAI_API_KEY": "x", "PERSONAAGENT_TOOL_CALLING": "off", "TERM": "xterm"}
    chat = Chat([*COMMAND, "chat", "--user", "ann"], environment(tmp_path, **settings))
    assert sys.executable == COMMAND[0]
    chat.read_until("/help for commands.")
    chat.prompted()
    chat.press("never mind\r")
    chat.read_until("Ctrl-C stops")
    chat.press("\x03")
    chat.read_until("Stopped.")
    chat.prompted()
    chat.press("\x1b[200~first line\nsecond line\x1b[201~")
    chat.read_until("second line")
    chat.press("\r")
    said = chat.read_until("You said:") + chat.text
    assert "Stopped" not in said
    chat.read_until("second line")
    chat.prompted()
    chat.press("/wrong lentils\r")
    chat.read_until("looking for the rule in it")
    chat.press("\x03")  # stops what goes on, and leaves nothing
    chat.read_until("Stopped.")
    chat.prompted()
    chat.press("\x04")
    assert chat.ended(SECONDS) == 0
