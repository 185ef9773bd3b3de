"""Which tools a run asks for, where it is to have one kind only (``Context.tools``); grants apply all the same."""

from __future__ import annotations

MEMORY_TOOLS = ("recall", "profile")
"""The user's own memories."""

GENERAL_TOOLS = ("wikipedia", "calculator")
"""What everybody has, without anything of the user's."""

WIKIPEDIA_ONLY = ("wikipedia",)
"""What the paper's reviewers asked about."""
