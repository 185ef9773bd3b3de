"""Ten turns with five corrections in a real terminal: ``python tests/chat_transcript.py > transcript.txt``.

The endpoint is that of the environment (OPENAI_BASE_URL, PERSONAAGENT_MODEL); the home is a new one. What a user sees
is written as it comes, with the seconds of each answer behind it and, last, which version of the persona came when.
"""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]|\x1b\][^\x07]*\x07|\r")
PROMPT, YES = "\n> ", " y/n "
SECONDS = 600.0  # that one answer may take
COMMAND = (sys.executable, "-m", "personaagent")
LINES = (
    "Suggest a dish for dinner tonight.",
    "/wrong A vegetarian dish, such as lentil curry with rice.",
    "And what for lunch tomorrow?",
    "How do I keep bread fresh?",
    "/edit Keep it in a paper bag.",
    "What can I do with leftover rice?",
    "/edit Fry it with eggs and peas.",
    "How long do I boil potatoes?",
    "/edit About twenty minutes.",
    "What is a good soup for cold days?",
    "How do I clean a burnt pan?",
    "/edit Soak it overnight with baking soda.",
    "Which kitchen knife do I need first?",
    "How do I store basil?",
    "Suggest a dish for four guests.",
    "/persona",
)


class Terminal:
    """A command in a pseudo terminal; ``text`` is what it wrote, without escape sequences."""

    def __init__(self, arguments: Sequence[str], env: Mapping[str, str]) -> None:
        self.text = ""
        self._over = False
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # ignored where this runs in the background
            os.execvpe(arguments[0], arguments, dict(env))  # noqa: S606 (a pseudo terminal needs a fork)

    def press(self, keys: str) -> None:
        """Write as a keyboard does."""
        os.write(self._fd, keys.encode())

    def read(self, seconds: float) -> bool:
        """Take in what comes within so many seconds; False where nothing does, or the command has ended."""
        if self._over or not select.select([self._fd], [], [], seconds)[0]:
            return False
        try:
            came = os.read(self._fd, 65_536)
        except OSError:
            came = b""
        self._over = not came
        if b"\x1b[6n" in came:  # where the cursor is
            os.write(self._fd, b"\x1b[1;1R")
        self.text += ESCAPES.sub("", came.decode("utf-8", "replace"))
        return not self._over

    def ended(self, seconds: float = SECONDS) -> int:
        """Wait until the command has ended, so many seconds at most, and return its exit code."""
        until = time.monotonic() + seconds
        while not self._over and time.monotonic() < until:
            self.read(0.2)
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])


class Conversation(Terminal):
    """``chat`` without colours, to which one line after the other is said."""

    _said = 0  # how much was written before the newest line

    def say(self, line: str) -> None:
        """Write a line as a user would."""
        self._said = len(self.text)
        self.press(f"{line}\r")

    def until(self, *ends: str) -> str:
        """Read until one of these came since the newest line, and nothing more does; raises TimeoutError.

        News may come behind a prompt.
        """
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            if not self.read(0.3) and (found := next((end for end in ends if end in self.text[self._said :]), None)):
                return found
        raise TimeoutError(self.text[-500:])


def transcript(home: Path, environment: Mapping[str, str], lines: tuple[str, ...] = LINES) -> str:
    """What a user sees who says these lines; a rule that is offered is taken."""
    env = {**environment, "PERSONAAGENT_HOME": str(home), "TERM": "dumb", "COLUMNS": "100"}
    chat = Conversation([*COMMAND, "chat", "--user", "ann"], env)
    chat.until(PROMPT)
    for line in lines:
        began = time.monotonic()
        chat.say(line)
        if chat.until(PROMPT, YES) == YES:
            chat.say("y")
            chat.until(PROMPT)
        chat.text += f"[{time.monotonic() - began:.1f} s] "
    chat.say("/quit")
    chat.ended()
    history = subprocess.run(
        [*COMMAND, "persona", "history", "--user", "ann", "--json"], env=env, capture_output=True, text=True, check=True
    )
    return f"{chat.text}\n\n{history.stdout}"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        sys.stdout.write(transcript(Path(folder), os.environ))
