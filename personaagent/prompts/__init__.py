"""The prompts, one ``.md`` file each, read once at import so that no call blocks an event loop."""

from __future__ import annotations

import re
from importlib.resources import files

from personaagent.text import clean

_SLOT = re.compile(r"\{\{(\w+)\}\}")
_FENCE = re.compile(r"<(?=\s*/?\s*data\b)", re.IGNORECASE)
_PROMPTS = {
    entry.name.removesuffix(".md"): entry.read_text(encoding="utf-8").strip()
    for entry in files(__package__).iterdir()
    if entry.name.endswith(".md")
}


class PromptError(KeyError):
    """A prompt was asked for with the wrong name or slots: a mistake in the program, never in what a user gave."""

    def __str__(self) -> str:
        return str(self.args[0])


def render(name: str, **slots: str) -> str:
    """Return the prompt with each ``{{slot}}`` replaced by its value; what a value contains is never replaced.

    Raises PromptError for an unknown prompt, for a slot without a value and for a value without a slot.
    """
    if name not in _PROMPTS:
        raise PromptError(f"there is no prompt {name!r}: add personaagent/prompts/{name}.md")
    text = _PROMPTS[name]
    wanted = set(_SLOT.findall(text))
    if missing := wanted - slots.keys():
        raise PromptError(f"prompt {name!r} needs a value for {', '.join(sorted(missing))}")
    if unused := slots.keys() - wanted:
        raise PromptError(f"prompt {name!r} has no slot {', '.join(sorted(unused))}: its value would be dropped")
    return _SLOT.sub(lambda match: slots[match[1]], text)


def quote(text: str, label: str) -> str:
    """Return untrusted text as data, between ``<data label="…">`` and ``</data>``, which the text cannot close.

    Hidden characters are removed and any look-alike of the fence in the text is broken; the rest stays as it is.
    """
    name = re.sub(r"[^\w -]", "", label)
    inside = _FENCE.sub("\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}", clean(text)).strip()
    return f'<data label="{name}">\n{inside}\n</data>'
