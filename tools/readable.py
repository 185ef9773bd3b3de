"""The readable text of HTML from stdin to stdout: a program of its own, which ``tools.page`` can end.

The parsers there are take quadratic time for some HTML, and no thread can be stopped; a process can, and its memory has
a limit. It is given no argument and reads no file.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from bs4 import BeautifulSoup

MEMORY_BYTES = 512_000_000
NICE = 10  # what answers people goes first
HIDDEN = ["script", "style", "noscript", "template", "nav", "header", "footer", "form", "title"]


def readable(html: bytes) -> str:
    """Title and text of the page's main part; bs4 finds the charset itself."""
    soup = BeautifulSoup(html, "html.parser")
    title = soup.title.get_text(" ", strip=True) if soup.title else ""
    for node in soup(HIDDEN):
        node.decompose()
    main = soup.find("main") or soup.find("article") or soup.body or soup
    lines = (" ".join(line.split()) for line in main.get_text("\n").splitlines())
    return "\n".join([title, *(line for line in lines if line)]).strip()


if __name__ == "__main__":
    with suppress(AttributeError, OSError):
        os.nice(NICE)
    with suppress(ImportError, ValueError, OSError):  # not every system has limits
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    sys.stdout.buffer.write(readable(sys.stdin.buffer.read()).encode("utf-8", "replace"))
