"""What an interaction goes through before it is stored: secrets masked, nothing that a database cannot hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from personaagent.feedback import Feedback
from personaagent.memory.masking import mask_secrets
from personaagent.types import Interaction

MAX_DEPTH = 32  # of metadata and tool arguments
TOO_DEEP = "[left out: nested too deeply]"


def storable(interaction: Interaction) -> Interaction:
    """The interaction with every text masked: what was asked, answered and said of it, tools and metadata.

    Blocking and linear in the text's length (20 ms at 32,000 characters). Idempotent.
    """
    return replace(
        interaction,
        query=storable_text(interaction.query),
        response=_maybe(interaction.response),
        ground_truth=_maybe(interaction.ground_truth),
        comment=_maybe(interaction.comment),
        rejected=_maybe(interaction.rejected),
        choices=tuple(storable_text(choice) for choice in interaction.choices),
        task=_maybe(interaction.task),
        tools=tuple(
            replace(trace, arguments=_inside(trace.arguments), brief=storable_text(trace.brief))
            for trace in interaction.tools
        ),
        metadata=_inside(interaction.metadata),
    )


def storable_feedback(given: Feedback) -> Feedback:
    """The feedback with every text masked; raises InvalidLabel where one is too long then."""
    texts = {name: _maybe(getattr(given, name)) for name in ("ground_truth", "comment", "rejected")}
    return replace(given, **texts)  # type: ignore[arg-type]


def deep(value: Any, levels: int = MAX_DEPTH) -> bool:
    """Whether a plain value is nested deeper than what every reader of it can follow; never deeper than that itself."""
    if not isinstance(value, Mapping | list | tuple):
        return False
    inner = value.values() if isinstance(value, Mapping) else value
    return levels == 0 or any(deep(one, levels - 1) for one in inner)


def storable_text(text: str) -> str:
    """The text without secrets, without NUL (Postgres refuses it) and without lone surrogates (UTF-8 has none)."""
    return mask_secrets(text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode())


def _maybe(text: str | None) -> str | None:
    return None if text is None else storable_text(text)


def _inside(value: Any, levels: int = MAX_DEPTH) -> Any:
    """The value with its texts masked; what is nested deeper than anybody can read it is left out."""
    if isinstance(value, str):
        return storable_text(value)
    if not isinstance(value, Mapping | list | tuple):
        return value
    if not levels:
        return TOO_DEEP
    if isinstance(value, Mapping):
        return {storable_text(str(key)): _named(str(key), inner, levels - 1) for key, inner in value.items()}
    return [_inside(inner, levels - 1) for inner in value]


def _named(key: str, value: Any, levels: int) -> Any:
    """A value whose key says that it is a secret (``{"password": "hunter2"}``) is judged together with its key."""
    if not isinstance(value, str):
        return _inside(value, levels)
    lead = f"{key}: "
    together = storable_text(lead + value)
    return together.removeprefix(lead) if together.startswith(lead) else storable_text(value)
