"""What takes long shows a bar on a terminal, and only there."""

from __future__ import annotations

import io
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli_house import Cli, history_file

ROWS = 1200  # of 5,000 it looks the same, and takes longer


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Stderr as a pseudo-terminal of 100 columns; what was written there is in the list at the end."""
    import fcntl
    import pty
    import struct
    import termios

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    written: list[str] = []
    said = io.BytesIO()

    def read() -> None:
        while True:
            try:
                piece = os.read(master, 4096)
            except OSError:
                return
            if not piece:
                return
            said.write(piece)

    thread = threading.Thread(target=read)
    thread.start()
    with monkeypatch.context() as patch:
        patch.setenv("TERM", "xterm")
        patch.delenv("NO_COLOR", raising=False)
        with os.fdopen(slave, "w") as stderr:
            patch.setattr("sys.stderr", stderr)
            yield written
    thread.join(10)
    os.close(master)
    written.append(said.getvalue().decode())


def shares(shown: str) -> list[int]:
    return [int(share) for share in re.findall(r"(\d+)%", shown)]


@pytest.mark.skipif(os.name != "posix", reason="there is no pseudo-terminal")
def test_importing_shows_a_bar_that_moves_and_leaves_no_trace(
    cli: Cli,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PERSONAAGENT_HOME", str(tmp_path / "home"))
    rows = [(f"question {n}", f"answer {n}") for n in range(ROWS)]
    history = history_file(tmp_path, rows)
    history.write_text(re.sub(r'"created_at": "[^"]*", ?|, "created_at": "[^"]*"', "", history.read_text()))
    with terminal(monkeypatch) as written:
        assert cli("import", str(history), "--user", "ann").code == 0
    assert "importing" in written[0]
    assert max(shares(written[0])) == 100
    exported = tmp_path / "ann.json"
    assert cli("memory", "export", str(exported), "--user", "ann").code == 0
    with terminal(monkeypatch) as written:
        ran = cli("memory", "import", str(exported), "--user", "bob")
    assert (ran.code, f"{ROWS} interactions" in ran.out) == (0, True)
    assert "indexing" in written[0]
    assert max(shares(written[0])) == 100
    assert written[0].endswith("\x1b[2K")  # the bar is wiped away


def test_without_a_terminal_or_for_json_there_is_no_bar(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERSONAAGENT_HOME", str(tmp_path / "home"))
    history = history_file(tmp_path, [("question", "answer")])
    assert cli("import", str(history), "--user", "ann").err == ""
    exported = tmp_path / "ann.json"
    assert cli("memory", "export", str(exported), "--user", "ann").code == 0
    with terminal(monkeypatch) as written:
        assert cli("memory", "import", str(exported), "--user", "bob", "--json").json["interactions"] == 1
    assert written == [""]
