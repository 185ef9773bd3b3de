"""Ten turns with five corrections in a real terminal: ``python docs/make_transcript.py > transcript.txt``.

The endpoint is that of the environment (OPENAI_BASE_URL, PERSONAAGENT_MODEL); the home is a new one. What a user sees
is written as it comes, with the seconds of each answer behind it and, last, which version of the persona came when.
"""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
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
    """A command in a pseudo terminal without colours; ``text`` is all that it wrote."""

    def __init__(self, arguments: list[str], env: Mapping[str, str]) -> None:
        self.text = ""
        self._typed = 0
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.execvpe(arguments[0], arguments, dict(env))  # noqa: S606 (a pseudo terminal needs a fork)

    def until(self, *ends: str) -> str:
        """Read until one of these came since the last line, and nothing more does; returns it, raises TimeoutError.

        News may come behind a prompt.
        """
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            if select.select([self._fd], [], [], 0.3)[0]:
                came = os.read(self._fd, 65_536).decode("utf-8", "replace")
                self.text += ESCAPES.sub("", came)
            elif found := next((end for end in ends if end in self.text[self._typed :]), None):
                return found
        raise TimeoutError(self.text[-500:])

    def type(self, line: str) -> None:
        """Write a line as a user would."""
        self._typed = len(self.text)
        os.write(self._fd, f"{line}\r".encode())

    def close(self) -> None:
        """Leave, and wait for the end."""
        self.type("/quit")
        while True:
            try:
                if not (came := os.read(self._fd, 65_536)):
                    break
            except OSError:
                break
            self.text += ESCAPES.sub("", came.decode("utf-8", "replace"))
        os.waitpid(self._pid, 0)


def transcript(home: Path, environment: Mapping[str, str], lines: tuple[str, ...] = LINES) -> str:
    """What a user sees who says these lines; a rule that is offered is taken."""
    env = {**environment, "PERSONAAGENT_HOME": str(home), "TERM": "dumb", "COLUMNS": "100"}
    chat = Terminal([*COMMAND, "chat", "--user", "ann"], env)
    chat.until(PROMPT)
    for line in lines:
        began = time.monotonic()
        chat.type(line)
        if chat.until(PROMPT, YES) == YES:
            chat.type("y")
            chat.until(PROMPT)
        chat.text += f"[{time.monotonic() - began:.1f} s] "
    chat.close()
    history = subprocess.run(  # noqa: S603
        [*COMMAND, "persona", "history", "--user", "ann", "--json"], env=env, capture_output=True, text=True, check=True
    )
    return f"{chat.text}\n\n{json.dumps(json.loads(history.stdout), indent=1)}\n"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        sys.stdout.write(transcript(Path(folder), os.environ))
