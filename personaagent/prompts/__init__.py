"""The prompts, one ``.md`` file each, read once at import so that no call blocks an event loop.

A deployment may have its own in LangSmith's hub (``hub``), which take the files' place in this process (``put``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Final, Literal

from personaagent.text import clean

MAX_CHARS: Final = 20_000  # of a prompt that was not written here
_SLOT = re.compile(r"\{\{(\w+)\}\}")
_FENCE = re.compile(r"<(?=\s*/?\s*data\b)", re.IGNORECASE)
_PROMPTS = {
    entry.name.removesuffix(".md"): entry.read_text(encoding="utf-8").strip()
    for entry in files(__package__).iterdir()
    if entry.name.endswith(".md")
}


_pulled: dict[str, str] = {}


class PromptError(KeyError):
    """A prompt was asked for with the wrong name or slots: a mistake in the program, never in what a user gave."""

    def __str__(self) -> str:
        return str(self.args[0])


def render(name: str, **slots: str) -> str:
    """Return the prompt with each ``{{slot}}`` replaced by its value; what a value contains is never replaced.

    Raises PromptError for an unknown prompt, for a slot without a value and for a value without a slot.
    """
    text = _pulled.get(name) or default(name)
    wanted = slots_of(text)
    if missing := wanted - slots.keys():
        raise PromptError(f"prompt {name!r} needs a value for {', '.join(sorted(missing))}")
    if unused := slots.keys() - wanted:
        raise PromptError(f"prompt {name!r} has no slot {', '.join(sorted(unused))}: its value would be dropped")
    return _SLOT.sub(lambda match: slots[match[1]], text)


def names() -> list[str]:
    """The names of all prompts, sorted."""
    return sorted(_PROMPTS)


def default(name: str) -> str:
    """The prompt as its file has it; raises PromptError for an unknown one."""
    if name not in _PROMPTS:
        raise PromptError(f"there is no prompt {name!r}: add personaagent/prompts/{name}.md")
    return _PROMPTS[name]


def slots_of(text: str) -> set[str]:
    """The slots of a prompt's text."""
    return set(_SLOT.findall(text))


def in_force(name: str) -> tuple[str, Literal["file", "hub"]]:
    """The text that ``render`` fills, and where it comes from."""
    return (_pulled[name], "hub") if name in _pulled else (default(name), "file")


def put(texts: Mapping[str, str]) -> None:
    """Let these texts stand for the files of the same names from now on, and the files for all others.

    Raises PromptError where a text is not what its file is: unknown, empty, too long, or with other slots.
    """
    checked = {name: check(name, text) for name, text in texts.items()}
    _pulled.clear()
    _pulled.update(checked)


def check(name: str, text: str) -> str:
    """Return somebody else's text for a prompt, cleaned; raises PromptError where it cannot take the file's place."""
    text = clean(text).strip()
    wanted, given = slots_of(default(name)), slots_of(text)
    if not text or len(text) > MAX_CHARS:
        raise PromptError(f"prompt {name!r} has {len(text)} characters: it needs 1 to {MAX_CHARS}")
    if wanted != given or "{{" in _SLOT.sub("", text):
        needed = ", ".join(sorted(wanted)) or "none"
        raise PromptError(f"prompt {name!r} has other slots than its file: it needs {needed}")
    return text


def quote(text: str, label: str) -> str:
    """Return untrusted text as data, between ``<data label="…">`` and ``</data>``, which the text cannot close.

    Hidden characters are removed and any look-alike of the fence in the text is broken; the rest stays as it is.
    """
    name = re.sub(r"[^\w -]", "", label)
    inside = _FENCE.sub("\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}", clean(text)).strip()
    return f'<data label="{name}">\n{inside}\n</data>'
