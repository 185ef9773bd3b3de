"""``chat`` in a real terminal: keys, a pasted text, an answer that is stopped."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_cli_process import COMMAND, environment

from stub_endpoint import endpoint

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]|\x1b\][^\x07]*\x07|\r")
SECONDS = 30.0


class Terminal:
    """A command in a pseudo terminal."""

    def __init__(self, arguments: list[str], env: dict[str, str]) -> None:
        self.text = ""
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # ignored where the tests run in the background
            os.execvpe(arguments[0], arguments, env)  # noqa: S606 (a pseudo terminal needs a fork)

    def press(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def _read(self) -> None:
        came = os.read(self._fd, 65_536)
        if b"\x1b[6n" in came:  # where the cursor is
            os.write(self._fd, b"\x1b[1;1R")
        self.text += ESCAPES.sub("", came.decode("utf-8", "replace"))

    def read_until(self, words: str) -> str:
        """What came until these words are there."""
        until = time.monotonic() + SECONDS
        while words not in self.text:
            assert time.monotonic() < until, f"{words!r} did not come: {self.text[-2000:]}"
            if select.select([self._fd], [], [], 0.2)[0]:
                self._read()
        before, _, self.text = self.text.partition(words)
        return before

    def prompted(self) -> None:
        """Wait until there is a prompt and nothing more comes."""
        self.read_until(">")
        self.silent()

    def silent(self) -> None:
        """Wait until nothing more comes."""
        quiet = time.monotonic() + 1.5
        while time.monotonic() < quiet:
            if select.select([self._fd], [], [], 0.2)[0]:
                self._read()
                quiet = time.monotonic() + 1.5

    def ended(self) -> int:
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            try:
                if select.select([self._fd], [], [], 0.2)[0] and not os.read(self._fd, 65_536):
                    break
            except OSError:
                break
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])


@pytest.fixture
def slow() -> Iterator[str]:
    with endpoint(seconds=3) as (url, _):
        yield url


def test_an_answer_is_stopped_and_a_pasted_text_is_one_question(tmp_path: Path, slow: str) -> None:
    settings = {"OPENAI_BASE_URL": slow, "OPENAI_API_KEY": "x", "PERSONAAGENT_TOOL_CALLING": "off", "TERM": "xterm"}
    chat = Terminal([*COMMAND, "chat", "--user", "ann"], environment(tmp_path, **settings))
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
    assert chat.ended() == 0
