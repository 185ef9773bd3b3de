"""Traces to LangSmith: what leaves the process (``redaction``), through what (``client``), about what (``runs``)."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from personaagent.settings import Settings

_SWITCHES = tuple(f"{maker}_TRACING{version}" for maker in ("LANGSMITH", "LANGCHAIN") for version in ("", "_V2"))


def set_up_if_wanted(settings: Settings) -> None:
    """``client.set_up_tracing`` where somebody may have switched tracing on; else LangSmith is not even imported."""
    if "langsmith" in sys.modules or any(os.environ.get(switch) for switch in _SWITCHES):
        from personaagent.tracing.client import set_up_tracing

        set_up_tracing(settings)
